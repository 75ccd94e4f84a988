"""Pool of kernels: created on demand, warm (started ahead, waiting for a script), or adopted."""

import asyncio
import logging
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import zmq.asyncio

from oet_kernel.kernel_manager.fork_servers import ForkServers
from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from oet_kernel.kernel_manager.local import LocalKernel
from oet_kernel.kernel_manager.record import LOCAL, KernelRecord, find_record
from oet_kernel.kernel_manager.session import AtWork, KernelIdentity, KernelSession
from oet_kernel.settings import KERNEL_DEADLINE, Ladder
from oet_kernel.state.folder import StateFolder
from oet_kernel.system.process_tree import kill_tree
from oet_kernel.system.processes import kill_leftovers, marked, start_of
from oet_kernel.system.supervision import Supervisor, supervise
from oet_kernel.system.threads import PROCESSES

log = logging.getLogger(__name__)

REFILL_DELAY = 0.15
"""Seconds without a request for a kernel before the next one is warmed, so that pending requests come first."""


class KernelPool:
    """Creates kernels for one service.

    Parameters
    ----------
    state
        The service's folder, in which each kernel gets a folder of its own.
    warm
        Number of kernels to start ahead; 0 for none.
    starting
        Largest number of kernels that start at the same time; more would only slow each other down.
    ladder
        Seconds for each step of a stop.
    start_deadline
        Seconds from the start of a process within which the kernel must take requests.
    fork_server
        Forks kernels; None to start them plainly. Environments of scripts get fork servers with the same settings.
    orphan_seconds
        Seconds without a service after which a kernel ends itself, once its script is done; 0 for no limit.
    """

    def __init__(
        self,
        state: StateFolder,
        *,
        warm: int,
        starting: int,
        ladder: Ladder,
        start_deadline: float = KERNEL_DEADLINE,
        fork_server: ForkServerSupervisor | None = None,
        orphan_seconds: float = 0,
    ) -> None:
        self._state = state
        self._orphan_seconds = orphan_seconds
        self._size = warm
        self._ladder = ladder
        self._start_deadline = start_deadline
        self._fork_servers = ForkServers(state.runtime, fork_server)
        self._context: zmq.asyncio.Context = zmq.asyncio.Context()
        self._starting = asyncio.Semaphore(starting)
        self._warm: list[LocalKernel] = []
        self._warming: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._background = Supervisor()
        self._given: set[LocalKernel] = set()
        """Kernels that were handed out or adopted."""

    def open(self) -> None:
        """Start the fork server, then the warm kernels, in the background."""
        self._opening = supervise("opening the kernel pool", self._open())

    async def _open(self) -> None:
        await self._fork_servers.open()
        self._refill()

    async def opened(self) -> None:
        """Wait until the fork server and the warm kernels have started, or have failed to."""
        if self._opening is not None:
            await self._opening
        if self._warming is not None:
            await self._warming

    def get(self, python: Path | None) -> LocalKernel:
        """Return a kernel, a warm one if there is any; the caller owns it, and starts and stops it.

        Parameters
        ----------
        python
            Interpreter of the kernel's environment; None for the service's own, the only one with warm kernels.
        """
        for kernel in [one for one in self._warm if python is None and one.started]:
            self._warm.remove(kernel)
            if kernel.fits:
                self._refill_later()
                return self._give(kernel)
            self._discard(kernel)
        self._refill_later()
        return self._give(self._make(python))

    def check(self, identity: KernelIdentity) -> None:
        """Raise if a stored identity is not that of a kernel in this state folder; no other folder is ever touched.

        Raises
        ------
        ValueError
            With the reason.
        """
        if identity.kind != LOCAL:
            raise ValueError(f"{identity.address} is of the kind {identity.kind!r}, and kernels here are {LOCAL!r}")
        if not self._state.owns(Path(identity.address)):
            raise ValueError(f"{identity.address} is not a kernel folder in {self._state.path}")

    def find(self, identity: KernelIdentity) -> KernelIdentity | None:
        """Return the identity with that of its process, running or ended.

        Parameters
        ----------
        identity
            Identity stored before the start of the process, or after.

        Returns
        -------
        KernelIdentity or None
            None when there was no process, or its folder is gone.
        """
        folder = Path(identity.address)
        if not folder.is_dir():
            return None
        with suppress(ValueError, RecursionError):
            KernelRecord.of(identity)
            return identity
        record = find_record(folder)
        return None if record is None else record.identity

    def adopt(self, identity: KernelIdentity, offset: int, at_work: AtWork, python: Path | None = None) -> LocalKernel:
        """Adopt a kernel that an earlier service has started, whether it still runs or not.

        The exit status of a forked kernel is available once the pool is open. Call `LocalKernel.attach` before the next
        await: then every record behind the offset is delivered.

        Parameters
        ----------
        identity
            Identity from `find`.
        offset
            Offset in bytes in the kernel's journal to begin at: behind the last stored record.
        at_work
            Request that the kernel had been sent and not finished at this offset.
        python
            Interpreter of the kernel's environment; None for the service's own.
        """
        exit_statuses = self._fork_servers.exit_statuses
        record = KernelRecord.of(identity)
        return self._give(LocalKernel.adopt(self._state, record, offset, at_work, self._context, exit_statuses, python))

    async def sweep(self, known: Collection[KernelIdentity]) -> None:
        """End the unrecorded kernels of an earlier service, and remove their folders.

        These are its warm kernels, and kernels that it started just before its end.

        Parameters
        ----------
        known
            Kernels that were adopted, or whose journals are still needed.
        """
        kept = {kernel.folder for kernel in (*self._given, *self._warm)} | {Path(one.address) for one in known}
        folders = [folder for folder in self._state.kernel_folders() if folder not in kept]
        await PROCESSES.run(_end_all, folders, f"{self._state.layout.kernels}/")
        for folder in folders:
            self._state.forget(folder)

    async def end(self, identity: KernelIdentity) -> None:
        """End a kernel that could not be adopted."""
        await PROCESSES.run(_end_all, [Path(identity.address)], f"{self._state.layout.kernels}/")

    async def start(self, kernel: KernelSession) -> bool:
        """Start a kernel that is not warm, and wait until it takes requests; False when it has ended before.

        Parameters
        ----------
        kernel
            Kernel from `get`.

        Raises
        ------
        KernelSilent
            When the kernel does not take requests in time.
        """
        if not kernel.alive:
            async with self._starting:
                await kernel.start()
                return await kernel.ready(self._start_deadline)
        return True

    async def close(self) -> None:
        """End the warm kernels and the fork servers."""
        await self._end_warm()
        await self._fork_servers.close()
        self._context.destroy(linger=0)

    async def detach(self) -> None:
        """End the warm kernels; leave the others, and fork servers with kernels, to the next service."""
        await self._end_warm()
        await asyncio.gather(*(kernel.detach() for kernel in self._given))
        await self._fork_servers.detach()
        self._context.destroy(linger=0)

    async def _end_warm(self) -> None:
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
        await self._background.ended()

    def _make(self, python: Path | None) -> LocalKernel:
        folder = self._state.kernel_folder()
        return LocalKernel(
            self._state, folder, self._context, python, self._fork_servers.get(python), self._orphan_seconds
        )

    def _give(self, kernel: LocalKernel) -> LocalKernel:
        self._given = {one for one in self._given if one.alive or not one.started}
        self._given.add(kernel)
        return kernel

    def _discard(self, kernel: LocalKernel) -> None:
        """End an unused warm kernel, and remove its folder."""

        async def end() -> None:
            await kernel.stop(self._ladder)
            await kernel.forget()

        self._background.start("ending a kernel that nobody used", end())

    def _refill_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(REFILL_DELAY, self._refill)

    def _refill(self) -> None:
        # not the kernels that are being started, which are not alive yet: they would never be ended
        for kernel in [one for one in self._warm if one.started and not one.alive]:
            self._warm.remove(kernel)
            self._discard(kernel)
        if len(self._warm) < self._size and (self._warming is None or self._warming.done()):
            self._warming = supervise("starting kernels ahead", self._warm_up())

    async def _warm_up(self) -> None:
        while len(self._warm) < self._size:
            kernel = self._make(None)
            self._warm.append(kernel)
            try:
                alive = await self.start(kernel)
            except Exception:
                alive = False
                log.warning("A kernel could not be started ahead of its script", exc_info=True)
            if not alive and kernel in self._warm:
                self._warm.remove(kernel)
                self._discard(kernel)
                return


def _end_all(folders: Collection[Path], beginning: str) -> None:
    """End the kernels of some folders, and all processes with the mark of one of these, or of a missing folder."""
    for folder in folders:
        record = find_record(folder)
        if record is not None and start_of(record.pid) == record.started:
            kill_tree(record.pid)
            kill_leftovers(record.pid, record.folder)
    for name, pids in marked(beginning).items():
        if Path(name) in folders or not os.path.exists(name):
            for pid in pids:
                kill_tree(pid)
