"""Counters of the store, and the numbers that nothing may be given twice."""

import sqlalchemy as sa

from oet_kernel.store import queries, tables
from oet_kernel.store.base import HORIZON

_COUNTED = {"procedure": tables.procedures.c.id, "activity": tables.activities.c.id}
"""Columns with the ids that a counter has given."""


def counter(connection: sa.Connection, name: str) -> int:
    """Return the last value of a counter; 0 if it was never counted."""
    value = connection.execute(queries.counter(name)).scalar()
    if isinstance(value, int):
        return value
    # missing or broken: an id must still not be used twice
    return 0 if name not in _COUNTED else _largest(connection, _COUNTED[name])


def last_seq(connection: sa.Connection) -> int:
    """Return the number of the newest event ever published."""
    return max(_largest(connection, tables.events.c.seq), counter(connection, HORIZON))


def _largest(connection: sa.Connection, column: "sa.Column[int]") -> int:
    return int(connection.execute(queries.largest(column)).scalar() or 0)
