"""A connection to a fork server: requests kernels, receives their exit statuses."""

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
from oet_kernel.system.process_tree import kill_tree
from oet_kernel.system.threads import PROCESSES

log = logging.getLogger(__name__)

HELLO_DEADLINE = 10.0
"""Seconds within which a fork server must list its kernels."""
FORK_DEADLINE = 10.0
"""Seconds that a fork server may be silent while fork requests are pending; a fork takes some milliseconds."""
END_DEADLINE = 5.0
"""Seconds within which a fork server must end."""


class ForkServerDown(Exception):
    """The fork server is not available: it is starting, or cannot be started."""


class Forked:
    """A process that the fork server has forked.

    Parameters
    ----------
    pid, started
        Process id, and start time in clock ticks.
    pidfd
        Descriptor of the process, readable once it has ended; owned and closed by this object.
    ending
        Future of the exit status, set by the fork server's report.
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
        """Stop watching the process."""
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    async def ended(self) -> Ending | None:
        """Wait for the end of the process; return its exit status, None when it is unknown."""
        await self._gone.wait()
        return await told(self._ending)


class ForkServerConnection:
    """The only connection that a fork server serves; created by `connect`.

    Parameters
    ----------
    connection
        A connected, non-blocking socket; owned by this object.
    exit_statuses
        Receives the exit statuses of kernels.
    """

    def __init__(self, connection: socket.socket, exit_statuses: ExitStatuses) -> None:
        self.closed = asyncio.Event()
        """Set once the connection is closed."""
        self._socket = connection
        self._exit_statuses = exit_statuses
        self._received = b""
        self._unsent = bytearray()
        self._heard = 0.0
        """Time of the last message from the fork server, on the event loop's clock."""
        self._descriptors: list[int] = []
        self._requests: dict[int, asyncio.Future[Forked]] = {}
        self._kernels: dict[int, int] = {}
        """Start times of the running kernels, by process id."""
        self._number = 0
        self._greeted = asyncio.Event()

    @classmethod
    async def connect(cls, path: Path, exit_statuses: ExitStatuses) -> Self:
        """Connect to a fork server, and receive its list of running and ended kernels.

        Parameters
        ----------
        path
            Path of the fork server's socket.
        exit_statuses
            Receives the exit statuses of kernels.

        Raises
        ------
        ForkServerDown
            When no fork server answers.
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
            raise ForkServerDown(f"no fork server responds at {path}: {error or 'no answer in time'}") from None
        except BaseException:
            made.close()
            raise
        if made.closed.is_set():
            raise ForkServerDown(f"the fork server at {path} has ended")
        return made

    @property
    def busy(self) -> bool:
        """True while the fork server has kernels, or pending requests for some."""
        return bool(self._requests or self._kernels)

    async def fork(self, argv: Sequence[str], folder: str, environment: dict[str, str], stdio: str) -> Forked:
        """Fork a kernel; parameters as for `ForkServerSupervisor.fork`.

        A fork server that does not answer is killed, without its kernels; a new one can be started then.
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
            future.cancel()  # no-op unless the caller has stopped waiting

    async def _answer(self, future: asyncio.Future[Forked]) -> Forked:
        """Wait for an answer while the server sends any messages: it handles requests one after the other."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        while not future.done():
            patience = max(asked, self._heard) + FORK_DEADLINE - loop.time()
            if patience <= 0:
                raise TimeoutError
            await asyncio.wait([future], timeout=patience)
        return future.result()

    async def end(self, deadline: float = END_DEADLINE) -> None:
        """End the fork server and all its kernels, and wait for its end.

        Parameters
        ----------
        deadline
            Seconds until a fork server that does not end is killed.
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
        """Process id of the fork server; None once the connection is closed."""
        if self.closed.is_set():
            return None
        (pid,) = struct.unpack_from("i", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)

    def retire(self) -> None:
        """Ask the fork server to end with its last kernel; it accepts no other client."""
        with contextlib.suppress(ForkServerDown):
            self._send({"op": "retire"})

    def close(self) -> None:
        """Close the connection, by choice or after the fork server's end; its kernels' exit statuses stay unknown."""
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
            raise ForkServerDown("the fork server has ended")
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
