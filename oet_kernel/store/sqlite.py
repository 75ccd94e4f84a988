"""Store: one SQLite database (WAL) in the state folder, accessed by SQLAlchemy Core.

Its methods block: only the journal's thread may write; any thread except the event loop's may read.
"""

import os
import sqlite3
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import sqlalchemy as sa
from msgspec import structs
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from oet_kernel.bounds import PAGE_BYTES, TOPIC_CHARACTERS, encodable, shortened
from oet_kernel.errors import StoreTooNew, StoreUnusable
from oet_kernel.events.event import Event, Filter
from oet_kernel.models import FileSystemScript, ProcedureHistory, ProcedureInput, ProcedureState
from oet_kernel.procedure import Procedure
from oet_kernel.store import tables
from oet_kernel.store.rows import (
    ActivityRow,
    ArchiveQuery,
    KernelRow,
    Page,
    ProcedureRow,
    Refused,
    Row,
    Unit,
    row_decoder,
)

T = TypeVar("T")

HORIZON = "horizon"
"""Name of the counter that holds the number of the newest event removed by retention."""
_SLICE = 1000
"""Number of rows that retention removes at once; other writes happen in between."""


class Store:
    """Procedures, kernels, events and activities of a service.

    Parameters
    ----------
    path
        Path of the database; created (mode 0600) if it is missing.
    power_safe
        Whether written data survive a loss of power, not only the end of a process; costs a flush of the disk for each
        transaction.
    read_only
        Whether to change nothing: no database is created, migrated or written.

    Raises
    ------
    StoreTooNew
        When a later version of this program has written the database.
    StoreUnusable
        When the database is damaged, or cannot be written.
    """

    def __init__(self, path: Path, *, power_safe: bool = False, read_only: bool = False) -> None:
        self.path = path
        self.unreadable: dict[int, bytes] = {}
        """Records that could not be read so far, by procedure id."""
        self._synchronous = "FULL" if power_safe else "NORMAL"
        if read_only:
            self._engine = sa.create_engine(f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true")
            return
        with self._explained():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._engine = sa.create_engine(f"sqlite:///{path}")
            sa.event.listen(self._engine, "connect", self._configure)
            try:
                self._bring_up_to_date()
            except BaseException:
                self._engine.dispose()
                raise

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError, MemoryError) as error:
            if _is_of_the_row(error):
                raise
            why = error.orig if isinstance(error, DatabaseError) else error
            if isinstance(why, MemoryError):  # which has no message
                why = MemoryError("the service has no memory left")
            raise StoreUnusable(
                f"The database {self.path} cannot be used: {why}; 'oet doctor' tells more, "
                "docs/how-to/recover.md what to do",
                (why.strerror if isinstance(why, OSError) else None) or str(why),
            ) from error

    def _configure(self, connection: sqlite3.Connection, record: Any) -> None:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # takes effect when the first table is created
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        connection.execute("PRAGMA busy_timeout=10000")

    def _bring_up_to_date(self) -> None:
        with self._engine.begin() as connection:
            if not sa.inspect(connection).has_table(tables.version.name):
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # otherwise each statement would be committed alone
                tables.metadata.create_all(connection)
                tables.version.create(connection)
                connection.execute(tables.version.insert().values(version_num=tables.REVISION))
                return
            found = connection.execute(sa.select(tables.version.c.version_num)).scalar()
            if found != tables.REVISION:
                self._migrate(connection, str(found))

    def _migrate(self, connection: sa.Connection, found: str) -> None:
        # imported here, since it takes half a second
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        try:
            ScriptDirectory.from_config(config).get_revision(found)
        except CommandError:
            raise StoreTooNew(
                f"The database {self.path} has schema {found}, which this version does not know (it knows up to "
                f"{tables.REVISION}): a later version has written it; start that one, or give this one another folder "
                "with --state-dir"
            ) from None
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # otherwise each statement would be committed alone
        command.upgrade(config, "head")

    # --- writing

    def write(self, unit: Unit) -> None:
        """Write a unit in one transaction, whole or not at all.

        Raises
        ------
        StoreUnusable
            When the unit cannot be written now; nothing of it is written then.
        Exception
            When the database refuses one of its rows at every attempt; nothing of the unit is written then.
        """
        with self._explained(), self._engine.begin() as connection:
            if unit.events:
                connection.execute(_INSERT_EVENTS, [structs.asdict(one) for one in unit.events])
            for procedure in unit.procedures.values():
                _put(connection, procedure)
            for kernel in unit.kernels.values():
                _put(connection, kernel)
            for activity in unit.activities.values():
                _put(connection, activity)
            for name, value in unit.counters.items():
                _counters.put(connection, name, {"value": value})

    def write_apart(self, unit: Unit) -> tuple[Unit, list[Refused]]:
        """Write a unit with a row that the database refuses: that row is replaced by a notice.

        Returns
        -------
        tuple
            Unit as written, and the refused rows.

        Raises
        ------
        StoreUnusable
            When the unit cannot be written now; nothing of it is written then.
        """
        written, refused = Unit(counters=dict(unit.counters)), []
        with self._explained(), self._engine.begin() as connection:
            connection.exec_driver_sql("BEGIN")  # otherwise the first savepoint would be a transaction of its own
            for name, value in unit.counters.items():
                _counters.put(connection, name, {"value": value})
            for row in unit.rows:
                replacement = _replacement(row)
                for candidate in (row,) if replacement is row else (row, replacement):
                    try:
                        with connection.begin_nested():
                            _put(connection, candidate)
                    except Exception as error:
                        if not _is_of_the_row(error):
                            raise
                        if candidate is row:
                            refused.append(Refused.row(row, error))
                    else:
                        written.add(candidate)
                        break
        return written, refused

    def trim(self, ended_before: float, most_bytes: int, on_removal: Callable[[int], None] = lambda pid: None) -> bool:
        """Remove a slice of what retention no longer keeps: the procedures that ended first, with their events.

        Active procedures are kept, whatever their age.

        Parameters
        ----------
        ended_before
            Time in Unix seconds; procedures that ended before are removed.
        most_bytes
            Size in bytes; the procedures that ended first are removed until at most this size is in use.
        on_removal
            Called with the id of a procedure before its removal is committed: the function's own removals come first,
            so that a crash leaves nothing behind.

        Returns
        -------
        bool
            True if there may be more to remove.
        """
        with self._explained(), self._engine.begin() as connection:
            ended = tables.procedures.c.ended
            oldest = connection.execute(
                sa.select(tables.procedures.c.id, ended).where(ended.is_not(None)).order_by(ended).limit(1)
            ).first()
            loose = (
                connection.execute(
                    sa.select(tables.events.c.seq)
                    .where(tables.events.c.procedure.is_(None), tables.events.c.at < ended_before)
                    .order_by(tables.events.c.seq)
                    .limit(_SLICE)
                )
                .scalars()
                .all()
            )
            if loose:
                self._remove_events(connection, loose)
                return True
            if oldest is None or (oldest.ended >= ended_before and self._bytes_in_use(connection) <= most_bytes):
                # each step frees one page, and only a script is stepped to the end
                sqlite: Any = connection.connection.driver_connection
                sqlite.executescript("PRAGMA incremental_vacuum")
                return False
            seqs = (
                connection.execute(
                    sa.select(tables.events.c.seq)
                    .where(tables.events.c.procedure == oldest.id)
                    .order_by(tables.events.c.seq)
                    .limit(_SLICE)
                )
                .scalars()
                .all()
            )
            if seqs:
                self._remove_events(connection, seqs)
            if len(seqs) < _SLICE:
                on_removal(oldest.id)
                connection.execute(tables.procedures.delete().where(tables.procedures.c.id == oldest.id))
                for table in (tables.kernels, tables.activities):
                    connection.execute(table.delete().where(table.c.procedure == oldest.id))
            return True

    def _remove_events(self, connection: sa.Connection, seqs: Sequence[int]) -> None:
        connection.execute(tables.events.delete().where(tables.events.c.seq.in_(seqs)))
        horizon = max(self._counter(connection, HORIZON), seqs[-1])
        _counters.put(connection, HORIZON, {"value": horizon})

    def _bytes_in_use(self, connection: sa.Connection) -> int:
        pages, free, size = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    # --- reading

    def revision(self) -> str:
        """Return the migration that the tables correspond to."""
        with self._explained(), self._engine.connect() as connection:
            return str(connection.execute(sa.select(tables.version.c.version_num)).scalar())

    def counter(self, name: str) -> int:
        """Return the last value of a counter; 0 if it was never counted."""
        with self._explained(), self._engine.connect() as connection:
            return self._counter(connection, name)

    def _counter(self, connection: sa.Connection, name: str) -> int:
        query = sa.select(tables.counters.c.value).where(tables.counters.c.name == name)
        value = connection.execute(query).scalar()
        if isinstance(value, int):
            return value
        # missing or broken: an id must still not be used twice
        if (table := {"procedure": tables.procedures, "activity": tables.activities}.get(name)) is None:
            return 0
        return int(connection.execute(sa.select(sa.func.max(table.c.id))).scalar() or 0)

    def last_seq(self) -> int:
        """Return the number of the newest event ever published."""
        with self._explained(), self._engine.connect() as connection:
            newest = connection.execute(sa.select(sa.func.max(tables.events.c.seq))).scalar() or 0
            return max(int(newest), self._counter(connection, HORIZON))

    def events(
        self,
        after: int,
        wanted: Filter,
        limit: int,
        up_to: int | None = None,
        *,
        most_bytes: int = PAGE_BYTES,
        longest: int | None = None,
    ) -> Page[Event]:
        """Read a page of events in order.

        Parameters
        ----------
        after
            Number of the event before the first one.
        wanted
            Filter of the events.
        limit
            Maximum number of events.
        up_to
            Number of the last event to consider; None for all.
        most_bytes
            Maximum number of bytes of data; a larger event is returned alone.
        longest
            Bytes above which an event is returned without its data, for `event_data` to read; None for no bound.
        """
        columns = tables.events.c
        data: sa.ColumnElement[Any] = columns.data
        if longest is not None:
            data = sa.case((sa.func.length(data) <= longest, data), else_=b"").label("data")
        query = sa.select(columns.seq, columns.topic, columns.procedure, data, columns.at)
        query = query.where(columns.seq > after).order_by(columns.seq).limit(limit)
        if up_to is not None:
            query = query.where(columns.seq <= up_to)
        if wanted.procedure is not None:
            query = query.where(columns.procedure == wanted.procedure)
        topics = [topic for topic in wanted.topics if topic not in ("", "all")]
        if topics and len(topics) == len(wanted.topics):
            query = query.where(sa.or_(*(_below(topic) for topic in topics)))
        for topic in wanted.exclude:
            query = query.where(sa.false() if topic in ("", "all") else sa.not_(_below(topic)))
        with self._explained(), self._engine.connect() as connection:
            events = (
                Event(one.seq, str(one.topic), one.procedure, _bytes(one.data), one.at)
                for one in connection.execute(query)
            )
            return _page(((event, len(event.data)) for event in events), limit, most_bytes)

    def event_data(self, seq: int, begin: int, size: int) -> bytes | None:
        """Read a piece of the data of an event.

        Parameters
        ----------
        seq
            Number of the event.
        begin
            Offset of the piece in bytes.
        size
            Maximum size of the piece in bytes.

        Returns
        -------
        bytes | None
            Piece of the data, empty after the end; None if the event was removed.
        """
        columns = tables.events.c
        query = sa.select(sa.func.substr(columns.data, begin + 1, size)).where(columns.seq == seq)
        with self._explained(), self._engine.connect() as connection:
            found = connection.execute(query).first()
        return None if found is None else _bytes(found[0])

    def active(self) -> list[ProcedureRow]:
        """Read the active procedures, in order of creation."""
        query = sa.select(tables.procedures).where(tables.procedures.c.ended.is_(None))
        return self._procedures(query.order_by(tables.procedures.c.id))

    def newest_inactive(self, limit: int) -> list[ProcedureRow]:
        """Read the procedures that ended last, in the order of their ends."""
        columns = tables.procedures.c
        query = sa.select(tables.procedures).where(columns.ended.is_not(None))
        return self._procedures(query.order_by(columns.ended.desc(), columns.id.desc()).limit(limit))[::-1]

    def archive(self, query: ArchiveQuery) -> Page[ProcedureRow]:
        """Read a page of all procedures that ever were, the newest first."""
        columns = tables.procedures.c
        select = sa.select(tables.procedures).order_by(columns.id.desc()).limit(query.limit)
        if query.states:
            select = select.where(columns.state.in_([state.name for state in query.states]))
        if query.script is not None:
            select = select.where(columns.script.contains(query.script, autoescape=True))
        if query.subarray is not None:
            select = select.where(columns.subarray == query.subarray)
        if query.since is not None:
            select = select.where(columns.created >= query.since)
        if query.until is not None:
            select = select.where(columns.created < query.until)
        if query.before is not None:
            select = select.where(columns.id < query.before)
        return self._page_of_procedures(select, query.limit, PAGE_BYTES)

    def ids(self) -> set[int]:
        """Return the ids of all procedures."""
        with self._explained(), self._engine.connect() as connection:
            return set(connection.execute(sa.select(tables.procedures.c.id)).scalars())

    def procedures(self, pids: Collection[int]) -> dict[int, ProcedureRow]:
        """Read procedures by their ids; unknown ids are left out."""
        found = self._procedures(sa.select(tables.procedures).where(tables.procedures.c.id.in_(pids)))
        return {row.id: row for row in found}

    def _procedures(self, query: sa.Select[Any]) -> list[ProcedureRow]:
        """Read a small number of procedures, without a bound."""
        return self._page_of_procedures(query, -1, sys.maxsize).rows

    def _page_of_procedures(self, query: sa.Select[Any], limit: int, most_bytes: int) -> Page[ProcedureRow]:
        with self._explained(), self._engine.connect() as connection:
            rows = ((self._procedure(one), len(_bytes(one.record))) for one in connection.execute(query))
            return _page(rows, limit, most_bytes)

    def _procedure(self, one: Any) -> ProcedureRow:
        """Read a procedure; if its record cannot be read, restore it from the other columns."""
        try:
            row = row_decoder.decode(_bytes(one.record))
            if row.id != one.id or not row.procedure.history.process_states:
                raise ValueError("it is the record of no procedure, or of another one")
        except (ValueError, RecursionError, TypeError) as error:
            self.unreadable[one.id] = _bytes(one.record)
            return _restored(one, error)
        return row

    def find_unreadable(self) -> list[ProcedureRow]:
        """Return the rows that are to replace all records of procedures that cannot be read.

        The records' bytes are in `unreadable` then.
        """
        found: list[ProcedureRow] = []
        query = ArchiveQuery(limit=_SLICE)
        while rows := self.archive(query).rows:
            found += [row for row in rows if row.id in self.unreadable]
            query = structs.replace(query, before=rows[-1].id)
        return found

    def kernels(self, procedures: Collection[int]) -> dict[int, KernelRow]:
        """Read the kernels of procedures, by procedure id."""
        columns = tables.kernels.c
        query = sa.select(columns.procedure, columns.kind, columns.address, columns.process, columns.offset)
        with self._explained(), self._engine.connect() as connection:
            rows = connection.execute(query.where(columns.procedure.in_(procedures)))
            found = {}
            for one in rows:
                if isinstance(one.address, str) and "\0" not in one.address and isinstance(one.offset, int):
                    found[one.procedure] = KernelRow(
                        procedure=one.procedure,
                        kind=str(one.kind),
                        address=one.address,
                        process=None if one.process is None else _bytes(one.process),
                        offset=max(one.offset, 0),
                    )
            return found

    def activities(self, limit: int) -> list[ActivityRow]:
        """Read the newest activities, in order of creation."""
        columns = tables.activities.c
        query = sa.select(columns.id, columns.procedure, columns.record).order_by(columns.id.desc()).limit(limit)
        with self._explained(), self._engine.connect() as connection:
            return [ActivityRow(one.id, one.procedure, _bytes(one.record)) for one in connection.execute(query)][::-1]

    def remove_activity(self, number: int) -> None:
        """Remove an activity that cannot be read."""
        with self._explained(), self._engine.begin() as connection:
            connection.execute(tables.activities.delete().where(tables.activities.c.id == number))

    def check(self) -> list[str]:
        """Run SQLite's check of the database; return the reported errors."""
        with self._explained(), self._engine.connect() as connection:
            said = connection.exec_driver_sql("PRAGMA quick_check").scalars().all()
            return [str(line) for line in said if line != "ok"]


def _is_of_the_row(error: Exception) -> bool:
    """Return whether an error recurs at every attempt to write a row, because of its values and not of the disk."""
    if isinstance(error, SQLAlchemyError):
        return isinstance(error, _OF_THE_ROW) or type(error) is sa.exc.StatementError
    return not isinstance(error, OSError | MemoryError)


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


def _page(found: Iterable[tuple[T, int]], limit: int, most_bytes: int) -> Page[T]:
    """Read rows up to a bound; at most one row beyond it is fetched.

    Parameters
    ----------
    found
        Rows from the database, with their sizes in bytes.
    limit
        Maximum number of rows; the database returns no more.
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


def _bytes(value: Any) -> bytes:
    """Convert the value of a column of bytes, in which SQLite allows any type."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


def _restored(row: Any, error: Exception) -> ProcedureRow:
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
_OF_THE_ROW = (sa.exc.DataError, sa.exc.IntegrityError, sa.exc.InterfaceError, sa.exc.ProgrammingError)
"""Errors of the database that recur at every attempt to write a row."""
_procedures, _kernels = _Rows(tables.procedures), _Rows(tables.kernels)
_activities, _counters = _Rows(tables.activities), _Rows(tables.counters)


def _below(topic: str) -> sa.ColumnElement[bool]:
    """Return the condition for a topic and those below it; by range, since LIKE ignores case."""
    column = tables.events.c.topic
    return (column == topic) | ((column >= f"{topic}.") & (column < f"{topic}/"))  # "/" comes after "."
