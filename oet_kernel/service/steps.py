"""Deadline for a kernel to begin a requested step."""

import asyncio
from collections.abc import Callable


class StepDeadline:
    """Deadline of the newest step that a kernel was asked for and has not begun.

    Parameters
    ----------
    seconds
        Time in seconds for the kernel to begin.
    overdue
        Called with the name of the step when it is late; returns True to start the same deadline again.
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
        """Cancel the deadline: the step has begun, or never will."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _passed(self) -> None:
        self._timer = None
        if self._overdue(self._step):
            self.expect(self._step)
