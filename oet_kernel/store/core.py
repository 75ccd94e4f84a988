"""CoreStore: a store in any relational database, by statements of SQLAlchemy Core."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import ClassVar

import sqlalchemy as sa
from msgspec import structs
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from oet_kernel.bounds import PAGE_BYTES
from oet_kernel.errors import StoreUnusable
from oet_kernel.events.event import Event, Filter
from oet_kernel.store import counting, queries, trimming, writing
from oet_kernel.store.decoding import (
    UNBOUNDED,
    activity_of,
    bytes_of,
    event_of,
    kernel_of,
    page_of,
    procedure_of,
)
from oet_kernel.store.rows import ActivityRow, ArchiveQuery, KernelRow, Page, ProcedureRow, Refused, Unit

_OF_THE_DATABASE = (SQLAlchemyError, OSError, MemoryError)
_UNREADABLE_PAGE = 1000
"""Number of procedures that are read at once in the search for records that cannot be read."""


class CoreStore(ABC):
    """Store in a relational database; a subclass adds what its database has of its own.

    The methods without an underscore are those of `oet_kernel.store.base.Store`, which describes them.

    Parameters
    ----------
    engine
        Engine of the database; disposed of by `close`.
    name
        Name of the database in errors.
    """

    refusals: ClassVar[tuple[type[SQLAlchemyError], ...]] = (sa.exc.DataError, sa.exc.IntegrityError)
    """Errors of the driver that recur at every attempt to write a row."""

    def __init__(self, engine: sa.Engine, name: str) -> None:
        self.unreadable: dict[int, bytes] = {}
        """Records of procedures that could not be read so far, by procedure id."""
        self._engine = engine
        self._name = name

    # --- what each database has of its own

    @abstractmethod
    def check(self) -> list[str]:
        """Run the database's own check of its integrity; return the reported errors."""

    @abstractmethod
    def _begin(self, connection: sa.Connection) -> None:
        """Begin a transaction that will write, where the driver does not."""

    @abstractmethod
    def _bytes_in_use(self, connection: sa.Connection) -> int:
        """Return the size of the database in bytes, without what was freed."""

    @abstractmethod
    def _release(self) -> None:
        """Return freed space to the disk; called when retention has removed all that it removes."""

    # --- connections

    # a layer of context less is 3 % of a commit, so `_writing` does not stand on `_explained`

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._explained(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """Open a connection in a transaction, committed at the end and taken back by an error."""
        try:
            with self._engine.begin() as connection:
                self._begin(connection)
                yield connection
        except _OF_THE_DATABASE as error:
            self._explain(error)
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except _OF_THE_DATABASE as error:
            self._explain(error)
            raise

    def _explain(self, error: Exception) -> None:
        """Raise `StoreUnusable` for an error of the database; no-op for one of a row."""
        if self._is_of_the_row(error):
            return
        why = error.orig if isinstance(error, DatabaseError) else error
        if isinstance(why, MemoryError):  # which has no message
            why = MemoryError("the service has no memory left")
        raise StoreUnusable(
            f"The database {self._name} cannot be used: {why}; run 'oet doctor', and see docs/how-to/recover.md",
            (why.strerror if isinstance(why, OSError) else None) or str(why),
        ) from error

    def _is_of_the_row(self, error: Exception) -> bool:
        """Return whether an error recurs at every attempt to write a row, because of its values and not of the disk."""
        if isinstance(error, SQLAlchemyError):
            return isinstance(error, self.refusals) or type(error) is sa.exc.StatementError
        return not isinstance(error, OSError | MemoryError)

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    # --- writing

    def write(self, unit: Unit) -> None:
        """Write a unit in one transaction, whole or not at all."""
        with self._writing() as connection:
            writing.write_together(connection, unit)

    def write_apart(self, unit: Unit) -> tuple[Unit, list[Refused]]:
        """Write a unit row by row; a row that the database refuses is replaced by a notice."""
        with self._writing() as connection:
            return writing.write_apart(connection, unit, self._is_of_the_row)

    def trim(self, ended_before: float, most_bytes: int, on_removal: Callable[[int], None] = lambda pid: None) -> bool:
        """Remove a slice of what retention no longer keeps; return True if there may be more."""
        with self._writing() as connection:
            more = trimming.remove_slice(
                connection, ended_before, lambda: self._bytes_in_use(connection) > most_bytes, on_removal
            )
        if not more:
            self._release()
        return more

    def remove_activity(self, number: int) -> None:
        """Remove an activity."""
        with self._writing() as connection:
            trimming.remove_activity(connection, number)

    # --- reading

    def revision(self) -> str:
        """Return the migration that the tables correspond to."""
        with self._reading() as connection:
            return str(connection.execute(queries.revision()).scalar())

    def counter(self, name: str) -> int:
        """Return the last value of a counter."""
        with self._reading() as connection:
            return counting.counter(connection, name)

    def last_seq(self) -> int:
        """Return the number of the newest event ever published."""
        with self._reading() as connection:
            return counting.last_seq(connection)

    def events(
        self,
        after: int,
        wanted: Filter,
        limit: int | None,
        up_to: int | None = None,
        *,
        most_bytes: int = PAGE_BYTES,
        longest: int | None = None,
    ) -> Page[Event]:
        """Read a page of events in order."""
        with self._reading() as connection:
            found = map(event_of, connection.execute(queries.events(after, wanted, limit, up_to, longest)))
            return page_of(((event, len(event.data)) for event in found), limit, most_bytes)

    def event_data(self, seq: int, begin: int, size: int) -> bytes | None:
        """Read a piece of the data of an event."""
        with self._reading() as connection:
            found = connection.execute(queries.event_data(seq, begin, size)).first()
        return None if found is None else bytes_of(found[0])

    def active(self) -> list[ProcedureRow]:
        """Read the active procedures, in order of creation."""
        return self._procedures(queries.active()).rows

    def newest_inactive(self, limit: int) -> list[ProcedureRow]:
        """Read the procedures that ended last, in the order of their ends."""
        return self._procedures(queries.newest_inactive(limit)).rows[::-1]

    def archive(self, query: ArchiveQuery) -> Page[ProcedureRow]:
        """Read a page of all procedures, the newest first."""
        return self._procedures(queries.archive(query), query.limit, PAGE_BYTES)

    def procedures(self, pids: Collection[int]) -> dict[int, ProcedureRow]:
        """Read procedures by their ids."""
        return {row.id: row for row in self._procedures(queries.procedures(pids)).rows}

    def _procedures(
        self, query: "sa.Select[tuple[object, ...]]", limit: int | None = None, most_bytes: int = UNBOUNDED
    ) -> Page[ProcedureRow]:
        with self._reading() as connection:
            found = connection.execute(query)
            rows = ((procedure_of(row, self.unreadable), len(bytes_of(row.record))) for row in found)
            return page_of(rows, limit, most_bytes)

    def ids(self) -> set[int]:
        """Return the ids of all procedures."""
        with self._reading() as connection:
            return set(connection.execute(queries.ids()).scalars())

    def find_unreadable(self) -> list[ProcedureRow]:
        """Return the rows that are to replace all records of procedures that cannot be read."""
        found: list[ProcedureRow] = []
        query = ArchiveQuery(limit=_UNREADABLE_PAGE)
        while rows := self.archive(query).rows:
            found += [row for row in rows if row.id in self.unreadable]
            query = structs.replace(query, before=rows[-1].id)
        return found

    def kernels(self, procedures: Collection[int]) -> dict[int, KernelRow]:
        """Read the kernels of procedures, by procedure id."""
        with self._reading() as connection:
            found = map(kernel_of, connection.execute(queries.kernels(procedures)))
            return {row.procedure: row for row in found if row is not None}

    def activities(self, limit: int) -> list[ActivityRow]:
        """Read the newest activities, in order of creation."""
        with self._reading() as connection:
            return [activity_of(row) for row in connection.execute(queries.activities(limit))][::-1]
