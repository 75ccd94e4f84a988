"""Kernels of failed procedures, kept for a while so that users can attach to them."""

import asyncio
import time

from msgspec import Struct

from oet_kernel.service.execution import Execution
from oet_kernel.system.supervision import Supervisor


class _Place(Struct):
    execution: Execution
    timer: asyncio.TimerHandle
    until: float


class KeptKernels:
    """Kernels kept for a fixed time each; the oldest are ended first where there is no room.

    Parameters
    ----------
    seconds
        Time in seconds that each kernel is kept; 0 to keep none.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._places: dict[int, _Place] = {}
        """Kept kernels by procedure id, the oldest first."""
        self._leaving = Supervisor()

    def keep(self, execution: Execution, room: int) -> bool:
        """Keep the kernel of a procedure that has failed, if it can be.

        Parameters
        ----------
        execution
            Failed procedure; its script receives no more events of other sources.
        room
            Number of kernels that may be kept.

        Returns
        -------
        bool
            False if it is not kept: the script did not end by an exception of its own, or left threads or processes at
            work, which nobody is responsible for.
        """
        if not (self._seconds > 0 and room > 0 and execution.messages.quiet and execution.link.alive):
            return False
        execution.messages.end_interests()
        self.make_room(room - 1)
        timer = asyncio.get_running_loop().call_later(self._seconds, self.let_go, execution)
        self._places[execution.id] = _Place(execution, timer, time.time() + self._seconds)
        return True

    def until(self, pid: int) -> float | None:
        """Return the time at which the kernel of a procedure is ended, in Unix seconds; None if it is not kept."""
        place = self._places.get(pid)
        return None if place is None else place.until

    def let_go(self, execution: Execution) -> None:
        """End a kernel, if it is kept."""
        place = self._places.pop(execution.id, None)
        if place is not None:
            place.timer.cancel()
            place.execution.ending.dismiss()
            self._leaving.start("letting a kernel go", place.execution.ending.complete())

    def make_room(self, places: int) -> None:
        """End the oldest kernels until at most this number are kept."""
        while len(self._places) > max(0, places):
            self.let_go(next(iter(self._places.values())).execution)

    async def close(self) -> None:
        """End all kernels, wait until they have ended, and keep no more."""
        self._seconds = 0.0
        self.make_room(0)
        await self._leaving.ended()
