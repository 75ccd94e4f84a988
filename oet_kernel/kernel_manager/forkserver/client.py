"""A connection to a fork server: asks for kernels, hears how they end."""

import array
import asyncio
import contextlib
import logging
import os
import signal
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from oet_kernel.kernel_manager.exit_status import Ending, ExitStatuses, told
from oet_kernel.system.processes import kill_tree
from oet_kernel.system.threads import PROCESSES

log = logging.getLogger(__name__)

HELLO_DEADLINE = 10.0
"""Seconds that a fork server has to say what it has."""
FORK_DEADLINE = 10.0
"""Seconds that it may be silent while it is to fork kernels; each takes it some milliseconds."""
END_DEADLINE = 5.0
"""Seconds that it has to end."""


class ForkServerDown(Exception):
    """There is no fork server to ask: it is being started, or cannot be."""


class Forked:
    """A process that the fork server has forked.

    Parameters
    ----------
    pid, started
        Its process id, and the time of its start in clock ticks.
    pidfd
        What names it for good, and is readable when it has ended; owned by this object.
    ending
        How it has ended, told by the fork server.
    """

    def __init__(self, pid: int, started: int, pidfd: int, ending: asyncio.Future[Ending | None]) -> None:
        self.pid = pid
        self.started = started
        self._pidfd = pidfd
        self._ending = ending
        self._gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(pidfd, self._on_exit)

    def _on_exit(self) -> None:
        self.forget()
        self._gone.set()

    def forget(self) -> None:
        """Watch it no longer."""
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    async def ended(self) -> Ending | None:
        """Wait for its end; None when nobody knows how it came."""
        await self._gone.wait()
        return await told(self._ending)


class ForkServerConnection:
    """The one connection that a fork server serves; made by `connect`.

    Parameters
    ----------
    connection
        A connected socket, not blocking.
    exit_statuses
        Who is told how kernels end.
    """

    def __init__(self, connection: socket.socket, exit_statuses: ExitStatuses) -> None:
        self.closed = asyncio.Event()
        """Set when it is."""
        self._socket = connection
        self._exit_statuses = exit_statuses
        self._received = b""
        self._unsent = bytearray()
        self._heard = 0.0
        """When it has last said anything, in the event loop's time."""
        self._descriptors: list[int] = []
        self._requests: dict[int, asyncio.Future[Forked]] = {}
        self._kernels: dict[int, int] = {}
        """Start times of those that live, by process id."""
        self._number = 0
        self._greeted = asyncio.Event()

    @classmethod
    async def connect(cls, path: Path, exit_statuses: ExitStatuses) -> Self:
        """Connect to a fork server, and hear which kernels it has and how those have ended that it had.

        Parameters
        ----------
        path
            Its socket.
        exit_statuses
            Who is told how kernels end.

        Raises
        ------
        ForkServerDown
            When there is none, or none that answers.
        """
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        made = cls(connection, exit_statuses)
        try:
            async with asyncio.timeout(HELLO_DEADLINE):
                await loop.sock_connect(connection, str(path))
                loop.add_reader(connection, made._receive)
                await made._greeted.wait()
        except (OSError, TimeoutError) as error:
            made.close()
            raise ForkServerDown(f"no fork server answers at {path}: {error or 'no answer in time'}") from None
        except BaseException:
            made.close()
            raise
        if made.closed.is_set():
            raise ForkServerDown(f"the fork server at {path} is gone")
        return made

    @property
    def busy(self) -> bool:
        """True while it has kernels."""
        return bool(self._requests or self._kernels)

    async def fork(self, argv: Sequence[str], folder: str, environment: dict[str, str], stdio: str) -> Forked:
        """Fork a kernel; parameters as `ForkServerSupervisor.fork` has them.

        One that does not answer is killed, alone: its kernels live on, and another can be started.
        """
        self._number += 1
        future: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
        request = {"op": "fork", "id": self._number, "argv": list(argv), "folder": folder}
        self._requests[self._number] = future
        try:
            self._send({**request, "environment": environment, "stdio": stdio})
            return await self._answer(future)
        except TimeoutError:
            future.cancel()
            pid = self._pid
            if pid is not None:
                log.warning(
                    "The fork server, process %d, does not answer within %g s; it is killed", pid, FORK_DEADLINE
                )
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                self.close()
            raise ForkServerDown("the fork server does not answer") from None
        finally:
            future.cancel()  # where nobody waits any more

    async def _answer(self, future: asyncio.Future[Forked]) -> Forked:
        """Wait for an answer as long as the server gives any: it does one request after the other."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        while not future.done():
            patience = max(asked, self._heard) + FORK_DEADLINE - loop.time()
            if patience <= 0:
                raise TimeoutError
            await asyncio.wait([future], timeout=patience)
        return future.result()

    async def end(self, deadline: float = END_DEADLINE) -> None:
        """End the fork server, and all that it has forked; returns when it has.

        Parameters
        ----------
        deadline
            Seconds until it is killed: it may be frozen.
        """
        pid = self._pid
        if pid is None:
            return
        try:
            async with asyncio.timeout(deadline):
                with contextlib.suppress(ForkServerDown):
                    self._send({"op": "end"})
                await self.closed.wait()
        except TimeoutError:
            log.warning("The fork server, process %d, did not end within %g s; it is killed", pid, deadline)
            await PROCESSES.run(kill_tree, pid)
            self.close()

    @property
    def _pid(self) -> int | None:
        """Id of its process; None once it is closed."""
        if self.closed.is_set():
            return None
        (pid,) = struct.unpack_from("i", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)

    def retire(self) -> None:
        """Ask the fork server to end with its last kernel; it accepts no other client."""
        with contextlib.suppress(ForkServerDown):
            self._send({"op": "retire"})

    def close(self) -> None:
        """Leave the fork server alone, or note that it is gone: nobody will say how its kernels end."""
        if self.closed.is_set():
            return
        self.closed.set()
        self._greeted.set()
        with contextlib.suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
        self._socket.close()
        for future in self._requests.values():
            if not future.done():
                future.set_exception(ForkServerDown("the fork server has died"))
        self._requests.clear()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
        for pid, started in self._kernels.items():
            self._exit_statuses.report(pid, started, None)
        self._kernels.clear()

    def _send(self, request: dict[str, Any]) -> None:
        """Send a request, after earlier ones and as a whole, even if its caller stops waiting for the answer."""
        if self.closed.is_set():
            raise ForkServerDown("the fork server is gone")
        message = msgspec.json.encode(request)
        self._unsent += len(message).to_bytes(4) + message
        self._flush()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
            loop.remove_writer(self._socket)
        except BlockingIOError:
            loop.add_writer(self._socket, self._flush)
        except OSError:
            self.close()

    def _receive(self) -> None:
        try:
            chunk, ancillary, _, _ = self._socket.recvmsg(1 << 16, socket.CMSG_SPACE(64 * 4))
        except BlockingIOError:
            return
        except OSError:
            chunk, ancillary = b"", []
        for _, _, data in ancillary:
            rights = array.array("i")
            rights.frombytes(data[: len(data) - len(data) % rights.itemsize])
            self._descriptors += rights
        if not chunk:
            self.close()
            return
        self._heard = asyncio.get_running_loop().time()
        self._received += chunk
        while len(self._received) >= 4 and len(self._received) >= 4 + (size := int.from_bytes(self._received[:4])):
            message, self._received = self._received[4 : 4 + size], self._received[4 + size :]
            self._take(msgspec.json.decode(message))

    def _take(self, message: dict[str, Any]) -> None:
        if "kernels" in message:
            for kernel in message["kernels"]:
                self._note(kernel)
            self._greeted.set()
        elif "error" in message:
            future = self._requests.pop(message["id"])
            if not future.done():
                future.set_exception(ForkServerDown(f"the fork server cannot fork: {message['error']}"))
        elif "id" in message:
            pid, started, pidfd = message["pid"], message["started"], self._descriptors.pop(0)
            os.set_inheritable(pidfd, False)
            self._note(message)
            forked = Forked(pid, started, pidfd, self._exit_statuses.ending(pid, started))
            future = self._requests.pop(message["id"])
            if not future.cancelled():
                future.set_result(forked)
        else:
            self._note(message)

    def _note(self, kernel: dict[str, Any]) -> None:
        """Record that a kernel lives or has ended."""
        pid, started, status = kernel["pid"], kernel["started"], kernel.get("status")
        if status is None:
            self._kernels[pid] = started
            self._exit_statuses.claim(pid, started)
        else:
            self._kernels.pop(pid, None)
            self._exit_statuses.report(pid, started, Ending(status, kernel["at"]))
