"""Rows of procedures, kernels and activities, and the units in which they are written."""

from typing import Generic, Self, TypeVar

import msgspec
from msgspec import Struct, field

from oet_kernel.events.event import Event
from oet_kernel.models import ProcedureInput, ProcedureState
from oet_kernel.procedure import Procedure

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """Page of rows that are read at once."""

    rows: list[T]
    more: bool
    """True if the page ended at a bound, so that more rows may follow."""


class ProcedureRow(Struct, frozen=True, kw_only=True):
    """Stored state of a procedure, from which another service can restore it."""

    procedure: Procedure
    main: ProcedureInput = field(default_factory=ProcedureInput)
    """Arguments of ``main`` where its start gives none."""
    request_id: float = 0.0
    """Id of the newest request, which published events refer to."""
    path: str | None = None
    """Path of the script; None until it is fetched."""
    repository: str | None = None
    """Address of the script's repository with its secret credentials; None once the script is fetched."""
    commit: str | None = None
    """Full hash of the commit of the script; None for a file."""
    source_sha256: str | None = None
    """SHA-256 of the script as loaded; None before loading."""
    interests: list[str] = field(default_factory=list)
    """Topics of other sources that the script listens to."""
    abort: bool = False
    """True if the abort script is to follow the accepted stop."""
    abort_id: int | None = None
    """Id of the abort script's procedure; None before its creation."""
    autostart: bool = False
    """True if the procedure is to be started as soon as it is READY."""
    controller: str | None = None
    """Name of the user who has control of the kernel; None if nobody has."""

    @property
    def id(self) -> int:
        """Id of the procedure."""
        return self.procedure.id


class KernelRow(Struct, frozen=True, kw_only=True):
    """Kernel of a procedure, with the offset in its journal."""

    procedure: int
    kind: str = "local"
    """How the session is found again: ``local`` for a kernel on this machine."""
    address: str
    """Where the session is found, as its kind has it; path of the private folder of a local kernel."""
    process: bytes | None = None
    """Identity of the process, as JSON; None before its start."""
    offset: int = 0
    """Number of bytes of its journal that have become events."""


class ActivityRow(Struct, frozen=True):
    """Row of an activity."""

    id: int
    procedure: int
    record: bytes
    """Activity as JSON."""


Row = Event | ProcedureRow | KernelRow | ActivityRow
"""Data written as one row."""


class Refused(Struct, frozen=True):
    """Row that the database refuses at every attempt."""

    owner: str
    """Owner of the row, ``procedure 3``."""
    data: bytes
    why: str

    @classmethod
    def row(cls, row: Row, error: Exception) -> Self:
        """Create the description of a row and the database's error."""
        pid = row.id if isinstance(row, ProcedureRow) else row.procedure
        owner = "the service" if pid is None else f"procedure {pid}"
        data = row.data if isinstance(row, Event) else repr(row).encode("utf-8", "replace")
        return cls(owner, data if isinstance(data, bytes) else repr(data).encode("utf-8", "replace"), f"{error!r:.500}")


class Unit(Struct):
    """Data written in one transaction: all or nothing."""

    events: list[Event] = field(default_factory=list)
    procedures: dict[int, ProcedureRow] = field(default_factory=dict)
    kernels: dict[int, KernelRow] = field(default_factory=dict)
    """Kernels by procedure id."""
    activities: dict[int, ActivityRow] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        """All rows, in the order of writing."""
        return [*self.events, *self.procedures.values(), *self.kernels.values(), *self.activities.values()]

    def add(self, row: Row) -> None:
        """Add a row; it replaces an earlier one of the same procedure or activity."""
        match row:
            case Event():
                self.events.append(row)
            case ProcedureRow():
                self.procedures[row.id] = row
            case KernelRow():
                self.kernels[row.procedure] = row
            case ActivityRow():
                self.activities[row.id] = row

    def merge(self, later: "Unit") -> None:
        """Merge a later unit into this one."""
        self.events += later.events
        self.procedures.update(later.procedures)
        self.kernels.update(later.kernels)
        self.activities.update(later.activities)
        self.counters.update(later.counters)


class ArchiveQuery(Struct, frozen=True, kw_only=True):
    """Query for a page of the archive."""

    states: tuple[ProcedureState, ...] = ()
    """States to include; empty for all."""
    script: str | None = None
    """Text in the script's URI; None for all."""
    subarray: str | None = None
    since: float | None = None
    """Earliest time of creation in Unix seconds, included; None for no bound."""
    until: float | None = None
    """Latest time of creation in Unix seconds, excluded; None for no bound."""
    before: int | None = None
    """Id below which the page begins, the last id of the previous page; None for the first page."""
    limit: int = 50


row_decoder = msgspec.json.Decoder(ProcedureRow)
