"""The process of a kernel that another service has started: no child of this one, watched all the same."""

import asyncio
import os
import select
from contextlib import suppress

from oet_kernel.kernel_manager.exit_status import Ending, told
from oet_kernel.system.process_identity import start_of


class AdoptedProcess:
    """Watches a process by what names it for good.

    Parameters
    ----------
    pid, started
        Its id and the time of its start, in clock ticks.
    ending
        How it has ended or will have, told by its fork server; None when nobody will tell.
    forked
        Whether a fork server made it.
    """

    def __init__(self, pid: int, started: int, ending: asyncio.Future[Ending | None] | None, forked: bool) -> None:
        self.forked = forked
        self._ending = ending
        self._pidfd: int | None = None
        with suppress(OSError):
            self._pidfd = os.pidfd_open(pid)
        # what the descriptor names is looked at after it was opened: a pid that is used again in between is found out;
        # one that has ended may be there still, if its parent is slow
        if self._pidfd is not None and (start_of(pid) != started or _readable(self._pidfd)):
            self.leave()

    @property
    def gone(self) -> bool:
        """True when the process was not there any more; one that has its pid now is another."""
        return self._pidfd is None

    async def ended(self) -> Ending | None:
        """Wait for its end; None when nobody knows how it came."""
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
        # fork servers are still being asked
        return None if self._ending is None else await self._ending

    def leave(self) -> None:
        """Watch it no longer."""
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
