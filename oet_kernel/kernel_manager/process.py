"""Process of one kernel on this machine: its end, by itself or by signals, and its exit status."""

import logging
import signal
import time
from collections.abc import Callable
from typing import Protocol

from oet_kernel.kernel_manager.exit_status import Ending
from oet_kernel.kernel_manager.kernel_state import Life, Reached
from oet_kernel.kernel_manager.life import KernelLife
from oet_kernel.kernel_manager.record import KernelRecord
from oet_kernel.settings import Ladder
from oet_kernel.system.process_identity import start_of
from oet_kernel.system.process_tree import kill_tree
from oet_kernel.system.processes import handles, kill_leftovers, signal_group
from oet_kernel.system.threads import PROCESSES

log = logging.getLogger(__name__)


class WatchedProcess(Protocol):
    """The process of a kernel: forked, started plainly, or adopted."""

    @property
    def forked(self) -> bool:
        """True when a fork server has forked the kernel, and so ends its remaining descendants."""

    async def ended(self) -> Ending | None:
        """Wait for the end of the process; return its exit status, None when it is unknown."""

    def leave(self) -> None:
        """Stop watching the process."""


class KernelProcess:
    """Process of one kernel.

    Parameters
    ----------
    record
        Identity of the process.
    watched
        Reports its end.
    life
        State of the kernel, which learns of it.
    """

    def __init__(self, record: KernelRecord, watched: WatchedProcess, life: KernelLife) -> None:
        self.record = record
        self.unwatched = not life.state.running
        """True if it had ended before this service came."""
        self.ending: Ending | None = None
        """Its exit status; None while it runs, and if unknown."""
        self.ended_at: float | None = None
        """Time of its end, in Unix seconds; None while it runs. An estimate where no service watched."""
        self._watched = watched
        self._life = life

    @property
    def there(self) -> bool:
        """True while the pid belongs to this kernel, so that a signal reaches no other process."""
        return self._life.state.running and start_of(self.record.pid) == self.record.started

    async def ended(self) -> None:
        """Wait until the process has ended, and end its remaining descendants."""
        ending = await self._watched.ended()
        self._life.learn(Reached(Life.ENDED))
        self.ending = ending
        self.ended_at = time.time() if ending is None else ending.at
        if ending is None or not self._watched.forked:
            session = None if self.unwatched else self.record.pid  # the pid may have been reused
            await PROCESSES.run(kill_leftovers, session, self.record.folder)
        self._life.learn(Reached(Life.GONE))

    async def give_up(self) -> None:
        """End a process that cannot be watched any more."""
        if self.there:  # must not run on unwatched
            await PROCESSES.run(kill_tree, self.record.pid)
        self.ended_at = self.ended_at or time.time()

    async def end(self, ladder: Ladder, shut_down: Callable[[], None]) -> bool:
        """End the process: interrupt, SIGTERM, shutdown request, SIGKILL to the whole tree; always returns.

        Parameters
        ----------
        ladder
            Seconds for each step.
        shut_down
            Sends the shutdown request.

        Returns
        -------
        bool
            False when the process survived SIGKILL (it hangs in a system call).
        """
        life, pid = self._life, self.record.pid
        rungs = [(signal.SIGINT, ladder.interrupt), (signal.SIGTERM, ladder.terminate)]
        if self.there and handles(pid, signal.SIGTERM):  # the signal by which supervisors stop a process
            rungs = [(signal.SIGTERM, ladder.interrupt), (signal.SIGINT, ladder.terminate)]
        for signum, seconds in rungs:
            if not life.state.idle:
                if self.there:
                    signal_group(pid, signum)
                await life.within(seconds, lambda state: state.idle)
        if life.state.idle:
            shut_down()  # no function of the script runs: a clean exit, with its atexit handlers
        if not await life.within(ladder.terminate if life.state.idle else 0, lambda state: state.gone):
            if self.there:
                await PROCESSES.run(kill_tree, pid)
            if not await life.within(ladder.kill, lambda state: state.gone):
                log.error("Kernel process %d survived SIGKILL for %.1f s", pid, ladder.kill)
                return False
        return True

    def leave(self) -> None:
        """Stop watching the process, which goes on."""
        self._watched.leave()
