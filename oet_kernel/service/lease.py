"""Control of a kernel: its holder may type into the kernel, all other users may look."""

import asyncio

from msgspec.structs import asdict

from oet_kernel import topics
from oet_kernel.bounds import OutOfBounds
from oet_kernel.errors import ControlTaken, DeadlineExceeded, KernelTooOld
from oet_kernel.events.mapping import announce
from oet_kernel.kernel_manager.session import KernelSession
from oet_kernel.protocol import ControlReport, ControlRequest
from oet_kernel.service.stored_procedure import StoredProcedure

_SECONDS = 10.0
"""Seconds for a kernel to confirm a transfer of control; its control channel answers while the script runs."""


class KernelControl:
    """Control of the kernel of one procedure; a transfer holds once the kernel confirms it.

    Parameters
    ----------
    stored
        Procedure of the kernel, which stores who has control.
    """

    def __init__(self, stored: StoredProcedure) -> None:
        self._stored = stored
        self._asked: ControlReport | None = None
        self._hands = asyncio.Lock()
        self._handed_over = asyncio.Event()

    @property
    def holder(self) -> str | None:
        """Name of the user who has control; None while attached clients may only look."""
        return self._stored.row.controller

    async def hand_over(self, kernel: KernelSession, who: str, taken: bool) -> None:
        """Acquire control, or release it; the transfer is complete when this returns.

        Parameters
        ----------
        kernel
            Kernel of the procedure.
        who
            Name of the requester.
        taken
            True to acquire control; False to release it, which any user may.

        Raises
        ------
        ControlTaken
            When another user has control.
        DeadlineExceeded
            When the kernel does not answer.
        """
        async with self._hands:
            if taken and self.holder not in (None, who):
                raise ControlTaken(
                    f"Cannot take control of procedure {self._stored.id}: {self.holder} has control; "
                    f"release it with: oet attach {self._stored.id} --release"
                )
            if taken == (self.holder is not None):
                return
            if not kernel.can(ControlRequest.needs):
                raise KernelTooOld(
                    f"Cannot take control of procedure {self._stored.id}: its kernel was started by an older version "
                    "of the service, and does not support control; stop the procedure, or wait for its end"
                )
            self._handed_over.clear()
            self._asked = ControlReport(who, taken)  # valid also for an answer that comes too late
            kernel.ask(ControlRequest(who, taken))
            try:
                async with asyncio.timeout(_SECONDS):
                    await self._handed_over.wait()
            except TimeoutError:
                raise DeadlineExceeded(
                    f"The kernel of procedure {self._stored.id} did not confirm the change of control within "
                    f"{_SECONDS:g} s; try again, or stop the procedure"
                ) from None

    def hear(self, report: ControlReport, at: float, *, earlier: bool) -> None:
        """Handle a report of the kernel.

        Parameters
        ----------
        report
            Report of the kernel.
        at
            Time of the report in Unix seconds.
        earlier
            Whether the report may answer a request of an earlier service.

        Raises
        ------
        OutOfBounds
            When the report answers no request: the script forged it.
        """
        answers = report == self._asked
        if not answers and not earlier:
            raise OutOfBounds("no user has requested that; a script cannot change the control of its kernel")
        self._change(report, at)
        if answers:
            self._asked = None
            self._handed_over.set()

    def ended(self, at: float) -> None:
        """Release control, and waiting callers, because the kernel has ended and sends no more answers.

        Parameters
        ----------
        at
            Time of its end in Unix seconds.
        """
        if self.holder is not None:
            self._change(ControlReport(self.holder, taken=False), at)
        self._handed_over.set()

    def _change(self, report: ControlReport, at: float) -> None:
        self._stored.update(controller=report.who if report.taken else None)
        self._stored.publish(announce(topics.KERNEL_CONTROL, str(self._stored.id), **asdict(report)), at)
