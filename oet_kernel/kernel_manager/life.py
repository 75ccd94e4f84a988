"""Life of one kernel: its state, and those who wait for a state."""

import asyncio
from collections.abc import Callable

from oet_kernel.kernel_manager.kernel_state import Fact, KernelState, apply

Condition = Callable[[KernelState], bool]


class KernelLife:
    """State of one kernel, which callers await."""

    def __init__(self) -> None:
        self.state = KernelState()
        """Newest state."""
        self._waits: dict[asyncio.Future[None], Condition] = {}

    def learn(self, fact: Fact) -> None:
        """Apply a fact, and wake the callers whose condition holds after it."""
        self.state = state = apply(self.state, fact)
        for wait, condition in self._waits.items():
            if not wait.done() and condition(state):
                wait.set_result(None)

    async def until(self, condition: Condition) -> None:
        """Wait until a condition holds, or has held since this call.

        Parameters
        ----------
        condition
            Function of a state.
        """
        if condition(self.state):
            return
        wait = asyncio.get_running_loop().create_future()
        self._waits[wait] = condition
        try:
            await wait
        finally:
            del self._waits[wait]

    async def within(self, seconds: float, condition: Condition) -> bool:
        """Wait until a condition holds or the kernel is gone; return False after the deadline.

        Parameters
        ----------
        seconds
            Seconds until the deadline.
        condition
            Function of a state.
        """
        try:
            async with asyncio.timeout(seconds):
                await self.until(lambda state: condition(state) or state.gone)
        except TimeoutError:
            return False
        return True
