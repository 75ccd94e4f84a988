"""The vocabulary: procedure states, scripts, commands, histories, summaries.

Typed immutable records that mean the same in the service, on the wire and in the clients. This module imports
nothing of ours. Names of classes and fields are those of the original Observation Execution Tool.
"""

from enum import Enum
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType, field


class ProcedureState(Enum):
    """Where a procedure is in its life."""

    CREATING = "CREATING"
    """Its kernel is being started."""
    IDLE = "IDLE"
    """Between two steps of its preparation."""
    PREP_ENV = "PREP_ENV"
    """The environment that its script asked for is being built."""
    LOADING = "LOADING"
    """The script is being fetched and imported."""
    INITIALISING = "INITIALISING"
    """``init`` is running."""
    READY = "READY"
    """Prepared; waits to be started."""
    RUNNING = "RUNNING"
    """``main`` is running."""
    COMPLETE = "COMPLETE"
    """``main`` returned."""
    FAILED = "FAILED"
    """The script raised, or its kernel died; the stack trace is kept."""
    STOPPED = "STOPPED"
    """Ended on request."""
    UNKNOWN = "UNKNOWN"
    """Asked to end, and could not be ended."""

    @property
    def inactive(self) -> bool:
        """True for the states that nothing follows."""
        return self in INACTIVE


INACTIVE = frozenset({ProcedureState.COMPLETE, ProcedureState.FAILED, ProcedureState.STOPPED, ProcedureState.UNKNOWN})


class GitArgs(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which version of which repository a script comes from."""

    git_repo: str
    """URL of the repository, whatever ``git clone`` accepts."""
    git_branch: str | None = None
    """Branch; without it, and without a commit, the repository's default branch."""
    git_commit: str | None = None
    """Commit hash; wins over a branch."""


class FileSystemScript(
    Struct, frozen=True, kw_only=True, tag_field="script_type", tag="filesystem", omit_defaults=True
):
    """A script in a file that the service can read."""

    script_uri: str
    """``file:///absolute/path.py``, or ``.ipynb`` for a notebook."""
    kernel: str | None = None
    """Kernelspec that runs the cells of a notebook; without it the one that the notebook names."""
    own_folder: bool = False
    """Run in the folder that the file is in, and not in the service's working folder."""
    working_folder: str | None = None
    """Run in this folder of the service's machine, an absolute path; None for the service's working folder."""


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
    """Arguments as a person has typed them."""

    args: list[str | None] = field(default_factory=list)
    """The text of each positional argument; None where the value is known."""
    kwargs: dict[str, str] = field(default_factory=dict)
    """The texts of keyword arguments; those are left out whose value is known."""
    words: list[str] = field(default_factory=list)
    """All of the words, in order, for a script that reads its command line; empty where they are not known."""


class ProcedureInput(Struct, frozen=True):
    """The arguments of one call."""

    args: list[Any] = field(default_factory=list)
    """Positional arguments, any JSON values."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments, any JSON values."""
    typed: Typed | UnsetType = UNSET
    """Texts that the values were read from as literals: where the script's annotation says text, the text is the value.

    Whoever can read the annotation decides, the service or the kernel, and takes them away.
    """

    def over(self, usual: "ProcedureInput") -> "ProcedureInput":
        """Return these arguments where they are given, and the usual ones where they are not."""
        kwargs = {**usual.kwargs, **self.kwargs}
        theirs, ours = (Typed() if isinstance(one.typed, UnsetType) else one.typed for one in (usual, self))
        left = {name: text for name, text in theirs.kwargs.items() if name not in self.kwargs}
        typed = Typed((ours if self.args else theirs).args, {**left, **ours.kwargs})
        return ProcedureInput(self.args or usual.args, kwargs, typed if typed.args or typed.kwargs else UNSET)


FunctionName = Literal["init", "main"]
RequestName = Literal["create", "start", "stop"]
DONE: dict[RequestName, str] = {"create": "created", "start": "started", "stop": "stopped"}
"""What was done, by the request for it."""

USER = "X-OET-User"
"""Header in which a client says who asks, percent-encoded."""


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
    """Start although the subarray is busy."""


class StopProcessCommand(Struct, frozen=True):
    """End a procedure."""

    process_uid: int
    """Id of the procedure."""
    run_abort: bool = False
    """Run the abort script on the procedure's subarray afterwards."""


class PauseProcessCommand(Struct, frozen=True):
    """Have a procedure wait at a checkpoint."""

    process_uid: int
    """Id of the procedure."""
    at: str | None = None
    """Pattern of the whole name of the checkpoint, as of file names: ``scan *``; None for the next one."""


class ResumeProcessCommand(Struct, frozen=True):
    """Let a procedure go on that is paused, or is to be."""

    process_uid: int
    """Id of the procedure."""


class Pause(Struct, frozen=True):
    """A pause that is asked for, until the procedure is resumed or has ended."""

    asked: float
    """Since when, in Unix seconds."""
    at: str | None = None
    """Pattern of the checkpoints that it is meant for; None for any."""
    who: str | None = None
    """Who has asked for it; None where that is not known."""
    checkpoint: str | None = None
    """Where the procedure waits; None while it has come to no such checkpoint."""
    since: float | None = None
    """Since when it waits there, in Unix seconds."""
    pending: Literal["pause", "resume"] | None = None
    """The newest request, where the kernel has not confirmed it yet: the script may pass checkpoints until then."""

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
    """What became of a procedure, and when."""

    process_states: list[tuple[ProcedureState, float]] = field(default_factory=list)
    """Each state entered and its time (Unix seconds, UTC), in order."""
    stacktrace: str | None = None
    """The Python traceback, or what became of the kernel; only for FAILED."""


class Returned(Struct, frozen=True, kw_only=True):
    """What ``main`` returned."""

    type: str
    """Its class, as ``int`` or ``numpy.ndarray``."""
    value: Any = None
    """Its JSON form; None where `text` stands in its place."""
    text: str | None = None
    """Its ``repr``, shortened, where it has no JSON form; its JSON, shortened, where that is too long."""

    def __str__(self) -> str:
        return _ENCODER.encode(self.value).decode() if self.text is None else self.text


def subarray_id_of(calls: dict[str, ProcedureInput]) -> Any:
    """Return the ``subarray_id`` of the newest call that has one; None without.

    Parameters
    ----------
    calls
        Arguments by function name, oldest first.
    """
    given = (call.kwargs.get("subarray_id") for call in reversed(calls.values()))
    return next((value for value in given if value is not None), None)


class ProcedureSummary(Struct, frozen=True, kw_only=True):
    """All that clients are told about a procedure."""

    id: int
    """Counts up from 1; never used again."""
    script: Script
    script_args: dict[str, ProcedureInput]
    """The arguments of each function that was called, by the function's name."""
    history: ProcedureHistory
    state: ProcedureState
    uri: str
    """Absolute URL of the procedure."""
    requested_by: dict[RequestName, str] = field(default_factory=dict)
    """Who has asked for its creation, its start and its stop, as far as that is known."""
    pause: Pause | None = None
    """None where none is asked for."""
    returned: Returned | None = None
    """What ``main`` returned; None for None, and where it has not returned."""

    @property
    def subarray_id(self) -> Any:
        """The ``subarray_id`` of the newest call that has one; None without."""
        return subarray_id_of(self.script_args)

    @property
    def standing(self) -> str:
        """The state's name, and the pause behind it: ``RUNNING (paused at scan 3)``."""
        return self.state.name if self.pause is None else f"{self.state.name} ({self.pause})"


class ScriptArgs(Struct, frozen=True):
    """``script_args`` of a request: the arguments by function name."""

    init: ProcedureInput | UnsetType = UNSET
    main: ProcedureInput | UnsetType = UNSET
    run: ProcedureInput | UnsetType = UNSET
    """What older clients call ``main``."""

    @property
    def main_name(self) -> Literal["main", "run"]:
        """Under which name the arguments of ``main`` were given."""
        return "run" if isinstance(self.main, UnsetType) and not isinstance(self.run, UnsetType) else "main"

    @property
    def has_main(self) -> bool:
        """True where the arguments of ``main`` are given, under either name."""
        return not (isinstance(self.main, UnsetType) and isinstance(self.run, UnsetType))

    @property
    def main_args(self) -> ProcedureInput:
        """The arguments of ``main``, under either name."""
        for given in (self.main, self.run):
            if not isinstance(given, UnsetType):
                return given
        return ProcedureInput()

    @property
    def init_args(self) -> ProcedureInput:
        """The arguments of ``init``."""
        return ProcedureInput() if isinstance(self.init, UnsetType) else self.init


class PrepareRequest(Struct, frozen=True):
    """Body of ``POST /procedures``."""

    script: Script
    script_args: ScriptArgs = field(default_factory=ScriptArgs)
    """Arguments of ``main`` are checked where they are given, and are given again with the start."""
    require_script: bool = False
    """Refuse the request where the script's file cannot be read, and create no procedure that fails."""


class ProcedureUpdate(Struct, frozen=True):
    """Body of ``PUT /procedures/<id>``."""

    state: ProcedureState | None = None
    script_args: ScriptArgs = field(default_factory=ScriptArgs)
    abort: bool = False


class ListedScript(Struct, frozen=True):
    """A script in one of the folders that scripts may come from."""

    uri: str
    """``file:///absolute/path.py``, or ``.ipynb`` for a notebook."""
    docstring: str | None
    """The first line of its docstring."""


class ScriptList(Struct, frozen=True):
    """Body of ``GET /scripts``."""

    scripts: list[ListedScript]
    message: str | None = None
    """Why there are none, or not all."""


class ScriptSchema(Struct, frozen=True):
    """What a script takes; body of ``GET /scripts/schema``."""

    uri: str
    docstring: str | None
    init: dict[str, Any] | None
    """JSON Schema of the arguments of ``init`` by name; None where the script has none."""
    main: dict[str, Any] | None
    """The same of ``main``, as it is once ``init`` was called."""


class ActivityState(Enum):
    """How far an activity got."""

    REQUESTED = "REQUESTED"
    """Its procedure is being prepared."""
    PREPARED = "PREPARED"
    """Its procedure is READY."""
    RUNNING = "RUNNING"
    """Its procedure runs."""
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    STOPPED = "STOPPED"


class ActivityCommand(Struct, frozen=True, kw_only=True):
    """Do something with a scheduling block; body of ``POST /activities``."""

    sbd_id: str
    """Id of the scheduling block definition in the archive."""
    activity_name: str
    """Which of the block's activities."""
    script_args: dict[str, ProcedureInput] = field(default_factory=dict)
    """Arguments by function name; they override the block's, key by key."""
    prepare_only: bool = False
    """Leave the start of the procedure to somebody else."""
    create_env: bool = False
    """Run the script in an environment of its own, whatever the block says."""


class ActivitySummary(Struct, frozen=True, kw_only=True):
    """All that clients are told about an activity."""

    id: int
    """Counts up from 1; never used again."""
    uri: str
    """Absolute URL of the activity."""
    activity_name: str
    sbd_id: str
    sbi_id: str
    """Id of the block instance that the archive has recorded for this execution."""
    procedure_id: int
    """The procedure that carries it out."""
    prepare_only: bool
    script_args: dict[str, ProcedureInput]
    """The arguments that its procedure is called with, by function name."""
    activity_states: list[tuple[ActivityState, float]]
    """Each state entered and its time (Unix seconds, UTC), in order."""
    state: ActivityState


class Connection(Struct, frozen=True, kw_only=True):
    """How a Jupyter client reaches a kernel: the content of a connection file."""

    transport: str
    """``ipc``: Unix sockets of the service's machine, for the service's own user."""
    ip: str
    """Beginning of the sockets' paths, or an address."""
    shell_port: int
    iopub_port: int
    stdin_port: int
    control_port: int
    hb_port: int
    key: str
    """Signs messages as a guest's: it opens nothing that control does not."""
    signature_scheme: str
    kernel_name: str


class KernelInfo(Struct, frozen=True, kw_only=True):
    """The kernel of a procedure, for whoever wants to look inside."""

    procedure: int
    state: ProcedureState
    """Of the procedure."""
    id: str
    """Of the kernel, on its machine."""
    host: str
    """Name of that machine."""
    pid: int
    """Process id."""
    control: str | None
    """Who has taken control; None while all may only look."""
    kept_until: float | None
    """When the kernel of a procedure that has failed goes, in Unix seconds; None for one that is at work."""
    connection: Connection


class ControlUpdate(Struct, frozen=True, kw_only=True):
    """Take control of a kernel, or give it back; body of ``PUT /procedures/<id>/kernel``."""

    control: bool


def to_json(value: Any) -> bytes:
    """Encode a record as the JSON that goes over the wire.

    Parameters
    ----------
    value
        Any record of this module, or plain JSON values.

    Returns
    -------
    bytes
        UTF-8, on one line.
    """
    return _ENCODER.encode(value)


_ENCODER = msgspec.json.Encoder()
