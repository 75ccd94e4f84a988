"""Who has control of a kernel: whoever has may type into it, all others may look."""

import asyncio

from oet_kernel.errors import ControlTaken, DeadlineExceeded, KernelTooOld
from oet_kernel.kernel_manager.session import KernelSession
from oet_kernel.protocol import ControlReport, ControlRequest

_SECONDS = 10.0
"""For a kernel to say that control of it has changed hands; its control channel answers while the script runs."""


class KernelControl:
    """ControlReport of the kernel of one procedure; it has changed hands when the kernel says so.

    Parameters
    ----------
    procedure
        Id of the procedure.
    holder
        Who has it; None for nobody.
    """

    def __init__(self, procedure: int, holder: str | None) -> None:
        self.holder = holder
        """Who has it; None while attached clients may only look."""
        self._procedure = procedure
        self._asked: ControlReport | None = None
        self._hands = asyncio.Lock()
        self._handed_over = asyncio.Event()

    async def hand_over(self, kernel: KernelSession, who: str, taken: bool) -> None:
        """Take control, or give it back; it holds when this returns.

        Parameters
        ----------
        kernel
            The kernel.
        who
            Who asks for it.
        taken
            False to give it back, which anybody may.

        Raises
        ------
        ControlTaken
            When somebody else has it.
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
            self._asked = ControlReport(who, taken)  # also where the answer comes too late
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
        """Take note of what the kernel has said; return False for what nobody has asked it for."""
        if control != self._asked:
            return False
        self._asked = None
        self.holder = control.who if control.taken else None
        self._handed_over.set()
        return True

    def ended(self) -> None:
        """Take note that the kernel is gone, and says nothing any more."""
        self._handed_over.set()
