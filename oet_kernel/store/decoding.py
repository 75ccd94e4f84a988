"""Rows as they are read: pages within bounds, and what replaces a record that cannot be read."""

import sys
from collections.abc import Iterable
from typing import Any, TypeVar

import sqlalchemy as sa

from oet_kernel.events.event import Event
from oet_kernel.models import FileSystemScript, ProcedureHistory, ProcedureInput, ProcedureState
from oet_kernel.procedure import Procedure
from oet_kernel.store.rows import ActivityRow, KernelRow, Page, ProcedureRow, row_decoder

T = TypeVar("T")

UNBOUNDED = sys.maxsize
"""Number of bytes that no page reaches."""


def page_of(found: Iterable[tuple[T, int]], limit: int | None, most_bytes: int) -> Page[T]:
    """Read rows up to a bound; at most one row beyond it is fetched.

    Parameters
    ----------
    found
        Rows from the database, with their sizes in bytes.
    limit
        Maximum number of rows; the database returns no more. None for no bound.
    most_bytes
        Maximum number of bytes of all rows; the first row is read in any case.
    """
    rows: list[T] = []
    left = most_bytes
    for row, size in found:
        if rows and size > left:
            return Page(rows, True)
        left -= size
        rows.append(row)
    return Page(rows, len(rows) == limit)


def bytes_of(value: Any) -> bytes:
    """Return the value of a column of bytes; a database that another program has written may hold any type in it."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


def event_of(row: sa.Row[Any]) -> Event:
    """Return the event of a row."""
    return Event(row.seq, str(row.topic), row.procedure, bytes_of(row.data), row.at)


def activity_of(row: sa.Row[Any]) -> ActivityRow:
    """Return the activity of a row."""
    return ActivityRow(row.id, row.procedure, bytes_of(row.record))


def kernel_of(row: sa.Row[Any]) -> KernelRow | None:
    """Return the kernel of a row; None if the row names none."""
    if not isinstance(row.address, str) or "\0" in row.address or not isinstance(row.offset, int):
        return None
    return KernelRow(
        procedure=row.procedure,
        kind=str(row.kind),
        address=row.address,
        process=None if row.process is None else bytes_of(row.process),
        offset=max(row.offset, 0),
    )


def procedure_of(row: sa.Row[Any], unreadable: dict[int, bytes]) -> ProcedureRow:
    """Return the procedure of a row; if its record cannot be read, restore it from the other columns.

    Parameters
    ----------
    row
        Row of the table of procedures.
    unreadable
        Records that could not be read, by procedure id; such a record is added.
    """
    try:
        found = row_decoder.decode(bytes_of(row.record))
        if found.id != row.id or not found.procedure.history.process_states:
            raise ValueError("the record belongs to no procedure, or to another procedure")
    except (ValueError, RecursionError, TypeError) as error:
        unreadable[row.id] = bytes_of(row.record)
        return _restored(row, error)
    return found


def _restored(row: sa.Row[Any], error: Exception) -> ProcedureRow:
    """Create a failed procedure from the columns of a row whose record cannot be read."""
    created = row.created if isinstance(row.created, float) else 0.0
    ended = row.ended if isinstance(row.ended, float) else created
    why = f"The record of this procedure cannot be read ({error!s:.200}); it was set aside."
    states = [(ProcedureState.CREATING, created), (ProcedureState.FAILED, max(created, ended))]
    procedure = Procedure(
        id=row.id,
        script=FileSystemScript(script_uri=str(row.script)),
        calls={"init": ProcedureInput()},
        history=ProcedureHistory(states, why),
    )
    return ProcedureRow(procedure=procedure)
