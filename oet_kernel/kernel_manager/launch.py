"""Start of a kernel's process by Jupyter's kernel manager."""

from contextlib import suppress
from pathlib import Path

import zmq.asyncio
from jupyter_client.manager import AsyncKernelManager
from traitlets import Instance

from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from oet_kernel.kernel_manager.specs import OneSpec, kernel_spec, provide_packages
from oet_kernel.protocol import CONNECTION_FILE, OUTPUT_FILE
from oet_kernel.system.process_context import Surroundings
from oet_kernel.system.processes import MARK


class OetKernelManager(AsyncKernelManager):
    """Jupyter's manager of one kernel; its provisioner finds the service's fork server here."""

    fork_server = Instance(ForkServerSupervisor, allow_none=True)

    def _connect_control_socket(self) -> None:
        """No-op: `KernelChannel` has a control socket of its own, and nobody would close this one."""


def kernel_manager(
    folder: Path,
    sockets: Path,
    context: zmq.asyncio.Context,
    python: Path | None,
    fork_server: ForkServerSupervisor | None,
) -> OetKernelManager:
    """Create the manager of a kernel that is to be started.

    Parameters
    ----------
    folder
        The kernel's private folder.
    sockets
        Beginning of the paths of its sockets; short, since the system allows 107 bytes.
    context
        The ZeroMQ context that all kernels of the service share.
    python
        Interpreter of its environment; None for the service's own.
    fork_server
        Forks it where possible; None to start it plainly.
    """
    return OetKernelManager(
        kernel_name="oet",
        kernel_spec_manager=OneSpec(kernel_spec(python)),
        connection_file=str(folder / CONNECTION_FILE),
        transport="ipc",
        ip=str(sockets),
        context=context,
        fork_server=fork_server,
    )


async def launch(
    manager: OetKernelManager, folder: Path, python: Path | None, surroundings: Surroundings, orphan_seconds: float
) -> None:
    """Start the process of a kernel.

    Parameters
    ----------
    manager
        Manager from `kernel_manager`.
    folder
        The kernel's private folder.
    python
        Interpreter of its environment; None for the service's own.
    surroundings
        Environment variables and working folder to start it with.
    orphan_seconds
        Seconds without a service after which it ends itself, once its script is done; 0 for no limit.
    """
    await provide_packages(python)
    with open(folder / OUTPUT_FILE, "ab") as stdio:  # noqa: ASYNC230 - a new file in our own folder
        await manager.start_kernel(
            env={**surroundings.environment, MARK: str(folder)},
            cwd=surroundings.folder,
            stdout=stdio,
            stderr=stdio,
            extra_arguments=["--journal", str(folder), "--orphan-seconds", f"{orphan_seconds:g}"],
            independent=True,
        )
    manager._connection_file_written = False  # keeps the file after this service, for the adoption


def reconnect(folder: Path, context: zmq.asyncio.Context) -> OetKernelManager | None:
    """Create the manager of a kernel that another service has started; None if its connection file cannot be read.

    Parameters
    ----------
    folder
        The kernel's private folder.
    context
        The ZeroMQ context that all kernels of the service share.
    """
    with suppress(OSError, ValueError):
        manager = OetKernelManager(connection_file=str(folder / CONNECTION_FILE), context=context)
        manager.load_connection_file()
        return manager
    return None
