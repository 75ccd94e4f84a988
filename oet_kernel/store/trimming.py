"""Removal of what retention no longer keeps, slice by slice."""

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from oet_kernel.store import queries, tables
from oet_kernel.store.base import HORIZON
from oet_kernel.store.counting import counter
from oet_kernel.store.writing import put_counter

_SLICE = 1000
"""Number of events that are removed at once; other writes happen in between."""


def remove_slice(
    connection: sa.Connection, ended_before: float, is_too_large: Callable[[], bool], on_removal: Callable[[int], None]
) -> bool:
    """Remove a slice: events of no procedure, or those of the procedure that ended first, at last with the procedure.

    Parameters
    ----------
    connection
        Connection in a transaction.
    ended_before
        Time in Unix seconds; procedures that ended before are removed.
    is_too_large
        Returns whether the procedure that ended first is to be removed whenever it ended.
    on_removal
        Called with the id of a procedure before its removal.

    Returns
    -------
    bool
        True if there was something to remove, so that there may be more.
    """
    loose = connection.execute(queries.events_of_nobody(ended_before, _SLICE)).scalars().all()
    if loose:
        _remove_events(connection, loose)
        return True
    oldest = connection.execute(queries.ended_first()).first()
    if oldest is None or (oldest.ended >= ended_before and not is_too_large()):
        return False
    seqs = connection.execute(queries.events_of(oldest.id, _SLICE)).scalars().all()
    if seqs:
        _remove_events(connection, seqs)
    if len(seqs) < _SLICE:
        on_removal(oldest.id)
        connection.execute(tables.procedures.delete().where(tables.procedures.c.id == oldest.id))
        for table in (tables.kernels, tables.activities):
            connection.execute(table.delete().where(table.c.procedure == oldest.id))
    return True


def remove_activity(connection: sa.Connection, number: int) -> None:
    """Remove an activity."""
    connection.execute(tables.activities.delete().where(tables.activities.c.id == number))


def _remove_events(connection: sa.Connection, seqs: Sequence[int]) -> None:
    connection.execute(tables.events.delete().where(tables.events.c.seq.in_(seqs)))
    put_counter(connection, HORIZON, max(counter(connection, HORIZON), seqs[-1]))
