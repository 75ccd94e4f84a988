"""Facts about a procedure: what was observed of its kernel, its calls and its pauses. Input of `apply`."""

from msgspec import Struct

from oet_kernel.models import ProcedureInput, Returned


class KernelReady(Struct, frozen=True):
    """The kernel takes requests."""

    at: float


class EnvironmentStarted(Struct, frozen=True):
    """The build of the script's environment began."""

    at: float


class EnvironmentFinished(Struct, frozen=True):
    """The script's environment is built."""

    at: float


class LoadStarted(Struct, frozen=True):
    """The script is being fetched or imported."""

    at: float


class LoadFinished(Struct, frozen=True):
    """The script was imported."""

    at: float
    has_init: bool
    """True if ``init`` is called next."""
    source_sha256: str | None = None
    """SHA-256 of the source as loaded; None if the kernel does not report it."""


class CallStarted(Struct, frozen=True):
    """``init`` or ``main`` began to run."""

    at: float
    call: str


class CallFinished(Struct, frozen=True):
    """``init`` or ``main`` returned."""

    at: float
    call: str
    returned: Returned | None = None
    """Value that ``main`` returned; None for None, and for ``init``."""


class Exited(Struct, frozen=True):
    """The script ended successfully by ``sys.exit(0)`` before its ``main``; nothing is left to run."""

    at: float


class Failed(Struct, frozen=True):
    """A step raised an exception, or could not be done."""

    at: float
    stacktrace: str
    quiet: bool = False
    """True if the kernel reports that no thread or process of the script is at work."""


class StopAccepted(Struct, frozen=True):
    """A stop was accepted."""

    at: float
    who: str | None = None


class StopGivenUp(Struct, frozen=True):
    """The process outlived all attempts to end it."""

    at: float


class KernelExited(Struct, frozen=True):
    """The kernel's process has ended."""

    at: float
    description: str
    """Exit code or signal and the last output; becomes the stack trace unless a stop was requested."""
    status: int | None = None
    """Exit code, or minus the number of the signal; None if unknown."""


class Started(Struct, frozen=True):
    """The start of ``main`` was requested."""

    at: float
    arguments: ProcedureInput
    who: str | None = None


class StartWithdrawn(Struct, frozen=True):
    """The start of ``main`` could not be stored: the requester got an error, and ``main`` will not be called."""

    at: float


class PauseAsked(Struct, frozen=True):
    """A pause is requested, and no checkpoint is reached yet."""

    at: float
    checkpoints: str | None
    """Pattern of the names of checkpoints; None for any."""
    who: str | None = None
    """Name of the requester; None if unknown."""


class PausePending(Struct, frozen=True):
    """A pause is requested that the kernel has not confirmed yet."""

    at: float
    checkpoints: str | None
    who: str | None = None


class ResumePending(Struct, frozen=True):
    """The end of a pause is requested that the kernel has not confirmed yet."""

    at: float


class Paused(Struct, frozen=True):
    """The script waits at a checkpoint."""

    at: float
    checkpoint: str


class PauseEnded(Struct, frozen=True):
    """The pause has ended, or its request is withdrawn."""

    at: float


Fact = (
    KernelReady
    | EnvironmentStarted
    | EnvironmentFinished
    | LoadStarted
    | LoadFinished
    | CallStarted
    | CallFinished
    | Exited
    | Failed
    | StopAccepted
    | StopGivenUp
    | KernelExited
    | Started
    | StartWithdrawn
    | PauseAsked
    | PausePending
    | ResumePending
    | Paused
    | PauseEnded
)
