"""Rules of the service that an operator can configure."""

from pathlib import Path

from msgspec import Struct

EXIT_SECONDS = 60.0
"""Default deadline in seconds for work that a script leaves at its end."""
KERNEL_DEADLINE = 45.0
"""Default seconds within which a kernel must take requests after its start, and begin a requested step."""


class Ladder(Struct, frozen=True):
    """Duration of each step of a stop, in seconds."""

    interrupt: float
    """Time for the script to end after SIGINT (KeyboardInterrupt)."""
    terminate: float
    """Time for the process to end after a request to do so, or after SIGTERM."""
    kill: float = 5.0
    """Time for the system to remove the process after SIGKILL."""


class Limits(Struct, frozen=True, kw_only=True):
    """Limits and switches of the rules."""

    history: int
    """Maximum number of inactive procedures that are listed."""
    kernels: int
    """Maximum number of active procedures, and of these together with the kernels kept after a failure."""
    ladder: Ladder
    """Duration of each step of a stop."""
    kernel_deadline: float
    """Seconds within which a kernel must start, and begin a requested step."""
    exit_deadline: float
    """Seconds that a script's threads and processes may go on after its end; 0 for no limit."""
    keep_failed: float
    """Seconds that the kernel of a failed procedure is kept, to attach to it; 0 for none."""
    exclusive: bool
    """True if one procedure at a time runs on a subarray."""
    abort_script: Path | None
    """Script that a stop with abort runs on the subarray; None without one."""
    abort_deadline: float
    """Seconds within which the abort script must become ready."""
    announce_lists: bool
    """True if each listing also publishes an event, as in the original."""
