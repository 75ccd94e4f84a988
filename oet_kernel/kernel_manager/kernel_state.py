"""State machine of one kernel as its service sees it: from the start of the process to its last record.

Pure: a `KernelState` is an immutable record, a *fact* is an observation (the process was started or has ended, a record
or a request was seen), and `apply` returns the state after it. `oet_kernel.kernel_manager.life` lets callers wait for a
state.
"""

from enum import IntEnum

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from oet_kernel.kernel_manager.session import AtWork
from oet_kernel.protocol import ABILITIES, CallReport, Hello, Idle, Record


class Life(IntEnum):
    """Part of a kernel's life; a later one never goes back to an earlier one."""

    NEW = 0
    """The process was not started."""
    RUNNING = 1
    ENDED = 2
    """The process has ended, and its id may be given to another; its descendants may be at work."""
    GONE = 3
    """Its descendants have ended, too."""
    WRITTEN = 4
    """The journal holds its last record."""
    HEARD = 5
    """All records were delivered."""


class KernelState(Struct, frozen=True, kw_only=True):
    """State of one kernel."""

    life: Life = Life.NEW
    ready: bool = False
    """True once the kernel has announced that it takes requests."""
    abilities: tuple[str, ...] = ABILITIES
    """Abilities that it has announced."""
    at_work: AtWork = None
    """Newest of the requests that call functions of the script."""
    idle: bool = False
    """True while the kernel is ready and no function of the script runs."""
    caught_up: bool = False
    """True once all records from before the start or the adoption were delivered, or no more can be."""
    detached: bool = False
    """True once the kernel was left to the next service."""

    @property
    def started(self) -> bool:
        """True once the process was started; it may have ended since."""
        return self.life >= Life.RUNNING

    @property
    def running(self) -> bool:
        """True while the process id is the kernel's."""
        return self.life is Life.RUNNING

    @property
    def alive(self) -> bool:
        """True while the process or its descendants may be at work."""
        return Life.RUNNING <= self.life < Life.GONE

    @property
    def gone(self) -> bool:
        """True once the process and its descendants have ended."""
        return self.life >= Life.GONE

    @property
    def heard(self) -> bool:
        """True once all records were delivered."""
        return self.life is Life.HEARD

    @property
    def attached(self) -> bool:
        """True while records are delivered to this service, and requests are sent by it."""
        return self.started and not self.heard and not self.detached


class Launched(Struct, frozen=True):
    """The process was started by this service."""


class Adopted(Struct, frozen=True):
    """The process was started by an earlier service."""

    ended: bool
    """True if it has ended since."""
    ready: bool
    """True if it had announced that it takes requests."""
    abilities: tuple[str, ...] = ABILITIES
    at_work: AtWork = None
    """Request that it had not finished; None if no function of the script runs."""


class Announced(Struct, frozen=True):
    """The kernel has announced that it takes requests."""

    abilities: tuple[str, ...] = ABILITIES


class Asked(Struct, frozen=True):
    """The kernel is sent a request that calls functions of the script."""

    request: AtWork


class CallEnded(Struct, frozen=True):
    """The last function of the script that the request calls has ended."""


class RequestEnded(Struct, frozen=True):
    """The kernel has finished a request."""

    request: str


class CaughtUp(Struct, frozen=True):
    """All that the journal held was delivered, or it cannot be read."""


class Reached(Struct, frozen=True):
    """A part of the kernel's life has begun."""

    life: Life


class Detached(Struct, frozen=True):
    """The kernel was left to the next service."""


Fact = Launched | Adopted | Announced | Asked | CallEnded | RequestEnded | CaughtUp | Reached | Detached


def apply(state: KernelState, fact: Fact) -> KernelState:
    """Apply a fact to a state.

    Parameters
    ----------
    state
        State before the fact.
    fact
        What was observed.

    Returns
    -------
    KernelState
        State after it; the same object where the fact changes nothing.
    """
    if not state.started and not isinstance(fact, Launched | Adopted):
        return state
    if state.detached and not isinstance(fact, CaughtUp):
        return state
    after = _applied(state, fact)
    return state if after == state else after


def _applied(state: KernelState, fact: Fact) -> KernelState:
    match fact:
        case Launched():
            return replace(state, life=max(state.life, Life.RUNNING))
        case Adopted() if not state.started:
            return replace(
                state,
                life=Life.ENDED if fact.ended else Life.RUNNING,
                ready=fact.ready,
                abilities=fact.abilities,
                at_work=fact.at_work,
                idle=fact.at_work is None,
            )
        case Announced() if not state.ready:
            return replace(state, ready=True, abilities=fact.abilities, idle=True)
        case Asked():
            return replace(state, at_work=fact.request, idle=False)
        case CallEnded():
            return replace(state, idle=True)
        case RequestEnded():
            return replace(state, idle=state.idle or fact.request == state.at_work)
        case CaughtUp():
            return replace(state, caught_up=True)
        case Reached():
            life = max(state.life, fact.life)
            return replace(state, life=life, caught_up=state.caught_up or life is Life.HEARD)
        case Detached() if state.attached:
            return replace(state, detached=True)
        case _:
            return state


def fact_of(record: Record) -> Fact | None:
    """Return the fact about the kernel that a record of it tells; None if it tells none.

    Parameters
    ----------
    record
        Record of the kernel.
    """
    try:
        if record.type == Hello.msg_type:
            return Announced(_abilities(record))
        if record.type == Idle.msg_type:
            return RequestEnded(msgspec.json.decode(record.content, type=Idle).request)
        if record.type != CallReport.msg_type:
            return None
        report = msgspec.json.decode(record.content, type=CallReport)
    except (msgspec.DecodeError, RecursionError):  # a script may forge it
        return None
    if report.call == "load" and report.phase == "finished":
        return None if report.has_init else CallEnded()
    return CallEnded() if report.phase in ("finished", "exited", "failed") else None


def _abilities(record: Record) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(record.content, type=Hello).can
    except (msgspec.DecodeError, RecursionError):  # a script may forge it
        return ABILITIES
