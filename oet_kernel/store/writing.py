"""Statements that write rows, built once, and what replaces a row that the database refuses."""

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import structs

from oet_kernel.bounds import TOPIC_CHARACTERS, encodable, shortened
from oet_kernel.events.event import Event
from oet_kernel.models import ProcedureInput
from oet_kernel.store import tables
from oet_kernel.store.rows import ActivityRow, KernelRow, ProcedureRow, Refused, Row, Unit


def write_together(connection: sa.Connection, unit: Unit) -> None:
    """Write all rows of a unit; an error leaves some of them written, for the transaction to take back."""
    if unit.events:
        connection.execute(_INSERT_EVENTS, [structs.asdict(one) for one in unit.events])
    for procedure in unit.procedures.values():
        _put(connection, procedure)
    for kernel in unit.kernels.values():
        _put(connection, kernel)
    for activity in unit.activities.values():
        _put(connection, activity)
    for name, value in unit.counters.items():
        put_counter(connection, name, value)


def write_apart(
    connection: sa.Connection, unit: Unit, is_of_the_row: Callable[[Exception], bool]
) -> tuple[Unit, list[Refused]]:
    """Write a unit row by row; a row that the database refuses is replaced by a notice.

    Parameters
    ----------
    connection
        Connection in a transaction.
    unit
        Unit to write.
    is_of_the_row
        Returns whether an error recurs at every attempt to write a row; other errors are raised.

    Returns
    -------
    tuple
        Unit as written, and the refused rows.
    """
    written, refused = Unit(counters=dict(unit.counters)), []
    for name, value in unit.counters.items():
        put_counter(connection, name, value)
    for row in unit.rows:
        replacement = _replacement(row)
        for candidate in (row,) if replacement is row else (row, replacement):
            try:
                with connection.begin_nested():
                    _put(connection, candidate)
            except Exception as error:
                if not is_of_the_row(error):
                    raise
                if candidate is row:
                    refused.append(Refused.row(row, error))
            else:
                written.add(candidate)
                break
    return written, refused


def put_counter(connection: sa.Connection, name: str, value: int) -> None:
    """Insert or update a counter."""
    _counters.put(connection, name, {"value": value})


def _put(connection: sa.Connection, row: Row) -> None:
    match row:
        case Event():
            connection.execute(_INSERT_EVENTS, structs.asdict(row))
        case ProcedureRow():
            _procedures.put(connection, row.id, _columns(row))
        case KernelRow():
            values = {"kind": row.kind, "address": row.address, "process": row.process, "offset": row.offset}
            _kernels.put(connection, row.procedure, values)
        case ActivityRow():
            _activities.put(connection, row.id, {"procedure": row.procedure, "record": row.record})


def _columns(row: ProcedureRow) -> dict[str, Any]:
    procedure = row.procedure
    states = procedure.history.process_states
    return {
        "state": procedure.state.name,
        "script": procedure.script.script_uri,
        "subarray": procedure.subarray,
        "created": states[0][1],
        "ended": states[-1][1] if procedure.state.inactive else None,
        "record": msgspec.json.encode(row),
    }


def _replacement(row: Row) -> Row:
    """Return the row that replaces one that the database refuses: the same without the values chosen by a script."""
    match row:
        case Event():
            topic = shortened(encodable(row.topic), TOPIC_CHARACTERS)
            source = "" if row.procedure is None else str(row.procedure)
            notice = "the database refuses this event, which was set aside"
            data = msgspec.json.encode({"msg_src": source, "topic": topic, "left_out": notice})
            return Event(row.seq, topic, row.procedure, data, row.at)
        case ProcedureRow():
            procedure = structs.replace(row.procedure, calls={name: ProcedureInput() for name in row.procedure.calls})
            procedure = structs.replace(procedure, returned=None)
            return structs.replace(row, procedure=procedure, main=ProcedureInput(), interests=[])
        case _:
            return row


class _Rows:
    """Insert or update rows of a table; its statements are built once, which takes longer than executing them.

    Parameters
    ----------
    table
        Table with a primary key of one column.
    """

    def __init__(self, table: sa.Table) -> None:
        (key,) = table.primary_key.columns
        self._insert = table.insert()
        self._key = key.name
        self._update = table.update().where(key == sa.bindparam("the_key"))

    def put(self, connection: sa.Connection, key: Any, values: dict[str, Any]) -> None:
        """Insert or update one row."""
        if connection.execute(self._update, {"the_key": key, **values}).rowcount == 0:
            connection.execute(self._insert, {self._key: key, **values})


_INSERT_EVENTS = tables.events.insert()
_procedures, _kernels = _Rows(tables.procedures), _Rows(tables.kernels)
_activities, _counters = _Rows(tables.activities), _Rows(tables.counters)
