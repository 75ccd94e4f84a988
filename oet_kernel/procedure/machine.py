"""State machine of a procedure: legal transitions, and the effect of facts.

Pure: a `Procedure` is an immutable record, a *fact* is an observation (the kernel is up, a call began or ended, the
process is gone, a stop was requested), and `apply` returns the procedure after it. The caller publishes the states
that were added.
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
from oet_kernel.procedure.facts import (
    CallFinished,
    CallStarted,
    EnvironmentFinished,
    EnvironmentStarted,
    Exited,
    Fact,
    Failed,
    KernelExited,
    KernelReady,
    LoadFinished,
    LoadStarted,
    PauseAsked,
    Paused,
    PauseEnded,
    PausePending,
    ResumePending,
    Started,
    StartWithdrawn,
    StopAccepted,
    StopGivenUp,
)

_S = ProcedureState
_END = frozenset({_S.FAILED, _S.STOPPED, _S.UNKNOWN})
_AT_WORK = frozenset({_S.LOADING, _S.INITIALISING, _S.RUNNING})
"""States in which code of the script runs."""

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
"""States that may follow each state; None stands for a procedure without a state."""


class Procedure(Struct, frozen=True, kw_only=True):
    """Execution of one script, with its history so far."""

    id: int
    script: Script
    calls: dict[str, ProcedureInput] = field(default_factory=dict)
    """Arguments of each requested function, by name; of ``main`` once it is started."""
    history: ProcedureHistory = field(default_factory=ProcedureHistory)
    requested_by: dict[RequestName, str] = field(default_factory=dict)
    """Name of the requester of each request, as far as known."""
    stopping: bool = False
    """True once a stop is accepted: only STOPPED or UNKNOWN can follow."""
    pause: Pause | None = None
    """Requested pause; None if there is none."""
    returned: Returned | None = None
    """Value that ``main`` returned; None for None, and before."""

    @property
    def state(self) -> ProcedureState:
        """Newest state."""
        return self.history.process_states[-1][0]

    @property
    def startable(self) -> bool:
        """True if ``main`` may be called now."""
        return self.state is _S.READY and "main" not in self.calls and not self.stopping

    @property
    def subarray_id(self) -> Any:
        """``subarray_id`` of the newest call that has one; None if there is none."""
        return subarray_id_of(call.kwargs for call in self.calls.values())

    @property
    def subarray(self) -> str:
        """Name of the subarray that it occupies while running; ``default`` without an id."""
        return "default" if self.subarray_id is None else str(self.subarray_id)


def create(pid: int, script: Script, init_args: ProcedureInput, at: float, who: str | None = None) -> Procedure:
    """Create a procedure in its first state.

    Parameters
    ----------
    pid
        Id of the procedure.
    script
        Script that it executes.
    init_args
        Arguments of ``init``.
    at
        Time of the creation in Unix seconds.
    who
        Name of the requester; None if unknown.
    """
    procedure = Procedure(id=pid, script=script, calls={"init": init_args}, requested_by=_noted({}, "create", who))
    return enter(procedure, at, _S.CREATING)


def enter(procedure: Procedure, at: float, *states: ProcedureState, stacktrace: str | None = None) -> Procedure:
    """Append states to a procedure's history, and check each transition.

    Parameters
    ----------
    procedure
        The procedure before.
    at
        Time in Unix seconds; if the clock stepped back, the newest time of the history is used instead.
    states
        States that it enters, in order.
    stacktrace
        Stack trace for the history, for FAILED; None to keep the present one.

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
    """Return the procedure after a fact.

    A fact without meaning in the procedure's state (a late message of a kernel, a second stop) changes nothing: kernels
    run code of users, and none of their messages may cause an illegal transition.

    Parameters
    ----------
    procedure
        The procedure before.
    fact
        Fact to apply.
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
        case KernelExited(status=0) if procedure.state in _AT_WORK:  # os._exit(0), or another program in the process
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
    """Apply a fact about a pause. The state does not change: a procedure that is paused in ``main`` is RUNNING."""
    pause = procedure.pause
    match fact:
        case PauseAsked():
            # a waiting task may have been cancelled: then the earlier request still holds
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
    """Return the request that is still to be confirmed after the kernel has confirmed a pause."""
    return "resume" if pause is not None and pause.pending == "resume" else None


def _step(procedure: Procedure, fact: Any) -> Procedure:
    """Apply a fact of regular progress: each fact advances a procedure only from the state that it belongs to."""
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
    """Return the summary of a procedure.

    Parameters
    ----------
    procedure
        Present procedure.
    base_url
        API root in the URI of the procedure.
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
