"""What is kept of procedures, kernels and activities, and the units in which it is written."""

from typing import Generic, Self, TypeVar

import msgspec
from msgspec import Struct, field

from oet_kernel.events.event import Event
from oet_kernel.models import ProcedureInput, ProcedureState
from oet_kernel.procedure import Procedure

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """Rows that were read at once."""

    rows: list[T]
    more: bool
    """Whether it ended at a bound, so that there may be more."""


class ProcedureRow(Struct, frozen=True, kw_only=True):
    """All that a service needs to go on with a procedure after another one has ended."""

    procedure: Procedure
    main: ProcedureInput = field(default_factory=ProcedureInput)
    """What ``main`` is called with where its start does not say."""
    request_id: float = 0.0
    """The newest request that events are told to follow from."""
    path: str | None = None
    """Where its script is; None until it was fetched."""
    repository: str | None = None
    """Address of the script's repository with the credentials that are shown to nobody, until it was fetched."""
    commit: str | None = None
    """Full hash of the commit that the script was taken from; None for a file."""
    source_sha256: str | None = None
    """Of the script as it was loaded; None before."""
    interests: list[str] = field(default_factory=list)
    """Topics of others that the script listens to."""
    abort: bool = False
    """The stop that was accepted is to be followed by the abort script."""
    abort_id: int | None = None
    """The procedure of that abort script; None before it was created."""
    autostart: bool = False
    """It is to be started as soon as it is READY."""
    controller: str | None = None
    """Who has taken control of its kernel."""

    @property
    def id(self) -> int:
        """The procedure's id."""
        return self.procedure.id


class KernelRow(Struct, frozen=True, kw_only=True):
    """A procedure's kernel, and how far it has been heard."""

    procedure: int
    folder: str
    process: bytes | None = None
    """How the process is known again, as JSON; None before it was started."""
    offset: int = 0
    """How far its journal has become events, in bytes."""


class ActivityRow(Struct, frozen=True):
    """An activity."""

    id: int
    procedure: int
    record: bytes
    """All of it, as JSON."""


Row = Event | ProcedureRow | KernelRow | ActivityRow
"""What is written as one row."""


class Refused(Struct, frozen=True):
    """A row that the database refuses, however often it is tried."""

    owner: str
    """Whose it is."""
    data: bytes
    why: str

    @classmethod
    def row(cls, row: Row, error: Exception) -> Self:
        """Describe a row and what the database says of it."""
        pid = row.id if isinstance(row, ProcedureRow) else row.procedure
        owner = "the service" if pid is None else f"procedure {pid}"
        data = row.data if isinstance(row, Event) else repr(row).encode("utf-8", "replace")
        return cls(owner, data if isinstance(data, bytes) else repr(data).encode("utf-8", "replace"), f"{error!r:.500}")


class Unit(Struct):
    """What is written in one transaction: all of it, or nothing."""

    events: list[Event] = field(default_factory=list)
    procedures: dict[int, ProcedureRow] = field(default_factory=dict)
    kernels: dict[int, KernelRow] = field(default_factory=dict)
    """By procedure."""
    activities: dict[int, ActivityRow] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        """All rows, in the order in which they are written."""
        return [*self.events, *self.procedures.values(), *self.kernels.values(), *self.activities.values()]

    def add(self, row: Row) -> None:
        """Take in one row; the last of a procedure or activity counts."""
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
        """Take in what is to be written after it."""
        self.events += later.events
        self.procedures.update(later.procedures)
        self.kernels.update(later.kernels)
        self.activities.update(later.activities)
        self.counters.update(later.counters)


class ArchiveQuery(Struct, frozen=True, kw_only=True):
    """Which procedures of all that ever were."""

    states: tuple[ProcedureState, ...] = ()
    """Any of these; empty for all."""
    script: str | None = None
    """Part of the script's URI."""
    subarray: str | None = None
    since: float | None = None
    """Created at this time or later, Unix seconds."""
    until: float | None = None
    """Created before this time, Unix seconds."""
    before: int | None = None
    """Only ids below this one: the page after the one that ended with it."""
    limit: int = 50


row_decoder = msgspec.json.Decoder(ProcedureRow)
