"""Fork servers of one service: its own, one for each environment of scripts, and those that earlier services left."""

import asyncio
from pathlib import Path

from oet_kernel.kernel_manager.exit_status import ExitStatuses
from oet_kernel.kernel_manager.forkserver.client import ForkServerConnection, ForkServerDown
from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from oet_kernel.system.supervision import Supervisor, report_fault

MOST = 3
"""Largest number of fork servers for environments of scripts, besides the service's own."""


class ForkServers:
    """Fork servers of one service.

    Parameters
    ----------
    runtime
        Folder of their sockets.
    own
        Fork server of the service's own environment; None for none at all.
    """

    def __init__(self, runtime: Path, own: ForkServerSupervisor | None) -> None:
        self.own = own
        """Fork server of the service's own environment; None without fork servers."""
        self.others: dict[Path, ForkServerSupervisor] = {}
        """Fork servers of scripts' environments by interpreter, in order of last use."""
        self.exit_statuses = own.exit_statuses if own is not None else ExitStatuses()
        """Exit statuses that the fork servers report."""
        self._runtime = runtime
        self._retired: list[ForkServerConnection] = []
        """Fork servers of an earlier service that take no requests, but whose kernels may have been adopted."""
        self._background = Supervisor()

    async def open(self) -> None:
        """Start the own fork server, and find those of earlier services."""
        if self.own is not None:
            self.own.start()
            await self.own.looked()
        try:
            await self._survey()
        except Exception as error:
            report_fault("asking the fork servers that were left here", error)
        self.exit_statuses.complete()
        if self.own is not None:
            await self.own.ready()

    async def _survey(self) -> None:
        """Read the kernels of fork servers from earlier services, and retire these: they end with their kernels."""
        own = None if self.own is None else self.own.socket
        for path in self._runtime.glob("fork-*.sock"):
            if path != own:
                try:
                    left = await ForkServerConnection.connect(path, self.exit_statuses)
                except ForkServerDown:
                    path.unlink(missing_ok=True)
                else:
                    left.retire()
                    self._retired.append(left)

    def get(self, python: Path | None) -> ForkServerSupervisor | None:
        """Return the fork server of an environment, started on first use and not ready at once; None without one.

        Parameters
        ----------
        python
            Interpreter of the environment; None for the service's own.
        """
        if self.own is None or python is None:
            return self.own
        wanted = self.others.pop(python, None)
        if wanted is None:
            if len(self.others) >= MOST:
                idle = next((path for path, one in self.others.items() if not one.busy), None)
                if idle is None:
                    return None
                self._background.start("ending a fork server that is idle", self.others.pop(idle).close())
            wanted = self.own.sibling(python)
            wanted.start()
        self.others[python] = wanted
        return wanted

    async def close(self) -> None:
        """End all fork servers."""
        await self._background.ended()
        await asyncio.gather(*(one.close() for one in self._all), *(one.end() for one in self._retired))

    async def detach(self) -> None:
        """Leave fork servers with kernels to the next service, and end the others."""
        await self._background.ended()
        await asyncio.gather(*(one.detach() for one in self._all))
        for connection in self._retired:
            connection.close()

    @property
    def _all(self) -> list[ForkServerSupervisor]:
        return [*self.others.values(), *([self.own] if self.own else [])]
