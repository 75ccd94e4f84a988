"""The process of a kernel that another service has started: watched although it is not a child of this service."""

import asyncio
import os
import select
from contextlib import suppress

from oet_kernel.kernel_manager.exit_status import Ending, told
from oet_kernel.system.process_identity import start_of


class AdoptedProcess:
    """Watches a process by its identity: pid and start time, unique even when pids are reused.

    Parameters
    ----------
    pid, started
        Process id, and start time in clock ticks.
    ending
        Future of the exit status, from the process's fork server; None where no fork server reports it.
    forked
        Whether a fork server has forked the process.
    """

    def __init__(self, pid: int, started: int, ending: asyncio.Future[Ending | None] | None, forked: bool) -> None:
        self.forked = forked
        self._ending = ending
        self._pidfd: int | None = None
        with suppress(OSError):
            self._pidfd = os.pidfd_open(pid)
        # the identity is checked after the descriptor was opened, which detects a pid that was reused in between;
        # an ended process may still be listed, as a zombie
        if self._pidfd is not None and (start_of(pid) != started or _readable(self._pidfd)):
            self.leave()

    @property
    def gone(self) -> bool:
        """True when the process had already ended; another process may have its pid now."""
        return self._pidfd is None

    async def ended(self) -> Ending | None:
        """Wait for the end of the process; return its exit status, None when it is unknown."""
        if self._pidfd is not None:
            loop = asyncio.get_running_loop()
            gone = loop.create_future()
            loop.add_reader(self._pidfd, _wake, gone)
            try:
                await gone
            finally:
                loop.remove_reader(self._pidfd)
                self.leave()
            return None if self._ending is None else await told(self._ending)
        # the fork servers may not have answered yet
        return None if self._ending is None else await self._ending

    def leave(self) -> None:
        """Stop watching the process."""
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None


def _wake(gone: asyncio.Future[None]) -> None:
    if not gone.done():
        gone.set_result(None)


def _readable(descriptor: int) -> bool:
    poll = select.poll()  # not select(), which takes no descriptor beyond 1023
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
