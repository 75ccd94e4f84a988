"""States, pauses and results of procedures and activities."""

from typing import Annotated

from oet_kernel.models.activities import ActivitySummary
from oet_kernel.models.description import about
from oet_kernel.models.procedures import ProcedureState, ProcedureSummary
from oet_kernel.topics import names
from oet_kernel.topics.data import EventData, RequestData


class StateEntered(EventData, frozen=True, kw_only=True, tag=names.STATECHANGE):
    """A procedure has entered a state."""

    new_state: Annotated[ProcedureState, about("State that it has entered.")]


class StackTraceKept(EventData, frozen=True, kw_only=True, tag=names.STACKTRACE):
    """A procedure has become FAILED."""

    stacktrace: Annotated[str, about("Python traceback, or description of the kernel's end.")]


class ProcedureCreated(RequestData, frozen=True, kw_only=True, tag=names.CREATED):
    """A procedure was created."""

    result: Annotated[ProcedureSummary, about("The procedure.")]


class ProcedureStarted(RequestData, frozen=True, kw_only=True, tag=names.STARTED):
    """`init` or `main` of a procedure has begun; the state in the summary tells which."""

    result: Annotated[ProcedureSummary, about("The procedure.")]


class ProcedureComplete(RequestData, frozen=True, kw_only=True, tag=names.COMPLETE):
    """A procedure has become COMPLETE."""

    result: Annotated[ProcedureSummary, about("The procedure.")]


class ProcedureFailed(RequestData, frozen=True, kw_only=True, tag=names.FAILED):
    """A procedure has become FAILED."""

    result: Annotated[ProcedureSummary, about("The procedure.")]


class ProcedureStopped(RequestData, frozen=True, kw_only=True, tag=names.STOPPED):
    """A procedure was stopped."""

    result: Annotated[
        ProcedureSummary | list[ProcedureSummary],
        about("The procedure; or, where an abort script was requested, the procedures of abort scripts started."),
    ]


class PauseAwaited(EventData, frozen=True, kw_only=True, tag=names.PAUSING):
    """A procedure is to pause at a checkpoint."""

    at: Annotated[str | None, about("Pattern of the checkpoint's name; null for the next checkpoint.")]
    who: Annotated[str | None, about("Name of the requester; null if unknown.")]


class ProcedurePaused(EventData, frozen=True, kw_only=True, tag=names.PAUSED):
    """A procedure waits at a checkpoint."""

    checkpoint: Annotated[str, about("Name of the checkpoint.")]


class ProcedureResumed(EventData, frozen=True, kw_only=True, tag=names.RESUMED):
    """A procedure goes on after a pause, or a requested pause was withdrawn."""

    checkpoint: Annotated[str | None, about("Name of the checkpoint at which it waited; null if at none.")]
    who: Annotated[str | None, about("Name of the requester; null if unknown.")]


class PauseMissed(EventData, frozen=True, kw_only=True, tag=names.UNPAUSED):
    """A requested pause has no effect any more."""

    why: Annotated[str, about("Reason.", examples=["main has ended"])]


class ProceduresListed(RequestData, frozen=True, kw_only=True, tag=names.POOL_LIST):
    """Summaries of procedures were sent to who requested them; only if `OetApp.announce_lists` is set."""

    result: Annotated[list[ProcedureSummary], about("The procedures.")]


class ActivityStarted(RequestData, frozen=True, kw_only=True, tag=names.ACTIVITY_RUNNING):
    """An activity was created; its procedure is being prepared."""

    result: Annotated[ActivitySummary, about("The activity.")]


class ActivitiesListed(RequestData, frozen=True, kw_only=True, tag=names.ACTIVITY_LIST):
    """Summaries of activities were sent to who requested them; only if `OetApp.announce_lists` is set."""

    result: Annotated[list[ActivitySummary], about("The activities.")]
