"""Jupyter provisioner of this project's kernels: forked by a fork server, or started plainly without one."""

import logging
import os
import signal
import time
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from oet_kernel.kernel_manager.exit_status import Ending
from oet_kernel.kernel_manager.forkserver.client import Forked, ForkServerDown
from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from oet_kernel.system.children import inherited
from oet_kernel.system.process_identity import start_of
from oet_kernel.system.processes import exit_of, signal_group

log = logging.getLogger(__name__)


class OetProvisioner(LocalProvisioner):
    """Starts one kernel process on this machine.

    Jupyter creates a provisioner for each kernel whose kernelspec names it. The service's kernel managers have a fork
    server; without one (a notebook on our kernelspec) it behaves like Jupyter's own provisioner.
    """

    _forked: Forked | None = None
    started = 0
    """Start time of the process, in clock ticks; 0 before the start."""

    @property
    def has_process(self) -> bool:
        """True when there is a process, forked or started."""
        return self._forked is not None or super().has_process

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork the kernel if possible, else start it."""
        environment = kwargs.get("env") or inherited()
        fork_server: ForkServerSupervisor | None = getattr(self.parent, "fork_server", None)
        if fork_server is not None:
            folder = str(kwargs.get("cwd") or os.getcwd())
            try:
                if obstacle := fork_server.obstacle(environment):
                    raise ForkServerDown(obstacle)
                self._forked = await fork_server.fork(cmd, folder, environment, kwargs["stdout"].name)
            except ForkServerDown as error:
                log.warning("A kernel is started without the fork server: %s", error)
            else:
                self.pid = self.pgid = self._forked.pid
                self.started = self._forked.started
                return self.connection_info
        info = await super().launch_kernel(cmd, **kwargs)
        self.started = start_of(self.pid) or 0
        return info

    @property
    def forked(self) -> bool:
        """True when a fork server has forked the kernel, and so ends its remaining descendants."""
        return self._forked is not None

    async def ended(self) -> Ending | None:
        """Wait for the end of the process; return its exit status, None when it is unknown."""
        if self._forked is not None:
            return await self._forked.ended()
        assert self.process is not None
        return Ending(await exit_of(self.process), time.time())

    def leave(self) -> None:
        """Stop watching the process, which runs on."""
        if self._forked is not None:
            self._forked.forget()
        elif self.process is not None:
            self.process.returncode = self.process.poll() or 0  # avoids the ResourceWarning about a running process

    async def send_signal(self, signum: int) -> None:
        """Signal the process and its group."""
        if self._forked is not None and signum:
            signal_group(self._forked.pid, signal.Signals(signum))
        else:
            await super().send_signal(signum)
