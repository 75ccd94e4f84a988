"""The seam between the service and a kernel, wherever that runs."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from oet_kernel.errors import KernelSilent
from oet_kernel.models import Connection
from oet_kernel.protocol import Record, Request
from oet_kernel.settings import Ladder

OnRecords = Callable[[list[Record], int], Awaitable[None]]
"""Takes records and the offset behind them; the next come when it has returned."""
OnExit = Callable[[str], None]
"""Takes a description of how the kernel ended, once, behind its last record."""
OnFault = Callable[[Exception], None]
"""Takes why nothing more can be heard of it."""


class KernelRecord(Struct, frozen=True, kw_only=True):
    """What a service must keep of a kernel for the next service to find it."""

    folder: str
    """Its private folder: journal, connection file, output."""
    pid: int
    started: int
    """When its process started, in clock ticks since the machine did; with the pid it names the process for good."""
    forked: bool
    """Whether a fork server made it, which may know how it ended."""


class KernelSession(Protocol):
    """What the service needs of one kernel: it asks, hears what comes of it, and ends it without fail."""

    @property
    def record(self) -> KernelRecord:
        """What to keep of it for another service to adopt it; there once it was started."""

    @property
    def folder(self) -> Path:
        """Its private folder; its name is the id of the session."""

    @property
    def pid(self) -> int:
        """Id of its process; 0 before it was started."""

    @property
    def offset(self) -> int:
        """How far what it has said was handed out."""

    @property
    def started(self) -> bool:
        """True once there is a process, which may have ended since."""

    @property
    def alive(self) -> bool:
        """True from the start of the process to its end."""

    @property
    def takes_requests(self) -> bool:
        """True once it has said that it takes requests."""

    @property
    def connection(self) -> Connection | None:
        """How a client attaches to it, as a guest; None while it takes no requests."""

    @property
    def exit_status(self) -> int | None:
        """Exit code of the process, or minus the number of the signal that ended it; None while nobody knows."""

    @property
    def ended_at(self) -> float | None:
        """When the process ended, in Unix seconds; None while it has not, or nobody knows."""

    def attach(self, on_records: OnRecords, on_exit: OnExit, on_fault: OnFault = ...) -> None:
        """Register the callbacks that receive the kernel's records from now on.

        Parameters
        ----------
        on_records
            Called on the event loop with each batch of records, in order, none twice, and the offset behind the batch.
            The next batch comes only when it has returned: it has to be kept by then.
        on_exit
            Called once, after the last record, with a description of how the process ended.
        on_fault
            Called when nothing more can be heard of it.
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
        """Return whether it can do what a request needs; older kernels can less."""

    def ask(self, request: Request) -> None:
        """Send a request; what comes of it is heard. Nothing is sent where the kernel cannot do it."""

    def silent(self, what: str) -> KernelSilent:
        """Return the error of a kernel that misses a deadline, with its last words.

        Parameters
        ----------
        what
            What it was to do by when: ``did not ...``.
        """

    def note_idle(self) -> None:
        """Record that no function of the script runs; called by the reader of the records."""

    async def caught_up(self) -> None:
        """Wait until all that the kernel had said before it was adopted has been handed out."""

    async def heard_out(self) -> None:
        """Wait until the process has ended and all that it has said was handed out."""

    async def stop(self, ladder: Ladder) -> bool:
        """End the process, and wait until all that it has said was handed out; as `end` otherwise."""

    async def end(self, ladder: Ladder) -> bool:
        """End the process, by what always ends it; False where it is there even then."""

    async def detach(self) -> None:
        """Leave the kernel to the next service."""
