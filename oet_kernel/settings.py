"""What an operator can configure of the service's rules."""

from pathlib import Path

from msgspec import Struct

EXIT_SECONDS = 60.0
"""Deadline of exit work."""
KERNEL_DEADLINE = 45.0
"""Seconds that a kernel has to take requests once it was started, and to begin what it was asked for."""


class Ladder(Struct, frozen=True):
    """How long each rung of a stop may take, in seconds."""

    interrupt: float = 2.0
    """For the script to end after SIGINT (KeyboardInterrupt)."""
    terminate: float = 1.0
    """For the process to end after it was asked to, or after SIGTERM."""
    kill: float = 5.0
    """For the system to remove the process after SIGKILL."""


class Limits(Struct, frozen=True, kw_only=True):
    """The rules' numbers and switches."""

    history: int = 10
    """How many inactive procedures stay listed."""
    kernels: int = 200
    """How many procedures may be active at once; with the kernels that are kept after a failure there are no more."""
    ladder: Ladder = Ladder()
    """How long each rung of a stop may take."""
    kernel_deadline: float = KERNEL_DEADLINE
    """Seconds that a kernel has to start, and to begin what it was asked for."""
    exit_deadline: float = EXIT_SECONDS
    """Seconds that a script has to end what it has left at work at its end; 0 for ever."""
    keep_failed: float = 0.0
    """For how many seconds the kernel of a procedure whose script has failed stays, to be looked into."""
    exclusive: bool = True
    """Whether one procedure at a time runs on a subarray."""
    abort_script: Path | None = None
    """What a stop with abort runs on the subarray."""
    abort_deadline: float = 60.0
    """How many seconds the abort script has to get ready."""
    announce_lists: bool = False
    """Whether each listing is also an event, as in the original."""
