"""What the service and its kernels say to each other, and the names by which each finds what is the other's."""

from typing import Literal

from msgspec import Struct

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


class PauseRequest(Struct):
    """Content of an ``oet_pause_request`` on the control channel."""

    id: str
    """By which its answer is known."""
    action: Literal["pause", "resume", "stop"]
    """``stop`` comes ahead of the interrupt of a stop."""
    at: str | None = None
    """Pattern of the whole name of a checkpoint, as of file names: ``scan *``; None for any."""
    who: str | None = None
    """Who asks for it."""


class PauseReport(Struct, frozen=True, omit_defaults=True):
    """Content of an ``oet_pause`` message, by which a kernel tells what becomes of a pause.

    ::

        {"phase": "pausing", "at": "scan *", "who": "alice", "answers": "5f2c..."}
        {"phase": "paused", "checkpoint": "scan 3"}
        {"phase": "resumed", "checkpoint": "scan 3", "who": "alice", "answers": "81d0..."}
        {"phase": "missed", "why": "main has ended"}                    nothing is left that could wait
        {"phase": "stopping", "answers": "c07e..."}                     a stop is on its way: nothing waits any more
        {"phase": "refused", "why": "...", "answers": "5f2c..."}
    """

    phase: Literal["pausing", "paused", "resumed", "missed", "stopping", "refused"]
    at: str | None = None
    checkpoint: str | None = None
    who: str | None = None
    why: str = ""
    answers: str | None = None
    """Id of the request that it answers."""
