"""What the service and its kernels say to each other, both ways, and the names by which each finds what is the other's.

The service sends *requests* on Jupyter's shell and control channels; none has a reply. A kernel says what came of them
by *messages*, which it appends to its journal before they go out on IOPub. Messages of Jupyter's own types stand among
them as they are.

Kernels outlive the service that started them, so the next one may be newer: a kernel's first message tells
`PROTOCOL_VERSION` and what it can do, and so does the file `IDENTITY` in its folder. Fields may be added, since readers
pass over those that they do not know; a change that an older side would misread needs a new number.
"""

from typing import Any, ClassVar, Literal

from msgspec import Raw, Struct, field

from oet_kernel.models import ProcedureInput, Returned
from oet_kernel.settings import EXIT_SECONDS

PROTOCOL_VERSION = 1
"""The number of what is described here; kernels of version 0.1.0 tell none, which is 0."""
ABILITIES = ("control", "event", "pause")
"""What a kernel can do besides loading and running a script and ending, which every kernel can."""

KERNEL_NAME = "oet-kernel"
"""Name of a forked kernel's process, for ``ps`` and ``top``."""
COLLECTOR_NAME = "oet-collector"
"""Name of the process that collects a kernel's output."""
JOURNAL = "iopub.jsonl"
"""Name of the journal in a kernel's folder."""
BELL = "bell"
"""Name of the bell in a kernel's folder."""
LIFELINE = "lifeline"
"""Name of the lifeline in a kernel's folder; made by the service, which sets its time anew whenever it comes."""
COLLECTED = "collected"
"""Name of the named pipe in a kernel's folder, held open by its collector until all its output is journaled."""
CONNECTION_FILE = "kernel.json"
"""Name of the file in a kernel's folder that tells its sockets and its key."""
IDENTITY = "process.json"
"""Name of the file in a kernel's folder in which the kernel says which process it is."""
OUTPUT_FILE = "stdio.log"
"""Name of the file in a kernel's folder that takes what its process writes besides the script's output."""


# --- from the service to a kernel


class Request(Struct):
    """What the service asks of a kernel."""

    msg_type: ClassVar[str]
    channel: ClassVar[Literal["shell", "control"]]
    """Requests on the control channel are taken while a function of the script runs."""
    needs: ClassVar[str | None] = None
    """One of `ABILITIES`; None for what every kernel can do."""


class Changes(Struct, frozen=True):
    """What has changed around a kernel since it was started, ahead of its script."""

    environment: dict[str, str | None] = {}
    """Environment variables; None for one that is gone."""
    folder: str | None = None
    """Working folder; None when it is the same."""
    bounds: bool = False
    """True when limits or the like are others, which only a process that is started anew would follow."""


class PrepareRequest(Request):
    """Have a script loaded, and its ``init`` called."""

    msg_type: ClassVar[str] = "oet_prepare_request"
    channel: ClassVar[Literal["shell", "control"]] = "shell"
    procedure: int
    """Id of the procedure; becomes the name of the main thread and the `msg_src` of its events."""
    path: str
    """Where the script is."""
    init: ProcedureInput = field(default_factory=ProcedureInput)
    changes: Changes = Changes()
    exit_seconds: float = EXIT_SECONDS
    """Deadline of what the script leaves at work; 0 for none."""
    kernel: str | None = None
    """Kernelspec for the cells of a notebook; None for the one that it names."""
    own_folder: bool = False
    """The script's folder is to be the working folder."""
    working_folder: str | None = None
    """The working folder, where it is neither that nor the service's."""


class RunRequest(Request):
    """Have ``main`` called."""

    msg_type: ClassVar[str] = "oet_run_request"
    channel: ClassVar[Literal["shell", "control"]] = "shell"
    main: ProcedureInput = field(default_factory=ProcedureInput)


class EventRequest(Request):
    """Hand the script an event that another component has published."""

    msg_type: ClassVar[str] = "oet_event_request"
    channel: ClassVar[Literal["shell", "control"]] = "control"
    needs: ClassVar[str | None] = "event"
    topic: str
    fields: dict[str, Any]


class ControlRequest(Request):
    """Let attached clients type, or only look; answered by a `ControlReport`."""

    msg_type: ClassVar[str] = "oet_control_request"
    channel: ClassVar[Literal["shell", "control"]] = "control"
    needs: ClassVar[str | None] = "control"
    who: str
    """Who has taken control of the kernel, or gives it back."""
    taken: bool


class PauseRequest(Request):
    """Have the script wait at a checkpoint, or go on; answered by a `PauseReport`."""

    msg_type: ClassVar[str] = "oet_pause_request"
    channel: ClassVar[Literal["shell", "control"]] = "control"
    needs: ClassVar[str | None] = "pause"
    id: str
    """By which its answer is known."""
    action: Literal["pause", "resume", "stop"]
    """``stop`` comes ahead of the interrupt of a stop."""
    at: str | None = None
    """Pattern of the whole name of a checkpoint, as of file names: ``scan *``; None for any."""
    who: str | None = None
    """Who asks for it."""


# --- from a kernel to the service


class Record(Struct, frozen=True):
    """One message that a kernel published, as its journal holds it."""

    n: int
    """The kernel's own count, from 1; 0 when a forked child wrote it."""
    t: float
    """Unix seconds."""
    type: str
    """Jupyter message type."""
    call: str | None
    """The function of the script that was called last, ``load``, ``init``, ``main``; or ``console``."""
    content: Raw
    """The message's content, a JSON object."""


UNREADABLE = ""
"""Type of what a journal holds in the place of a record."""

EVENT = "oet_event"
"""Type of a message whose content is an event of the script."""
KERNEL_EVENT = "oet_told"
"""Type of a message whose content is an event of the kernel's own (`oet_kernel.topics.KERNEL`)."""


class Message(Struct, frozen=True):
    """What a kernel says by a message of this project's own."""

    msg_type: ClassVar[str]


class Hello(Message, frozen=True):
    """The kernel's first message: it takes requests from now on."""

    msg_type: ClassVar[str] = "oet_kernel"
    phase: Literal["ready"] = "ready"
    protocol: int = 0
    can: tuple[str, ...] = ABILITIES


class CallReport(Message, frozen=True, omit_defaults=True):
    """How far a step of the procedure is: ``load``, ``init``, ``main``."""

    msg_type: ClassVar[str] = "oet_call"
    call: str
    phase: str
    """``started``, ``finished``, ``exited`` (by ``sys.exit(0)`` or the like), ``failed``."""
    has_init: bool = False
    """Of ``load`` that has finished."""
    source_sha256: str | None = None
    """The same."""
    returned: Returned | None = None
    """Of ``main`` that has finished; None for None."""
    stacktrace: str = ""
    """Of a step that has failed."""
    quiet: bool = False
    """Of a step that has failed: whether nothing of the script is at work any more."""


class Subscription(Message, frozen=True):
    """The script listens to a topic and all below it."""

    msg_type: ClassVar[str] = "oet_subscribe"
    topic: str


class Idle(Message, frozen=True):
    """The kernel has done what it was asked for, and has said before how that went."""

    msg_type: ClassVar[str] = "oet_idle"
    request: str
    """``prepare`` or ``run``."""


class ControlReport(Message, frozen=True):
    """Somebody has taken control of the kernel, or given it back."""

    msg_type: ClassVar[str] = "oet_control"
    who: str
    taken: bool


class PauseReport(Message, frozen=True, omit_defaults=True):
    """Content of an ``oet_pause`` message, by which a kernel tells what becomes of a pause.

    ::

        {"phase": "pausing", "at": "scan *", "who": "alice", "answers": "5f2c..."}
        {"phase": "paused", "checkpoint": "scan 3"}
        {"phase": "resumed", "checkpoint": "scan 3", "who": "alice", "answers": "81d0..."}
        {"phase": "missed", "why": "main has ended"}                    nothing is left that could wait
        {"phase": "stopping", "answers": "c07e..."}                     a stop is on its way: nothing waits any more
        {"phase": "refused", "why": "...", "answers": "5f2c..."}
    """

    msg_type: ClassVar[str] = "oet_pause"
    phase: Literal["pausing", "paused", "resumed", "missed", "stopping", "refused"]
    at: str | None = None
    checkpoint: str | None = None
    who: str | None = None
    why: str = ""
    answers: str | None = None
    """Id of the request that it answers."""
