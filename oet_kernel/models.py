"""Vocabulary of the project: procedure states, scripts, commands, histories, summaries.

Typed immutable records, with the same meaning in the service, on the wire and in the clients. This module imports
no other module of the project. Names of classes and fields are those of the original Observation Execution Tool.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType, field


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


class GitArgs(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Repository and version of a script."""

    git_repo: str
    """URL of the repository, in any form that ``git clone`` accepts."""
    git_branch: str | None = None
    """Branch; None, without a commit, for the repository's default branch."""
    git_commit: str | None = None
    """Commit hash; takes precedence over a branch."""


class FileSystemScript(
    Struct, frozen=True, kw_only=True, tag_field="script_type", tag="filesystem", omit_defaults=True
):
    """A script in a file that the service can read."""

    script_uri: str
    """``file:///absolute/path.py``, or ``.ipynb`` for a notebook."""
    kernel: str | None = None
    """Kernelspec that runs the cells of a notebook; None for the one that the notebook names."""
    own_folder: bool = False
    """Run in the file's folder instead of the service's working folder."""
    working_folder: str | None = None
    """Absolute path of the working folder on the service's machine; None for the service's working folder."""


class GitScript(Struct, frozen=True, kw_only=True, tag_field="script_type", tag="git", omit_defaults=True):
    """A script in a git repository."""

    script_uri: str
    """``git://path/inside/the/repository.py``, or ``.ipynb`` for a notebook."""
    git_args: GitArgs
    """The repository and its version."""
    create_env: bool = False
    """Run the script in an environment built from the repository's own dependencies."""
    kernel: str | None = None
    """As for `FileSystemScript`."""
    own_folder: bool = False
    """As for `FileSystemScript`; the folder lies in the procedure's own checkout."""
    working_folder: str | None = None
    """As for `FileSystemScript`."""


Script = FileSystemScript | GitScript


class Typed(Struct, frozen=True):
    """Arguments as typed by a user."""

    args: list[str | None] = field(default_factory=list)
    """Text of each positional argument; None where the value is known."""
    kwargs: dict[str, str] = field(default_factory=dict)
    """Texts of keyword arguments, without those whose value is known."""
    words: list[str] = field(default_factory=list)
    """All words in order, for a script that reads its command line; empty if unknown."""


class ProcedureInput(Struct, frozen=True):
    """Arguments of one call."""

    args: list[Any] = field(default_factory=list)
    """Positional arguments, any JSON values."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments, any JSON values."""
    typed: Typed | UnsetType = UNSET
    """Texts from which the values were read as literals; where the script's annotation is text, the text is the value.

    The service or the kernel, whichever can read the annotation, decides and then removes the texts.
    """

    def over(self, usual: "ProcedureInput") -> "ProcedureInput":
        """Return these arguments, completed by the usual ones where they are missing."""
        kwargs = {**usual.kwargs, **self.kwargs}
        theirs, ours = (Typed() if isinstance(one.typed, UnsetType) else one.typed for one in (usual, self))
        left = {name: text for name, text in theirs.kwargs.items() if name not in self.kwargs}
        typed = Typed((ours if self.args else theirs).args, {**left, **ours.kwargs})
        return ProcedureInput(self.args or usual.args, kwargs, typed if typed.args or typed.kwargs else UNSET)


FunctionName = Literal["init", "main"]
RequestName = Literal["create", "start", "stop"]
DONE: dict[RequestName, str] = {"create": "created", "start": "started", "stop": "stopped"}
"""Past participle of each request."""

USER = "X-OET-User"
"""Header with the name of the requester, percent-encoded."""


class PrepareProcessCommand(Struct, frozen=True):
    """Load a script and call its ``init``."""

    script: Script
    init_args: ProcedureInput = field(default_factory=ProcedureInput)


class StartProcessCommand(Struct, frozen=True):
    """Call a function of a prepared script."""

    process_uid: int
    """Id of the procedure."""
    fn_name: str = "main"
    """Name of the function: ``main``."""
    run_args: ProcedureInput = field(default_factory=ProcedureInput)
    force_start: bool = False
    """Start even if the subarray is busy."""


class StopProcessCommand(Struct, frozen=True):
    """Stop a procedure."""

    process_uid: int
    """Id of the procedure."""
    run_abort: bool = False
    """Run the abort script on the procedure's subarray afterwards."""


class PauseProcessCommand(Struct, frozen=True):
    """Pause a procedure at a checkpoint."""

    process_uid: int
    """Id of the procedure."""
    at: str | None = None
    """Pattern of the checkpoint's whole name, as for file names: ``scan *``; None for the next checkpoint."""


class ResumeProcessCommand(Struct, frozen=True):
    """Resume a procedure that is paused, or withdraw a requested pause."""

    process_uid: int
    """Id of the procedure."""


class Pause(Struct, frozen=True):
    """Requested pause, until the procedure is resumed or has ended."""

    asked: float
    """Time of the request in Unix seconds."""
    at: str | None = None
    """Pattern of the names of checkpoints; None for any."""
    who: str | None = None
    """Name of the requester; None if unknown."""
    checkpoint: str | None = None
    """Name of the checkpoint at which the procedure waits; None until it has reached one."""
    since: float | None = None
    """Time at which the wait began, in Unix seconds; None before."""
    pending: Literal["pause", "resume"] | None = None
    """Newest request if the kernel has not confirmed it yet: until then the script may pass checkpoints."""

    def __str__(self) -> str:
        if self.pending == "resume":
            return "resume pending"
        if self.checkpoint is not None:
            return f"paused at {self.checkpoint}"
        said = "pausing" if self.pending is None else "pause pending"
        return said if self.at is None else f"{said} at {self.at}"


class PauseRequest(Struct, frozen=True):
    """Body of ``POST /procedures/<id>/pause``."""

    at: str | None = None
    """As for `PauseProcessCommand`."""


class ProcedureHistory(Struct, frozen=True):
    """States of a procedure with their times, and its stack trace."""

    process_states: list[tuple[ProcedureState, float]] = field(default_factory=list)
    """Each state entered and its time (Unix seconds, UTC), in order."""
    stacktrace: str | None = None
    """Python traceback, or description of the kernel's end; only for FAILED."""


class Returned(Struct, frozen=True, kw_only=True):
    """Value that ``main`` returned."""

    type: str
    """Name of its class, such as ``int`` or ``numpy.ndarray``."""
    value: Any = None
    """JSON form of the value; None if `text` is given instead."""
    text: str | None = None
    """Shortened ``repr`` of a value without JSON form, or shortened JSON if that is too long; otherwise None."""

    def __str__(self) -> str:
        return _ENCODER.encode(self.value).decode() if self.text is None else self.text


def subarray_id_of(calls: Iterable[Mapping[str, Any]]) -> Any:
    """Return the ``subarray_id`` of the newest call that has one; None if there is none.

    Parameters
    ----------
    calls
        Keyword arguments of each call, oldest first.
    """
    given = [kwargs["subarray_id"] for kwargs in calls if kwargs.get("subarray_id") is not None]
    return given[-1] if given else None


class ProcedureSummary(Struct, frozen=True, kw_only=True):
    """Procedure as sent to clients."""

    id: int
    """Id, counted from 1 and never reused."""
    script: Script
    script_args: dict[str, ProcedureInput]
    """Arguments of each function called, by function name."""
    history: ProcedureHistory
    state: ProcedureState
    uri: str
    """Absolute URL of the procedure."""
    requested_by: dict[RequestName, str] = field(default_factory=dict)
    """Names of those who requested creation, start and stop, as far as known."""
    pause: Pause | None = None
    """Requested pause; None if there is none."""
    returned: Returned | None = None
    """Value that ``main`` returned; None for None, and before it has returned."""

    @property
    def subarray_id(self) -> Any:
        """``subarray_id`` of the newest call that has one; None if there is none."""
        return subarray_id_of(call.kwargs for call in self.script_args.values())

    @property
    def standing(self) -> str:
        """Name of the state, followed by the pause if there is one: ``RUNNING (paused at scan 3)``."""
        return self.state.name if self.pause is None else f"{self.state.name} ({self.pause})"


class ScriptArgs(Struct, frozen=True):
    """``script_args`` of a request: arguments by function name."""

    init: ProcedureInput | UnsetType = UNSET
    main: ProcedureInput | UnsetType = UNSET
    run: ProcedureInput | UnsetType = UNSET
    """Arguments of ``main`` from older clients."""

    @property
    def main_name(self) -> Literal["main", "run"]:
        """Name under which the arguments of ``main`` are given."""
        return "run" if isinstance(self.main, UnsetType) and not isinstance(self.run, UnsetType) else "main"

    @property
    def has_main(self) -> bool:
        """True if the arguments of ``main`` are given, under either name."""
        return not (isinstance(self.main, UnsetType) and isinstance(self.run, UnsetType))

    @property
    def main_args(self) -> ProcedureInput:
        """Arguments of ``main``, under either name."""
        for given in (self.main, self.run):
            if not isinstance(given, UnsetType):
                return given
        return ProcedureInput()

    @property
    def init_args(self) -> ProcedureInput:
        """Arguments of ``init``."""
        return ProcedureInput() if isinstance(self.init, UnsetType) else self.init


class PrepareRequest(Struct, frozen=True):
    """Body of ``POST /procedures``."""

    script: Script
    script_args: ScriptArgs = field(default_factory=ScriptArgs)
    """Arguments of ``main`` are only checked; they must be given again with the start."""
    require_script: bool = False
    """Refuse the request if the script's file cannot be read, instead of creating a procedure that fails."""


class ProcedureUpdate(Struct, frozen=True):
    """Body of ``PUT /procedures/<id>``."""

    state: ProcedureState | None = None
    script_args: ScriptArgs = field(default_factory=ScriptArgs)
    abort: bool = False


class ListedScript(Struct, frozen=True):
    """Script in one of the configured folders."""

    uri: str
    """``file:///absolute/path.py``, or ``.ipynb`` for a notebook."""
    docstring: str | None
    """First line of the script's docstring; None without one."""


class ScriptList(Struct, frozen=True):
    """Body of ``GET /scripts``."""

    scripts: list[ListedScript]
    message: str | None = None
    """Reason if no scripts, or not all, are listed."""


class ScriptSchema(Struct, frozen=True):
    """Schemas of a script's arguments; body of ``GET /scripts/schema``."""

    uri: str
    docstring: str | None
    init: dict[str, Any] | None
    """JSON Schema of the arguments of ``init`` by name; None if the script has no ``init``."""
    main: dict[str, Any] | None
    """The same for ``main``, as defined after the call of ``init``."""


class ActivityState(Enum):
    """State of an activity."""

    REQUESTED = "REQUESTED"
    """Its procedure is being prepared."""
    PREPARED = "PREPARED"
    """Its procedure is READY."""
    RUNNING = "RUNNING"
    """Its procedure is running."""
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    STOPPED = "STOPPED"


class ActivityCommand(Struct, frozen=True, kw_only=True):
    """Run an activity of a scheduling block; body of ``POST /activities``."""

    sbd_id: str
    """Id of the scheduling block definition in the archive."""
    activity_name: str
    """Name of the activity in the block."""
    script_args: dict[str, ProcedureInput] = field(default_factory=dict)
    """Arguments by function name; they override the block's, key by key."""
    prepare_only: bool = False
    """Prepare the procedure without starting it."""
    create_env: bool = False
    """Run the script in an environment of its own, even if the block does not ask for it."""


class ActivitySummary(Struct, frozen=True, kw_only=True):
    """Activity as sent to clients."""

    id: int
    """Id, counted from 1 and never reused."""
    uri: str
    """Absolute URL of the activity."""
    activity_name: str
    sbd_id: str
    sbi_id: str
    """Id of the block instance that the archive recorded for this execution."""
    procedure_id: int
    """Id of the procedure that runs it."""
    prepare_only: bool
    script_args: dict[str, ProcedureInput]
    """Arguments of its procedure, by function name."""
    activity_states: list[tuple[ActivityState, float]]
    """Each state entered and its time (Unix seconds, UTC), in order."""
    state: ActivityState


class Connection(Struct, frozen=True, kw_only=True):
    """Connection of a Jupyter client to a kernel: content of a connection file."""

    transport: str
    """``ipc``: Unix sockets on the service's machine, for the service's own user."""
    ip: str
    """Beginning of the sockets' paths, or an IP address."""
    shell_port: int
    iopub_port: int
    stdin_port: int
    control_port: int
    hb_port: int
    key: str
    """Key that signs messages of a guest; it grants no right beyond those of control."""
    signature_scheme: str
    kernel_name: str


class KernelInfo(Struct, frozen=True, kw_only=True):
    """Kernel of a procedure, for attaching to it."""

    procedure: int
    state: ProcedureState
    """State of the procedure."""
    id: str
    """Id of the kernel, unique on its machine."""
    host: str
    """Name of the kernel's machine."""
    pid: int | None
    """Process id of the kernel; None where its machine does not tell it."""
    control: str | None
    """Name of the user who has control; None while all may only look."""
    kept_until: float | None
    """Time until which the kernel of a failed procedure is kept, in Unix seconds; None for an active procedure."""
    connection: Connection


class ControlUpdate(Struct, frozen=True, kw_only=True):
    """Acquire control of a kernel, or release it; body of ``PUT /procedures/<id>/kernel``."""

    control: bool


def to_json(value: Any) -> bytes:
    """Encode a record as JSON for the wire.

    Parameters
    ----------
    value
        Any record of this module, or plain JSON values.

    Returns
    -------
    bytes
        JSON in UTF-8, on one line.
    """
    return _ENCODER.encode(value)


_ENCODER = msgspec.json.Encoder()
