"""Protocol between the service and its kernels: requests, messages, and names of files and processes.

The service sends *requests* on Jupyter's shell and control channels; none has a reply. A kernel reports their results
by *messages*, which it appends to its journal before sending them on IOPub. Messages of Jupyter's own types are among
them, unchanged.

Kernels outlive the service that started them, so the next one may be newer: a kernel's first message, and the file
`IDENTITY` in its folder, hold its `PROTOCOL_VERSION` and its abilities. Fields may be added, since readers ignore
unknown ones; a change that an older side would misread needs a new number.
"""

from typing import Any, ClassVar, Literal

from msgspec import Raw, Struct, field

from oet_kernel.models import ProcedureInput, Returned
from oet_kernel.settings import EXIT_SECONDS

PROTOCOL_VERSION = 1
"""Version of this protocol; kernels of version 0.1.0 send none, which means 0."""
ABILITIES = ("control", "event", "pause")
"""Abilities of a kernel besides loading and running a script and ending, which every kernel has."""

KERNEL_NAME = "oet-kernel"
"""Name of a forked kernel's process, for ``ps`` and ``top``."""
COLLECTOR_NAME = "oet-collector"
"""Name of the process that collects a kernel's output."""
JOURNAL = "iopub.jsonl"
"""Name of the journal in a kernel's folder."""
READ_OFFSET = "read"
"""Name of the file in a kernel's folder in which the service notes how much of the journal it has read.

Eight bytes, little endian: the offset in bytes, noted once a megabyte. Services of version 0.1.0 note none.
"""
BELL = "bell"
"""Name of the bell in a kernel's folder."""
LIFELINE = "lifeline"
"""Name of the lifeline in a kernel's folder; made by the service, which updates its time at each start."""
COLLECTED = "collected"
"""Name of the named pipe in a kernel's folder, held open by its collector until all its output is journaled."""
CONNECTION_FILE = "kernel.json"
"""Name of the file in a kernel's folder that holds its sockets and its key."""
IDENTITY = "process.json"
"""Name of the file in a kernel's folder in which the kernel identifies its process."""
OUTPUT_FILE = "stdio.log"
"""Name of the file in a kernel's folder that receives its process's output other than the script's."""


# --- from the service to a kernel


class Request(Struct):
    """Request of the service to a kernel."""

    msg_type: ClassVar[str]
    channel: ClassVar[Literal["shell", "control"]]
    """Jupyter channel; the control channel is read while a function of the script runs."""
    needs: ClassVar[str | None] = None
    """Required ability, one of `ABILITIES`; None if every kernel supports the request."""


class Changes(Struct, frozen=True):
    """Changes of the service's environment between the kernel's start and its script."""

    environment: dict[str, str | None] = {}
    """Changed environment variables; None for a removed one."""
    folder: str | None = None
    """Working folder; None if unchanged."""
    bounds: bool = False
    """True if limits or the like have changed, which only a new process adopts."""


class PrepareRequest(Request):
    """Load a script, and call its ``init``."""

    msg_type: ClassVar[str] = "oet_prepare_request"
    channel: ClassVar[Literal["shell", "control"]] = "shell"
    procedure: int
    """Id of the procedure; becomes the name of the main thread and the `msg_src` of its events."""
    path: str
    """Path of the script."""
    init: ProcedureInput = field(default_factory=ProcedureInput)
    changes: Changes = Changes()
    exit_seconds: float = EXIT_SECONDS
    """Deadline in seconds for work that the script leaves at its end; 0 for none."""
    kernel: str | None = None
    """Kernelspec for the cells of a notebook; None for the one that the notebook names."""
    own_folder: bool = False
    """True if the script's folder is the working folder."""
    working_folder: str | None = None
    """Working folder, if it is neither the script's folder nor the service's; otherwise None."""


class RunRequest(Request):
    """Call ``main``."""

    msg_type: ClassVar[str] = "oet_run_request"
    channel: ClassVar[Literal["shell", "control"]] = "shell"
    main: ProcedureInput = field(default_factory=ProcedureInput)


class EventRequest(Request):
    """Deliver to the script an event that another component has published."""

    msg_type: ClassVar[str] = "oet_event_request"
    channel: ClassVar[Literal["shell", "control"]] = "control"
    needs: ClassVar[str | None] = "event"
    topic: str
    fields: dict[str, Any]


class ControlRequest(Request):
    """Transfer control, so that attached clients may type, or only look; answered by a `ControlReport`."""

    msg_type: ClassVar[str] = "oet_control_request"
    channel: ClassVar[Literal["shell", "control"]] = "control"
    needs: ClassVar[str | None] = "control"
    who: str
    """Name of the user who acquires or releases control."""
    taken: bool


class PauseRequest(Request):
    """Pause the script at a checkpoint, or resume it; answered by a `PauseReport`."""

    msg_type: ClassVar[str] = "oet_pause_request"
    channel: ClassVar[Literal["shell", "control"]] = "control"
    needs: ClassVar[str | None] = "pause"
    id: str
    """Id of the request, repeated in the answer."""
    action: Literal["pause", "resume", "stop"]
    """Action; ``stop`` is sent before the interrupt of a stop."""
    at: str | None = None
    """Pattern of a checkpoint's whole name, as for file names: ``scan *``; None for any."""
    who: str | None = None
    """Name of the requester; None if unknown."""


# --- from a kernel to the service


class Record(Struct, frozen=True):
    """Message of a kernel, as stored in its journal."""

    n: int
    """Number of the message, counted by the kernel from 1; 0 if a forked child wrote it."""
    t: float
    """Time in Unix seconds."""
    type: str
    """Jupyter message type."""
    call: str | None
    """Function of the script that was called last, ``load``, ``init``, ``main``; or ``console``."""
    content: Raw
    """Content of the message, a JSON object."""


UNREADABLE = ""
"""Type of a record that stands for an unreadable line of a journal."""

EVENT = "oet_event"
"""Type of a message whose content is an event of the script."""
KERNEL_EVENT = "oet_told"
"""Type of a message whose content is an event of the kernel itself (`oet_kernel.topics.KERNEL`)."""


class Message(Struct, frozen=True):
    """Message of a kernel of one of this project's own types."""

    msg_type: ClassVar[str]


class Hello(Message, frozen=True):
    """First message of a kernel: it takes requests from now on."""

    msg_type: ClassVar[str] = "oet_kernel"
    phase: Literal["ready"] = "ready"
    protocol: int = 0
    can: tuple[str, ...] = ABILITIES


class CallReport(Message, frozen=True, omit_defaults=True):
    """Progress of a step of the procedure: ``load``, ``init``, ``main``."""

    msg_type: ClassVar[str] = "oet_call"
    call: str
    phase: str
    """``started``, ``finished``, ``exited`` (by ``sys.exit(0)`` or the like), ``failed``."""
    has_init: bool = False
    """For a finished ``load``: True if ``init`` is called next."""
    source_sha256: str | None = None
    """For a finished ``load``: SHA-256 of the source."""
    returned: Returned | None = None
    """For a finished ``main``: value that it returned; None for None."""
    stacktrace: str = ""
    """For a failed step: its stack trace."""
    quiet: bool = False
    """For a failed step: True if no thread or process of the script is at work."""


class Subscription(Message, frozen=True):
    """The script listens to a topic and all below it."""

    msg_type: ClassVar[str] = "oet_subscribe"
    topic: str


class Idle(Message, frozen=True):
    """The kernel has finished a request, and has reported its result before."""

    msg_type: ClassVar[str] = "oet_idle"
    request: str
    """Finished request: ``prepare`` or ``run``."""


class ControlReport(Message, frozen=True):
    """A user has acquired control of the kernel, or released it."""

    msg_type: ClassVar[str] = "oet_control"
    who: str
    taken: bool


class PauseReport(Message, frozen=True, omit_defaults=True):
    """Content of an ``oet_pause`` message: report of a kernel about a pause.

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
    """Id of the answered request; None for a report that answers none."""
