"""States, histories and summaries of procedures."""

from enum import Enum
from typing import Annotated, Any, Literal

from msgspec import Struct, field

from oet_kernel.models.calls import Calls, subarray_id_of
from oet_kernel.models.description import about
from oet_kernel.models.encoding import to_json
from oet_kernel.models.scripts import Script

RequestName = Literal["create", "start", "stop"]
DONE: dict[RequestName, str] = {"create": "created", "start": "started", "stop": "stopped"}
"""Past participle of each request."""

ProcedureId = Annotated[int, about("Id of the procedure, counted from 1 and never reused.", minimum=1)]


class ProcedureState(Enum):
    """State of a procedure."""

    CREATING = "CREATING"
    """Its kernel is being started."""
    IDLE = "IDLE"
    """Between two steps of its preparation."""
    PREP_ENV = "PREP_ENV"
    """The environment requested for its script is being built."""
    LOADING = "LOADING"
    """The script is being fetched and imported."""
    INITIALISING = "INITIALISING"
    """``init`` is running."""
    READY = "READY"
    """Prepared; ready to be started."""
    RUNNING = "RUNNING"
    """``main`` is running."""
    COMPLETE = "COMPLETE"
    """``main`` returned."""
    FAILED = "FAILED"
    """The script raised an exception, or its kernel died; the stack trace is kept."""
    STOPPED = "STOPPED"
    """Ended on request."""
    UNKNOWN = "UNKNOWN"
    """A stop was requested, but the process could not be ended."""

    @property
    def inactive(self) -> bool:
        """True for final states."""
        return self in INACTIVE


INACTIVE = frozenset({ProcedureState.COMPLETE, ProcedureState.FAILED, ProcedureState.STOPPED, ProcedureState.UNKNOWN})


class Pause(Struct, frozen=True):
    """Requested pause, until the procedure is resumed or has ended."""

    asked: Annotated[float, about("Time of the request in Unix seconds.")]
    at: Annotated[str | None, about("Pattern of the names of checkpoints; null for any.")] = None
    who: Annotated[str | None, about("Name of the requester; null if unknown.")] = None
    checkpoint: Annotated[
        str | None, about("Name of the checkpoint at which the procedure waits; null until it has reached one.")
    ] = None
    since: Annotated[float | None, about("Time at which the wait began, in Unix seconds; null before.")] = None
    pending: Annotated[
        Literal["pause", "resume"] | None,
        about(
            "Newest request if the kernel has not confirmed it yet: until then the script may pass checkpoints. "
            "The event procedure.lifecycle.pausing or procedure.lifecycle.resumed is published when it takes effect."
        ),
    ] = None

    def __str__(self) -> str:
        if self.pending == "resume":
            return "resume pending"
        if self.checkpoint is not None:
            return f"paused at {self.checkpoint}"
        said = "pausing" if self.pending is None else "pause pending"
        return said if self.at is None else f"{said} at {self.at}"


class ProcedureHistory(Struct, frozen=True):
    """States of a procedure with their times, and its stack trace."""

    process_states: Annotated[
        list[tuple[ProcedureState, float]], about("Each state entered and its time (Unix seconds, UTC), in order.")
    ] = field(default_factory=list)
    stacktrace: Annotated[
        str | None, about("Python traceback, or description of the kernel's end; null unless FAILED.")
    ] = None


class Returned(Struct, frozen=True, kw_only=True):
    """Value that ``main`` returned."""

    type: Annotated[str, about("Name of its class.", examples=["int", "numpy.ndarray"])]
    value: Annotated[Any, about("JSON form of the value; null if `text` is given instead.")] = None
    text: Annotated[
        str | None,
        about("Shortened `repr` of a value without JSON form, or shortened JSON if that is too long; otherwise null."),
    ] = None

    def __str__(self) -> str:
        return to_json(self.value).decode() if self.text is None else self.text


class ProcedureSummary(Struct, frozen=True, kw_only=True):
    """Procedure as sent to clients."""

    id: ProcedureId
    script: Annotated[Script, about("Script that it executes.")]
    script_args: Calls
    history: Annotated[ProcedureHistory, about("States entered so far, and the stack trace.")]
    state: Annotated[ProcedureState, about("Present state.")]
    uri: Annotated[str, about("Absolute URL of the procedure.", format="uri")]
    requested_by: Annotated[
        dict[RequestName, str],
        about(
            "Names of those who requested creation, start and stop, as far as known.",
            propertyNames={"enum": ["create", "start", "stop"]},
        ),
    ] = field(default_factory=dict)
    pause: Annotated[Pause | None, about("Requested pause; null if there is none.")] = None
    returned: Annotated[
        Returned | None, about("Value that `main` returned; null for None, and before it has returned.")
    ] = None

    @property
    def subarray_id(self) -> Any:
        """``subarray_id`` of the newest call that has one; None if there is none."""
        return subarray_id_of(call.kwargs for call in self.script_args.values())

    @property
    def standing(self) -> str:
        """Name of the state, followed by the pause if there is one: ``RUNNING (paused at scan 3)``."""
        return self.state.name if self.pause is None else f"{self.state.name} ({self.pause})"
