"""End of one procedure's kernel: by a stop, or after the procedure has ended."""

import asyncio
import time
from collections.abc import Coroutine

from oet_kernel import procedure as lifecycle
from oet_kernel.service.kernel_link import KernelLink
from oet_kernel.service.preparation import Preparation
from oet_kernel.service.stored_procedure import StoredProcedure
from oet_kernel.settings import Ladder
from oet_kernel.store.journal import Journal
from oet_kernel.system.supervision import supervise


class Ending:
    """End of one procedure's kernel, begun once.

    Parameters
    ----------
    stored
        Procedure whose kernel ends.
    link
        Link to the kernel.
    preparation
        Preparation of the procedure, which a stop cancels.
    journal
        Stores the kernel's last messages.
    ladder
        Duration of each step of a stop.
    """

    def __init__(
        self, stored: StoredProcedure, link: KernelLink, preparation: Preparation, journal: Journal, ladder: Ladder
    ) -> None:
        self._stored = stored
        self._link = link
        self._preparation = preparation
        self._journal = journal
        self._ladder = ladder
        self._task: asyncio.Task[bool] | None = None

    @property
    def begun(self) -> bool:
        """True once the kernel is being ended."""
        return self._task is not None

    async def stop(self, *, abort: bool = False, who: str | None = None) -> bool:
        """Stop the procedure; concurrent callers get the same result.

        Parameters
        ----------
        abort
            Whether the abort script is to follow; stored with the stop, so that it survives a restart.
        who
            Name of the requester; the first one is kept.

        Returns
        -------
        bool
            False when the kernel's process outlived SIGKILL.
        """
        if abort and not self._stored.row.abort:
            self._stored.update(abort=True)
        if self._task is None or _has_failed(self._task):
            self._stored.learn(lifecycle.StopAccepted(time.time(), who))
            self._task = self._begin("stopping", self._stop())
        return await asyncio.shield(self._task)

    def dismiss(self) -> None:
        """Start to end the kernel of a procedure that has ended."""
        if self._task is None and self._link.session is not None:
            self._task = self._begin("ending the kernel of", self._end_kernel())

    async def complete(self) -> None:
        """Wait until the kernel has ended, if it is being ended."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def cancel(self) -> None:
        """Leave the kernel to the next service, which ends it."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    def _begin(self, doing: str, work: Coroutine[None, None, bool]) -> asyncio.Task[bool]:
        return supervise(f"{doing} procedure {self._stored.id}", work)

    async def _stop(self) -> bool:
        await self._preparation.cancel()
        kernel, pausing = self._link.session, self._link.pausing
        if kernel is not None and (self._stored.procedure.pause is not None or pausing.asked):
            await pausing.stop(kernel)  # or the clean-up after the interrupt would wait at a checkpoint
        stopped = await self._end_kernel()
        if not stopped:
            self._stored.learn(lifecycle.StopGivenUp(time.time()))
        elif not self._link.alive:
            self._stored.learn(lifecycle.KernelExited(time.time(), ""))  # where no process was ever started
        return stopped

    async def _end_kernel(self) -> bool:
        """End the kernel and read its last messages, unless they cannot be stored; return False if it goes on."""
        kernel = self._link.session
        if kernel is None:
            return True
        ended = await kernel.end(self._ladder)
        if ended:
            await self._journal.unless_in_trouble(kernel.heard_out())
        return ended


def _has_failed(task: "asyncio.Task[bool]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
