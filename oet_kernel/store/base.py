"""Store: what the service needs of a database, whichever it is.

Methods block. Those that write are called on the journal's thread alone, between two commits, so that a store has one
writer; those that read are called on any thread but the event loop's, where nothing else is said. Each raises
`StoreUnusable` when the database cannot be read or written at the moment; the caller may try again.
"""

from collections.abc import Callable, Collection
from typing import Protocol

from oet_kernel.bounds import PAGE_BYTES
from oet_kernel.events.event import Event, Filter
from oet_kernel.store.rows import ActivityRow, ArchiveQuery, KernelRow, Page, ProcedureRow, Refused, Unit

HORIZON = "horizon"
"""Name of the counter that holds the number of the newest event removed by retention."""


class Store(Protocol):
    """Procedures, kernels, events and activities of a service.

    Who opens a store (the assembly of the service, the doctor) chooses the database and names its class; all others are
    given the store and know this protocol.
    """

    unreadable: dict[int, bytes]
    """Records of procedures that could not be read so far, by procedure id; the service removes those it sets aside."""

    def close(self) -> None:
        """Close the database; called once, by the journal or the doctor, when nobody reads or writes any more."""

    # --- the journal, on its thread

    def write(self, unit: Unit) -> None:
        """Write a unit in one transaction, whole or not at all.

        Raises
        ------
        StoreUnusable
            When the unit cannot be written now; nothing of it is written then.
        Exception
            When the database refuses one of its rows at every attempt; nothing of the unit is written then.
        """

    def write_apart(self, unit: Unit) -> tuple[Unit, list[Refused]]:
        """Write a unit with a row that the database refuses: that row is replaced by a notice.

        Called after `write` has refused the unit.

        Returns
        -------
        tuple
            Unit as written, and the refused rows.

        Raises
        ------
        StoreUnusable
            When the unit cannot be written now; nothing of it is written then.
        """

    # --- retention and the service, on the journal's thread

    def trim(self, ended_before: float, most_bytes: int, on_removal: Callable[[int], None] = ...) -> bool:
        """Remove a slice of what retention no longer keeps: the procedures that ended first, with their events.

        Active procedures are kept, whatever their age. Retention calls it again and again; commits come in between.

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

    def remove_activity(self, number: int) -> None:
        """Remove an activity that cannot be read; called by the service at its start."""

    # --- numbers, on the event loop, at the start of the service or at the first id of a kind

    def counter(self, name: str) -> int:
        """Return the last value of a counter; 0 if it was never counted."""

    def last_seq(self) -> int:
        """Return the number of the newest event ever published."""

    # --- the service at its start, records, and handlers

    def active(self) -> list[ProcedureRow]:
        """Read the active procedures, in order of creation."""

    def newest_inactive(self, limit: int) -> list[ProcedureRow]:
        """Read the procedures that ended last, in the order of their ends."""

    def procedures(self, pids: Collection[int]) -> dict[int, ProcedureRow]:
        """Read procedures by their ids; unknown ids are left out."""

    def kernels(self, procedures: Collection[int]) -> dict[int, KernelRow]:
        """Read the kernels of procedures, by procedure id; a row that names no kernel is left out."""

    def activities(self, limit: int) -> list[ActivityRow]:
        """Read the newest activities, in order of creation."""

    def archive(self, query: ArchiveQuery) -> Page[ProcedureRow]:
        """Read a page of all procedures that ever were, the newest first."""

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
        """Read a page of events in order.

        Parameters
        ----------
        after
            Number of the event before the first one.
        wanted
            Filter of the events.
        limit
            Maximum number of events; None for no bound.
        up_to
            Number of the last event to consider; None for all.
        most_bytes
            Maximum number of bytes of data; a larger event is returned alone.
        longest
            Bytes above which an event is returned without its data, for `event_data` to read; None for no bound.
        """

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

    # --- the doctor

    def revision(self) -> str:
        """Return the migration that the tables correspond to."""

    def check(self) -> list[str]:
        """Run the database's own check of its integrity; return the reported errors."""

    def ids(self) -> set[int]:
        """Return the ids of all procedures."""

    def find_unreadable(self) -> list[ProcedureRow]:
        """Return the rows that are to replace all records of procedures that cannot be read.

        The records' bytes are in `unreadable` then.
        """
