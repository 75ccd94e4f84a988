"""Kernels of procedures that have failed, kept for a while so that somebody can look inside."""

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
    """Keeps kernels, each for its time; the oldest go first where there is no room.

    Parameters
    ----------
    seconds
        For how long; 0 to keep none.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._places: dict[int, _Place] = {}
        """In the order in which they came."""
        self._leaving = Supervisor()

    def keep(self, execution: Execution, room: int) -> bool:
        """Keep the kernel of a procedure that has failed, if it can be.

        Parameters
        ----------
        execution
            The procedure. Its script hears no events of others any more.
        room
            How many kernels may be kept.

        Returns
        -------
        bool
            False where it is not kept: the script did not end by an exception of its own, or has left threads or
            processes at work, and nobody answers for what these do.
        """
        if not (self._seconds > 0 and room > 0 and execution.quiet and execution.kernel_alive):
            return False
        execution.interests.clear()
        self.make_room(room - 1)
        timer = asyncio.get_running_loop().call_later(self._seconds, self.let_go, execution)
        self._places[execution.id] = _Place(execution, timer, time.time() + self._seconds)
        return True

    def until(self, pid: int) -> float | None:
        """Tell when the kernel of a procedure goes, in Unix seconds; None for one that is not kept."""
        place = self._places.get(pid)
        return None if place is None else place.until

    def let_go(self, execution: Execution) -> None:
        """Let a kernel end, if it is kept."""
        place = self._places.pop(execution.id, None)
        if place is not None:
            place.timer.cancel()
            place.execution.dismiss()
            self._leaving.start("letting a kernel go", place.execution.gone())

    def make_room(self, places: int) -> None:
        """Let the oldest go until there are no more than so many."""
        while len(self._places) > max(0, places):
            self.let_go(next(iter(self._places.values())).execution)

    async def close(self) -> None:
        """Let all go, wait until they have gone, and keep no more."""
        self._seconds = 0.0
        self.make_room(0)
        await self._leaving.ended()
