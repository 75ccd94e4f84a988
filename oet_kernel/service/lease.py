"""Who has control of a kernel: whoever has may type into it, all others may look."""

import asyncio

from oet_kernel.errors import ControlTaken, DeadlineExceeded
from oet_kernel.events.mapping import Control
from oet_kernel.kernel_manager.local import LocalKernel

_SECONDS = 10.0
"""For a kernel to say that control of it has changed hands; its control channel answers while the script runs."""


class KernelControl:
    """Control of the kernel of one procedure; it has changed hands when the kernel says so.

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
        self._asked: Control | None = None
        self._hands = asyncio.Lock()
        self._handed_over = asyncio.Event()

    async def hand_over(self, kernel: LocalKernel, who: str, taken: bool) -> None:
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
            self._handed_over.clear()
            self._asked = Control(who, taken)  # also where the answer comes too late
            kernel.control(who, taken)
            try:
                async with asyncio.timeout(_SECONDS):
                    await self._handed_over.wait()
            except TimeoutError:
                raise DeadlineExceeded(
                    f"The kernel of procedure {self._procedure} did not say within {_SECONDS:g} s that control of it "
                    "has changed hands; try again, or stop the procedure"
                ) from None

    def heard(self, control: Control) -> bool:
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
