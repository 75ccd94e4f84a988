"""Where kernels come from: made on demand, or warm, started ahead and waiting for a script."""

import asyncio
import logging
from pathlib import Path

import zmq.asyncio

from oet_kernel.kernels.local import Ladder, LocalKernel
from oet_kernel.kernels.supervisor import ForkServerSupervisor
from oet_kernel.state import StateFolder

log = logging.getLogger(__name__)

REFILL_DELAY = 0.15
"""Seconds without a request for a kernel before the next is warmed: work that waits comes first."""


class KernelPool:
    """Makes kernels for one service.

    Parameters
    ----------
    state
        The service's folder, in which each kernel gets one of its own.
    warm
        How many kernels to start ahead; 0 for none.
    starting
        How many may be started at the same instant; more only get in each other's way.
    ladder
        How long each rung of a stop may take.
    fork_server
        What forks kernels; None to start them plainly.
    """

    def __init__(
        self,
        state: StateFolder,
        *,
        warm: int,
        starting: int,
        ladder: Ladder,
        fork_server: ForkServerSupervisor | None = None,
    ) -> None:
        self._state = state
        self._size = warm
        self._ladder = ladder
        self._fork_server = fork_server
        self._context: zmq.asyncio.Context = zmq.asyncio.Context()
        self._starting = asyncio.Semaphore(starting)
        self._warm: list[LocalKernel] = []
        self._warming: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._discarded: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Begin to work: the fork server, then the warm kernels."""
        self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        if self._fork_server is not None:
            self._fork_server.start()
            await self._fork_server.ready()
        self._refill()

    async def opened(self) -> None:
        """Wait until the fork server and the warm kernels are there, or cannot be."""
        if self._opening is not None:
            await self._opening
        if self._warming is not None:
            await self._warming

    def get(self, python: Path | None) -> LocalKernel:
        """Give a kernel, warm if there is one; it is the caller's to start and to stop.

        Parameters
        ----------
        python
            Interpreter of the environment that it is for; None for the service's own, the only one with warm kernels.
        """
        while python is None and self._warm:
            kernel = self._warm.pop(0)
            if kernel.fits:
                self._refill_later()
                return kernel
            self._discard(kernel)
        self._refill_later()
        return self._make()

    async def start(self, kernel: LocalKernel, python: Path | None) -> bool:
        """Start a kernel that is not warm, and wait until it takes requests; False when it has ended before.

        Parameters
        ----------
        kernel
            From `get`.
        python
            As given to `get`.
        """
        if not kernel.alive:
            async with self._starting:
                await kernel.start(python)
                return await kernel.ready()
        return True

    async def close(self) -> None:
        """End the warm kernels and the fork server."""
        self._size = 0
        if self._timer is not None:
            self._timer.cancel()
        tasks = [task for task in (self._opening, self._warming) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for kernel in self._warm:
            self._discard(kernel)
        await asyncio.gather(*self._discarded)
        if self._fork_server is not None:
            await self._fork_server.close()
        self._context.destroy(linger=0)

    def _make(self) -> LocalKernel:
        folder = self._state.kernel_folder()
        return LocalKernel(folder, self._state.sockets(folder.name), self._context, self._fork_server)

    def _discard(self, kernel: LocalKernel) -> None:
        """End a warm kernel that nobody will use, and remove its folder."""

        async def end() -> None:
            await kernel.stop(self._ladder)
            self._state.forget(kernel.folder)

        task = asyncio.create_task(end())
        self._discarded.add(task)
        task.add_done_callback(self._discarded.discard)

    def _refill_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(REFILL_DELAY, self._refill)

    def _refill(self) -> None:
        self._warm = [kernel for kernel in self._warm if kernel.alive]
        if len(self._warm) < self._size and (self._warming is None or self._warming.done()):
            self._warming = asyncio.create_task(self._warm_up())

    async def _warm_up(self) -> None:
        while len(self._warm) < self._size:
            kernel = self._make()
            self._warm.append(kernel)
            try:
                alive = await self.start(kernel, None)
            except Exception:
                alive = False
                log.warning("A kernel could not be started ahead of its script", exc_info=True)
            if not alive and kernel in self._warm:
                self._warm.remove(kernel)
                return
