"""Watches that a kernel begins what it was asked for."""

import asyncio
from collections.abc import Callable


class StepDeadline:
    """The deadline of the step that a kernel was asked for last and has not begun.

    Parameters
    ----------
    seconds
        How long the kernel may take to begin.
    overdue
        Called with the name of the step when it is late; True to give it the same time once more.
    """

    def __init__(self, seconds: float, overdue: Callable[[str], bool]) -> None:
        self.seconds = seconds
        self._overdue = overdue
        self._step = ""
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, step: str) -> None:
        """Start the deadline of a step, ``load`` or ``main``."""
        self.met()
        self._step = step
        self._timer = asyncio.get_running_loop().call_later(self.seconds, self._passed)

    def met(self) -> None:
        """Stop the deadline: the step has begun, or never will."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _passed(self) -> None:
        self._timer = None
        if self._overdue(self._step):
            self.expect(self._step)
