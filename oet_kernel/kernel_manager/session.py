"""Interface between the service and a kernel, wherever the kernel runs."""

from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct

from oet_kernel.errors import KernelSilent
from oet_kernel.models import Connection
from oet_kernel.protocol import Record, Request
from oet_kernel.settings import Ladder

OnRecords = Callable[[list[Record], int], Awaitable[None]]
"""Called with records and the offset in bytes behind them; the next batch follows when it has returned."""
OnExit = Callable[[str], None]
"""Called once, after the last record, with a description of the kernel's end."""
OnFault = Callable[[Exception], None]
"""Called with the reason why no more records can be read."""


class KernelIdentity(Struct, frozen=True):
    """Stored identity of a kernel, by which the next service finds and adopts it."""

    kind: str
    """Kind of its source: ``local`` for the kernels on this machine."""
    address: str
    """Where the source finds it; path of the private folder of a local kernel."""
    process: bytes | None = None
    """Identity of its process, as its source has it; None before its start."""


class KernelLocation(Struct, frozen=True):
    """Process of a kernel as users are told of it."""

    id: str
    """Id of the kernel, unique on its machine."""
    host: str
    """Name of the kernel's machine."""
    pid: int | None
    """Process id there; None before its start, or where the machine does not tell it."""

    def __str__(self) -> str:
        return f"process {self.pid}" if self.pid is not None else f"process on {self.host}"


AtWork = Literal["prepare", "run"] | None
"""Request whose functions a kernel may be calling; None if no function of the script runs."""


class KernelSession(Protocol):
    """Interface of one kernel for the service: send requests, receive records, end the process in any case."""

    @property
    def identity(self) -> KernelIdentity:
        """Identity under which a service stores the kernel; without process before the start."""

    @property
    def location(self) -> KernelLocation:
        """Process of the kernel, for users."""

    @property
    def started(self) -> bool:
        """True once the process was started; it may have ended since."""

    @property
    def alive(self) -> bool:
        """True from the start of the process to its end."""

    @property
    def takes_requests(self) -> bool:
        """True once the kernel has announced that it takes requests."""

    @property
    def connection(self) -> Connection | None:
        """Connection info for a guest; None while the kernel takes no requests."""

    @property
    def exit_status(self) -> int | None:
        """Exit code of the process, or minus the number of the signal that ended it; None while unknown."""

    @property
    def ended_at(self) -> float | None:
        """Time of the process's end, in Unix seconds; None while it runs, or when the time is unknown."""

    def attach(self, on_records: OnRecords, on_exit: OnExit, on_fault: OnFault = ...) -> None:
        """Register the callbacks that receive the kernel's records from now on.

        Parameters
        ----------
        on_records
            Called on the event loop with each batch of records, in order, without repetition, and the offset behind the
            batch. It must have stored the batch when it returns; the next one follows only then.
        on_exit
            Called once, after the last record, with a description of the process's end.
        on_fault
            Called when no more records can be read.
        """

    async def start(self) -> None:
        """Start the process; called by its source."""

    async def ready(self, deadline: float = ...) -> bool:
        """Wait until the kernel takes requests; False when it has ended before.

        Parameters
        ----------
        deadline
            Seconds.

        Raises
        ------
        KernelSilent
            When the deadline passes.
        """

    def can(self, ability: str | None) -> bool:
        """Return whether the kernel has the ability that a request needs; older kernels have fewer."""

    def ask(self, request: Request) -> None:
        """Send a request, whose outcome arrives as records; no-op where the kernel lacks the ability."""

    def silent(self, what: str) -> KernelSilent:
        """Return the error for a kernel that misses a deadline, with its last output.

        Parameters
        ----------
        what
            Description of the missed deadline: ``did not ...``.
        """

    async def caught_up(self) -> None:
        """Wait until all records from before the adoption were delivered."""

    async def heard_out(self) -> None:
        """Wait until the process has ended and all its records were delivered."""

    async def stop(self, ladder: Ladder) -> bool:
        """End the process, and wait until all its records were delivered; otherwise like `end`."""

    async def end(self, ladder: Ladder) -> bool:
        """End the process, by SIGKILL in the end; False when it survived even that."""

    async def detach(self) -> None:
        """Leave the kernel to the next service."""

    async def forget(self) -> None:
        """Remove all that an ended kernel has left on its machine's disk."""


class KernelSource(Protocol):
    """Source of the kernels of one service."""

    def open(self) -> None:
        """Begin, in the background, what speeds up the kernels to come."""

    def get(self, python: Path | None) -> KernelSession:
        """Return a kernel, which may run already; the caller owns it, and stops it.

        Parameters
        ----------
        python
            Interpreter of the script's environment; None for the service's own.
        """

    async def start(self, kernel: KernelSession) -> bool:
        """Start a kernel from `get` unless it runs, and wait until it takes requests; False when it has ended before.

        Raises
        ------
        KernelSilent
            When the kernel does not take requests in time.
        """

    def check(self, identity: KernelIdentity) -> None:
        """Raise if a stored identity is not that of a kernel of this source.

        Raises
        ------
        ValueError
            With the reason.
        """

    def find(self, identity: KernelIdentity) -> KernelIdentity | None:
        """Return the identity with that of its process, running or ended; None when there is none to adopt.

        Parameters
        ----------
        identity
            Identity stored before the start of the process, or after.
        """

    def adopt(
        self, identity: KernelIdentity, offset: int, at_work: AtWork, python: Path | None = None
    ) -> KernelSession:
        """Adopt a kernel that an earlier service has started, whether it still runs or not.

        Call its `attach` before the next await: then every record behind the offset is delivered.

        Parameters
        ----------
        identity
            Identity from `find`.
        offset
            Offset in bytes behind the last stored record.
        at_work
            Request that it had been sent and not finished at this offset.
        python
            Interpreter of its environment; None for the service's own.
        """

    async def sweep(self, known: Collection[KernelIdentity]) -> None:
        """End the kernels of earlier services that are not among the known ones, and remove what they left."""

    async def end(self, identity: KernelIdentity) -> None:
        """End a kernel that could not be adopted."""

    async def close(self) -> None:
        """End the kernels that were not handed out."""

    async def detach(self) -> None:
        """Leave the kernels that were handed out to the next service, and end the others."""
