"""Control of a kernel: its holder may type into the kernel, all other users may look."""

import asyncio

from oet_kernel.errors import ControlTaken, DeadlineExceeded, KernelTooOld
from oet_kernel.kernel_manager.session import KernelSession
from oet_kernel.protocol import ControlReport, ControlRequest

_SECONDS = 10.0
"""Seconds for a kernel to confirm a transfer of control; its control channel answers while the script runs."""


class KernelControl:
    """Control of the kernel of one procedure; a transfer holds once the kernel confirms it.

    Parameters
    ----------
    procedure
        Id of the procedure.
    holder
        Name of the user who has control; None if nobody has.
    """

    def __init__(self, procedure: int, holder: str | None) -> None:
        self.holder = holder
        """Name of the user who has control; None while attached clients may only look."""
        self._procedure = procedure
        self._asked: ControlReport | None = None
        self._hands = asyncio.Lock()
        self._handed_over = asyncio.Event()

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
                    f"Cannot take control of procedure {self._procedure}: {self.holder} has it; "
                    f"it is given back with: oet attach {self._procedure} --release"
                )
            if taken == (self.holder is not None):
                return
            if not kernel.can(ControlRequest.needs):
                raise KernelTooOld(
                    f"Cannot take control of procedure {self._procedure}: its kernel was started by an older version "
                    "of the service, and nobody can type into it; stop the procedure, or let it end"
                )
            self._handed_over.clear()
            self._asked = ControlReport(who, taken)  # valid also for an answer that comes too late
            kernel.ask(ControlRequest(who, taken))
            try:
                async with asyncio.timeout(_SECONDS):
                    await self._handed_over.wait()
            except TimeoutError:
                raise DeadlineExceeded(
                    f"The kernel of procedure {self._procedure} did not say within {_SECONDS:g} s that control of it "
                    "has changed hands; try again, or stop the procedure"
                ) from None

    def heard(self, control: ControlReport) -> bool:
        """Handle a report of the kernel; return False if it answers no request."""
        if control != self._asked:
            return False
        self._asked = None
        self.holder = control.who if control.taken else None
        self._handed_over.set()
        return True

    def ended(self) -> None:
        """Release waiting callers because the kernel has ended and sends no more answers."""
        self._handed_over.set()
