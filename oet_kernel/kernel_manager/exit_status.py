"""Exit statuses of forked kernels: reported by the fork servers that forked them, awaited by their watchers."""

import asyncio
from typing import NamedTuple

TELL_DEADLINE = 2.0
"""Seconds within which a fork server must report the exit status of an ended process."""


class Ending(NamedTuple):
    """Exit status and time of a process's end."""

    status: int
    """Exit code, or minus the number of the signal that ended it."""
    at: float
    """Time of the end, in Unix seconds."""


async def told(ending: asyncio.Future[Ending | None]) -> Ending | None:
    """Wait for the exit status of an ended process; None after `TELL_DEADLINE`, when its fork server may be frozen.

    Parameters
    ----------
    ending
        Future from `ExitStatuses.ending`.
    """
    await asyncio.wait([ending], timeout=TELL_DEADLINE)
    return ending.result() if ending.done() else None


Key = tuple[int, int]
"""Process identity: process id, and start time in clock ticks."""


class ExitStatuses:
    """Exit statuses from the fork servers of a service, those that an earlier service has started included.

    Until all of these have answered, a kernel that is not listed yet may still be listed by another one.
    """

    def __init__(self) -> None:
        self._awaited: dict[Key, asyncio.Future[Ending | None]] = {}
        self._told: dict[Key, Ending | None] = {}
        self._alive: set[Key] = set()
        self._complete = False

    def ending(self, pid: int, started: int) -> asyncio.Future[Ending | None]:
        """Return a future of a process's exit status, None when it is unknown; to be called once per process.

        Parameters
        ----------
        pid, started
            Process id, and start time in clock ticks.
        """
        key = (pid, started)
        future: asyncio.Future[Ending | None] = asyncio.get_running_loop().create_future()
        if key in self._told:
            future.set_result(self._told.pop(key))
        elif self._complete and key not in self._alive:
            future.set_result(None)
        else:
            self._awaited[key] = future
        return future

    def claim(self, pid: int, started: int) -> None:
        """Register a live process whose exit status a fork server will report."""
        self._alive.add((pid, started))

    def report(self, pid: int, started: int, ending: Ending | None) -> None:
        """Record the exit status of a process; None when its fork server died before it."""
        key = (pid, started)
        self._alive.discard(key)
        future = self._awaited.pop(key, None)
        if future is None:
            self._told[key] = ending
        elif not future.done():
            future.set_result(ending)

    def complete(self) -> None:
        """Record that every fork server has listed its kernels: the exit status of all others stays unknown."""
        self._complete = True
        for key in self._awaited.keys() - self._alive:
            self.report(*key, None)
