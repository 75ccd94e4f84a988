"""Rules of the service that an operator can configure."""

from pathlib import Path

from msgspec import Struct

EXIT_SECONDS = 60.0
"""Default deadline in seconds for work that a script leaves at its end."""
KERNEL_DEADLINE = 45.0
"""Default seconds within which a kernel must take requests after its start, and begin a requested step."""


class Ladder(Struct, frozen=True):
    """Duration of each step of a stop, in seconds."""

    interrupt: float = 2.0
    """Time for the script to end after SIGINT (KeyboardInterrupt)."""
    terminate: float = 1.0
    """Time for the process to end after a request to do so, or after SIGTERM."""
    kill: float = 5.0
    """Time for the system to remove the process after SIGKILL."""


class Limits(Struct, frozen=True, kw_only=True):
    """Limits and switches of the rules."""

    history: int = 10
    """Maximum number of inactive procedures that are listed."""
    kernels: int = 200
    """Maximum number of active procedures, and of these together with the kernels kept after a failure."""
    ladder: Ladder = Ladder()
    """Duration of each step of a stop."""
    kernel_deadline: float = KERNEL_DEADLINE
    """Seconds within which a kernel must start, and begin a requested step."""
    exit_deadline: float = EXIT_SECONDS
    """Seconds that a script's threads and processes may go on after its end; 0 for no limit."""
    keep_failed: float = 0.0
    """Seconds that the kernel of a failed procedure is kept, to attach to it; 0 for none."""
    exclusive: bool = True
    """True if one procedure at a time runs on a subarray."""
    abort_script: Path | None = None
    """Script that a stop with abort runs on the subarray; None without one."""
    abort_deadline: float = 60.0
    """Seconds within which the abort script must become ready."""
    announce_lists: bool = False
    """True if each listing also publishes an event, as in the original."""
