"""Interface between the service and a kernel, wherever the kernel runs."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

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


class KernelRecord(Struct, frozen=True, kw_only=True):
    """Record of a kernel that a service stores, so that the next service can adopt the kernel."""

    folder: str
    """The kernel's private folder: journal, connection file, output."""
    pid: int
    started: int
    """Start time of the process, in clock ticks since boot; identifies the process together with the pid."""
    forked: bool
    """Whether a fork server has forked the kernel, and may know its exit status."""


class KernelSession(Protocol):
    """Interface of one kernel for the service: send requests, receive records, end the process in any case."""

    @property
    def record(self) -> KernelRecord:
        """Record for another service to adopt the kernel; available once the kernel was started."""

    @property
    def folder(self) -> Path:
        """The kernel's private folder, whose name is the id of the session."""

    @property
    def pid(self) -> int:
        """Process id; 0 before the start."""

    @property
    def offset(self) -> int:
        """Offset in bytes behind the records that were delivered."""

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

    def note_idle(self) -> None:
        """Record that no function of the script runs; called by the reader of the records."""

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
