"""Channels to one kernel: requests of the service, and the connection of its guests."""

from pathlib import Path
from typing import Any

import msgspec
import zmq.asyncio

from oet_kernel.kernel.auth import guest_key
from oet_kernel.kernel_manager.kernel_state import Asked
from oet_kernel.kernel_manager.launch import OetKernelManager
from oet_kernel.kernel_manager.life import KernelLife
from oet_kernel.models import Connection
from oet_kernel.protocol import Changes, PrepareRequest, Request, RunRequest
from oet_kernel.system.process_context import Bounds, Surroundings

NOWHERE = Surroundings({}, "", Bounds("", 0, ()))
"""Surroundings of a kernel that another service started: unknown, so all current ones count as changes."""


class KernelChannel:
    """Jupyter's shell and control channels to one kernel, connected at the first request.

    Parameters
    ----------
    life
        State of the kernel.
    manager
        Knows the kernel's sockets and its key; None where they are not known, and nothing can be sent.
    surroundings
        Surroundings that the kernel was started with.
    python
        Interpreter of its environment; None for the service's own.
    """

    def __init__(
        self, life: KernelLife, manager: OetKernelManager | None, surroundings: Surroundings, python: Path | None
    ) -> None:
        self._life = life
        self._manager = manager
        self._surroundings = surroundings
        self._python = python
        self._sockets: dict[str, zmq.asyncio.Socket] = {}

    @property
    def changes(self) -> Changes:
        """Changes of the service's surroundings since the start of the kernel."""
        return Surroundings.now(self._python).changes(self._surroundings)

    @property
    def connection(self) -> Connection | None:
        """Connection info for a guest, with the guests' key; None where the sockets are not known."""
        if self._manager is None:
            return None
        info = {**self._manager.get_connection_info(), "kernel_name": "oet"}
        return msgspec.convert({**info, "key": guest_key(info["key"]).decode()}, Connection)

    def ask(self, request: Request) -> None:
        """Send a request; a script gets the service's current environment variables and working folder."""
        if isinstance(request, PrepareRequest):
            request.changes = self.changes
            self._life.learn(Asked("prepare"))
        if isinstance(request, RunRequest):
            self._life.learn(Asked("run"))
        self._send(request.channel, request.msg_type, msgspec.to_builtins(request))

    def shut_down(self) -> None:
        """Send the request to end the process, with its exit handlers."""
        self._send("control", "shutdown_request", {"restart": False})

    def _send(self, channel: str, msg_type: str, content: dict[str, Any]) -> None:
        if self._manager is None or not self._life.state.attached:
            return
        socket = self._sockets.get(channel)
        if socket is None:
            connect = self._manager.connect_shell if channel == "shell" else self._manager.connect_control
            socket = self._sockets[channel] = connect()
            socket.linger = 0
        self._manager.session.send(socket, msg_type, content)

    def close(self) -> None:
        """Close the sockets of the service; those of the kernel stay."""
        for socket in self._sockets.values():
            socket.close()
        self._sockets.clear()

    def remove(self) -> None:
        """Remove the sockets of an ended kernel."""
        if self._manager is not None:
            self._manager.cleanup_ipc_files()
