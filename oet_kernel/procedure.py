"""The state machine of a procedure: which state may follow which, and what a fact does to a procedure.

Pure: a `Procedure` is an immutable record, a *fact* is something that was observed (the kernel is up, a call began or
ended, the process is gone, somebody asked for a stop), and `apply` gives the procedure after it. Whoever drives it
publishes the states that were added.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from oet_kernel.errors import IllegalTransition
from oet_kernel.models import (
    INACTIVE,
    Pause,
    ProcedureHistory,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
    RequestName,
    Returned,
    Script,
    subarray_id_of,
)

_S = ProcedureState
_END = frozenset({_S.FAILED, _S.STOPPED, _S.UNKNOWN})
_AT_WORK = frozenset({_S.LOADING, _S.INITIALISING, _S.RUNNING})
"""States in which something of the script runs."""

TRANSITIONS: Mapping[ProcedureState | None, frozenset[ProcedureState]] = MappingProxyType(
    {
        None: frozenset({_S.CREATING}),
        _S.CREATING: _END | {_S.IDLE},
        _S.IDLE: _END | {_S.PREP_ENV, _S.LOADING, _S.INITIALISING, _S.READY},
        _S.PREP_ENV: _END | {_S.IDLE},
        _S.LOADING: _END | {_S.IDLE, _S.COMPLETE},
        _S.INITIALISING: _END | {_S.READY, _S.COMPLETE},
        _S.READY: _END | {_S.RUNNING, _S.COMPLETE},
        _S.RUNNING: _END | {_S.READY},
        _S.COMPLETE: frozenset(),
        _S.FAILED: frozenset(),
        _S.STOPPED: frozenset(),
        _S.UNKNOWN: frozenset(),
    }
)
"""The states that may follow each state; None stands for a procedure that has none yet."""


class Procedure(Struct, frozen=True, kw_only=True):
    """One execution of one script, as far as it got."""

    id: int
    script: Script
    calls: dict[str, ProcedureInput] = field(default_factory=dict)
    """The arguments of each function that was asked for, by name; ``main`` once it was started."""
    history: ProcedureHistory = field(default_factory=ProcedureHistory)
    requested_by: dict[RequestName, str] = field(default_factory=dict)
    """Who has asked for what, as far as that is known."""
    stopping: bool = False
    """A stop was accepted: only STOPPED or UNKNOWN can follow."""
    pause: Pause | None = None
    """The pause that is asked for; None without."""
    returned: Returned | None = None
    """What ``main`` returned; None for None, and before."""

    @property
    def state(self) -> ProcedureState:
        """The newest state."""
        return self.history.process_states[-1][0]

    @property
    def startable(self) -> bool:
        """True when ``main`` may be called now."""
        return self.state is _S.READY and "main" not in self.calls and not self.stopping

    @property
    def subarray_id(self) -> Any:
        """The ``subarray_id`` that it was given by the newest call that has one; None without."""
        return subarray_id_of(self.calls)

    @property
    def subarray(self) -> str:
        """The slot it occupies while it runs."""
        return "default" if self.subarray_id is None else str(self.subarray_id)


class KernelReady(Struct, frozen=True):
    """The kernel takes requests."""

    at: float


class EnvironmentStarted(Struct, frozen=True):
    """The building of the script's environment began."""

    at: float


class EnvironmentFinished(Struct, frozen=True):
    """The script's environment is there."""

    at: float


class LoadStarted(Struct, frozen=True):
    """The script is being fetched or imported."""

    at: float


class LoadFinished(Struct, frozen=True):
    """The script was imported."""

    at: float
    has_init: bool
    """Whether ``init`` is called next."""
    source_sha256: str | None = None
    """Of the source as it was loaded; None where the kernel does not say."""


class CallStarted(Struct, frozen=True):
    """``init`` or ``main`` began to run."""

    at: float
    call: str


class CallFinished(Struct, frozen=True):
    """``init`` or ``main`` returned."""

    at: float
    call: str
    returned: Returned | None = None
    """What ``main`` returned."""


class Exited(Struct, frozen=True):
    """The script ended by ``sys.exit(0)`` ahead of its ``main``: well, and there is nothing more to run."""

    at: float


class Failed(Struct, frozen=True):
    """A step raised, or could not be done."""

    at: float
    stacktrace: str
    quiet: bool = False
    """Whether the kernel says that nothing of the script is at work any more."""


class StopAccepted(Struct, frozen=True):
    """Somebody asked for the end."""

    at: float
    who: str | None = None


class StopGivenUp(Struct, frozen=True):
    """The process outlived every means of ending it."""

    at: float


class KernelExited(Struct, frozen=True):
    """The kernel's process is gone."""

    at: float
    description: str
    """Exit code or signal and the last output; the stack trace if nobody asked for the end."""
    status: int | None = None
    """Exit code, or minus the number of the signal; None where nobody knows."""


class Started(Struct, frozen=True):
    """``main`` was asked for."""

    at: float
    arguments: ProcedureInput
    who: str | None = None


class StartWithdrawn(Struct, frozen=True):
    """Whoever asked for ``main`` was told that it could not be written down, and so will not be called."""

    at: float


class PauseAsked(Struct, frozen=True):
    """A pause is asked for, and nothing waits."""

    at: float
    checkpoints: str | None
    """Pattern of those that it is meant for; None for any."""
    who: str | None = None
    """Who has asked for it."""


class PausePending(Struct, frozen=True):
    """A pause is asked for, of which the kernel does not know yet."""

    at: float
    checkpoints: str | None
    who: str | None = None


class ResumePending(Struct, frozen=True):
    """The end of a pause is asked for, of which the kernel does not know yet."""

    at: float


class Paused(Struct, frozen=True):
    """The script waits at a checkpoint."""

    at: float
    checkpoint: str


class PauseEnded(Struct, frozen=True):
    """No pause is asked for any more."""

    at: float


Fact = (
    KernelReady
    | EnvironmentStarted
    | EnvironmentFinished
    | LoadStarted
    | LoadFinished
    | CallStarted
    | CallFinished
    | Exited
    | Failed
    | StopAccepted
    | StopGivenUp
    | KernelExited
    | Started
    | StartWithdrawn
    | PauseAsked
    | PausePending
    | ResumePending
    | Paused
    | PauseEnded
)


def create(pid: int, script: Script, init_args: ProcedureInput, at: float, who: str | None = None) -> Procedure:
    """Make a procedure in its first state.

    Parameters
    ----------
    pid
        Its id.
    script
        What it will run.
    init_args
        What ``init`` will be called with.
    at
        Unix seconds.
    who
        Who has asked for it.
    """
    procedure = Procedure(id=pid, script=script, calls={"init": init_args}, requested_by=_noted({}, "create", who))
    return enter(procedure, at, _S.CREATING)


def enter(procedure: Procedure, at: float, *states: ProcedureState, stacktrace: str | None = None) -> Procedure:
    """Add states to a procedure's history, checking that each may follow.

    Parameters
    ----------
    procedure
        The procedure before.
    at
        Unix seconds; where the clock stepped back, the newest time of the history is taken instead.
    states
        The states it enters, in order.
    stacktrace
        Kept in the history; for FAILED.

    Raises
    ------
    IllegalTransition
        When a state cannot follow the one before it.
    """
    past = list(procedure.history.process_states)
    for state in states:
        current = past[-1][0] if past else None
        if state not in TRANSITIONS[current]:
            name = current.name if current else "nothing"
            raise IllegalTransition(f"Procedure {procedure.id} cannot become {state.name} after {name}")
        past.append((state, max(at, past[-1][1]) if past else at))
    trace = stacktrace if stacktrace is not None else procedure.history.stacktrace
    pause = None if past and past[-1][0] in INACTIVE else procedure.pause
    return replace(procedure, history=ProcedureHistory(past, trace), pause=pause)


def apply(procedure: Procedure, fact: Fact) -> Procedure:
    """Give the procedure after a fact.

    A fact that means nothing in the procedure's state (a late message of a kernel, a second stop) leaves it as it is:
    kernels run other people's code, and nothing they send can bring a procedure into a state that may not follow.

    Parameters
    ----------
    procedure
        The procedure before.
    fact
        What was observed.
    """
    if procedure.state in INACTIVE:
        return procedure
    if procedure.stopping:
        match fact:
            case KernelExited():
                return enter(procedure, fact.at, _S.STOPPED)
            case StopGivenUp():
                return enter(procedure, fact.at, _S.UNKNOWN)
            case _:
                return procedure
    match fact:
        case StopAccepted():
            return replace(procedure, stopping=True, requested_by=_noted(procedure.requested_by, "stop", fact.who))
        case StopGivenUp():
            return procedure
        case Failed():
            return enter(procedure, fact.at, _S.FAILED, stacktrace=fact.stacktrace)
        case KernelExited(status=0) if procedure.state in _AT_WORK:  # os._exit(0), or a program in its place
            return _ended_well(procedure, fact.at)
        case KernelExited():
            return enter(procedure, fact.at, _S.FAILED, stacktrace=fact.description)
        case Started():
            if not procedure.startable:
                return procedure
            requested_by = _noted(procedure.requested_by, "start", fact.who)
            return replace(procedure, calls={**procedure.calls, "main": fact.arguments}, requested_by=requested_by)
        case StartWithdrawn():
            if procedure.state is not _S.READY:
                return procedure
            calls = {name: given for name, given in procedure.calls.items() if name != "main"}
            return replace(procedure, calls=calls, requested_by=_noted(procedure.requested_by, "start", None))
        case PauseAsked() | PausePending() | ResumePending() | Paused() | PauseEnded():
            return _paused(procedure, fact)
        case _:
            return _step(procedure, fact)


def _ended_well(procedure: Procedure, at: float) -> Procedure:
    return enter(procedure, at, *((_S.READY,) if procedure.state is _S.RUNNING else ()), _S.COMPLETE)


def _noted(requested_by: Mapping[RequestName, str], request: RequestName, who: str | None) -> dict[RequestName, str]:
    others = {name: one for name, one in requested_by.items() if name != request}
    return {**others, request: who} if who else others


def _paused(procedure: Procedure, fact: PauseAsked | PausePending | ResumePending | Paused | PauseEnded) -> Procedure:
    """Follow a pause. Its state stays what it is: a procedure that is paused in ``main`` is RUNNING."""
    pause = procedure.pause
    match fact:
        case PauseAsked():
            # a task that waited may have been cancelled: the pause is the one that was asked for before
            kept = pause is not None and (pause.checkpoint is not None or pause.pending == "pause")
            asked = pause.asked if pause is not None and kept else fact.at
            return replace(procedure, pause=Pause(asked, fact.checkpoints, fact.who, pending=_not_confirmed(pause)))
        case PausePending() if pause is None or pause.checkpoint is None:
            return replace(procedure, pause=Pause(fact.at, fact.checkpoints, fact.who, pending="pause"))
        case ResumePending() if pause is not None:
            return replace(procedure, pause=replace(pause, pending="resume"))
        case Paused() if pause is not None and pause.checkpoint != fact.checkpoint:
            pause = replace(pause, checkpoint=fact.checkpoint, since=fact.at, pending=_not_confirmed(pause))
            return replace(procedure, pause=pause)
        case PauseEnded() if pause is not None:
            return replace(procedure, pause=None)
        case _:
            return procedure


def _not_confirmed(pause: Pause | None) -> Literal["resume"] | None:
    """Return what is still to be confirmed once the kernel has said that it pauses."""
    return "resume" if pause is not None and pause.pending == "resume" else None


def _step(procedure: Procedure, fact: Any) -> Procedure:
    """Follow the good path: each fact moves a procedure on only from the state it belongs to."""
    match procedure.state, fact:
        case _S.CREATING, KernelReady():
            return enter(procedure, fact.at, _S.IDLE)
        case _S.CREATING, EnvironmentStarted():
            return enter(procedure, fact.at, _S.IDLE, _S.PREP_ENV)
        case _S.PREP_ENV, EnvironmentFinished():
            return enter(procedure, fact.at, _S.IDLE)
        case _S.IDLE, LoadStarted():
            return enter(procedure, fact.at, _S.LOADING)
        case _S.LOADING, LoadFinished():
            after = (_S.IDLE,) if fact.has_init else (_S.IDLE, _S.READY)
            return enter(procedure, fact.at, *after)
        case _S.IDLE, CallStarted(call="init"):
            return enter(procedure, fact.at, _S.INITIALISING)
        case _S.INITIALISING, CallFinished(call="init"):
            return enter(procedure, fact.at, _S.READY)
        case _S.READY, CallStarted(call="main") if "main" in procedure.calls:
            return enter(procedure, fact.at, _S.RUNNING)
        case _S.RUNNING, CallFinished(call="main"):
            return _ended_well(replace(procedure, returned=fact.returned), fact.at)
        case ((_S.LOADING | _S.INITIALISING), Exited()):
            return _ended_well(procedure, fact.at)
        case _:
            return procedure


def summary_of(procedure: Procedure, base_url: str) -> ProcedureSummary:
    """Tell clients all about a procedure.

    Parameters
    ----------
    procedure
        As it is now.
    base_url
        API root in its URI.
    """
    return ProcedureSummary(
        id=procedure.id,
        script=procedure.script,
        script_args=procedure.calls,
        history=procedure.history,
        state=procedure.state,
        uri=f"{base_url}/procedures/{procedure.id}",
        requested_by=procedure.requested_by,
        pause=procedure.pause,
        returned=procedure.returned,
    )
