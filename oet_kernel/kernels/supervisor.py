"""The service's side of the fork server: started with the service, started again when it dies, asked for kernels."""

import array
import asyncio
import contextlib
import logging
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from oet_kernel.kernel.surroundings import same_at_start
from oet_kernel.kernels.specs import python_command

log = logging.getLogger(__name__)

START_DEADLINE = 60.0
"""Seconds that a fork server has for its imports, those of the operator included."""


class ForkServerDown(Exception):
    """There is no fork server to ask: it is being started, or cannot be."""


class Forked:
    """A process that the fork server has forked.

    Parameters
    ----------
    pid
        Its process id.
    pidfd
        What names it for good, and is readable when it has ended; owned by this object.
    """

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._status: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(pidfd, self._on_exit)

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._gone.set()

    def report(self, status: int | None) -> None:
        """Take its exit status from the fork server; None when there is nobody left who knows it."""
        if not self._status.done():
            self._status.set_result(status)

    async def ended(self) -> int | None:
        """Wait for its end; gives the exit code, minus a signal's number, or None when nobody knows."""
        await self._gone.wait()
        return await self._status


class ForkServerSupervisor:
    """Keeps a fork server running.

    Parameters
    ----------
    folder
        A private folder for its log.
    preload
        Modules that it imports besides what every kernel needs.
    python
        Interpreter of the environment that its kernels run in; None for the service's own.
    """

    def __init__(self, folder: Path, preload: Sequence[str] = (), python: Path | None = None) -> None:
        self._python = python
        self._folder = folder
        self._preload = preload
        self._environment = dict(os.environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._received = b""
        self._descriptors: list[int] = []
        self._requests: dict[int, asyncio.Future[Forked]] = {}
        self._forked: dict[int, Forked] = {}
        self._number = 0
        self._ready = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """True while it has kernels, which would end with it."""
        return bool(self._requests or self._forked)

    @property
    def running(self) -> bool:
        """True when kernels can be asked for."""
        return self._ready.is_set()

    def start(self) -> None:
        """Begin to start it; kernels are started plainly until it is ready."""
        self._life = asyncio.create_task(self._run())

    async def ready(self) -> None:
        """Wait until it is ready, or has been found not to start."""
        if self._life is not None:
            waits = [asyncio.ensure_future(self._ready.wait()), self._life]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            waits[0].cancel()

    def serves(self, environment: dict[str, str]) -> bool:
        """Tell whether a kernel with these environment variables can be forked."""
        return self.running and same_at_start(self._environment, environment)

    async def fork(self, argv: Sequence[str], folder: str, environment: dict[str, str], stdio: str) -> Forked:
        """Fork a kernel.

        Parameters
        ----------
        argv
            The kernel's command line: its connection file and its journal are taken from it.
        folder
            Working folder.
        environment
            All of its environment variables.
        stdio
            File that its output below Python is appended to.

        Raises
        ------
        ForkServerDown
            When there is no fork server, or it has died meanwhile.
        """
        if self._socket is None or not self.running:
            raise ForkServerDown("the fork server is not running")
        self._number += 1
        future: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
        self._requests[self._number] = future
        request = {"op": "fork", "id": self._number, "argv": list(argv), "folder": folder}
        message = msgspec.json.encode({**request, "environment": environment, "stdio": stdio})
        try:
            await asyncio.get_running_loop().sock_sendall(self._socket, len(message).to_bytes(4) + message)
        except OSError as error:
            self._requests.pop(self._number, None)
            raise ForkServerDown(f"the fork server is gone: {error}") from None
        return await future

    async def close(self) -> None:
        """End the fork server, and all that it has forked."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait([self._life])
        self._disconnect()
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)  # it ends, with its kernels, when its client is gone

    async def _run(self) -> None:
        """Start it, and again whenever it dies; not again when it does not come up: then plain starts have to do."""
        while True:
            try:
                async with asyncio.timeout(START_DEADLINE):
                    await self._launch()
            except (OSError, ForkServerDown, TimeoutError) as error:
                log.warning("Kernels are started plainly, which takes longer: %s", error or "no answer in time")
                return
            self._ready.set()
            assert self._process is not None
            await asyncio.to_thread(self._process.wait)
            log.warning("The fork server has ended with status %d; it is started again", self._process.returncode)
            self._disconnect()

    async def _launch(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        argv = python_command("oet_kernel.kernels.forkserver", self._python)
        argv += ["--client", str(theirs.fileno()), "--preload", ",".join(self._preload)]
        log_file = self._folder / f"forkserver-{id(self)}.log"
        with theirs, open(log_file, "wb") as stderr:  # noqa: ASYNC230 - a new file in our own folder
            self._process = subprocess.Popen(  # noqa: ASYNC220 - does not wait
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
                pass_fds=[theirs.fileno()],
            )
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            if not await asyncio.to_thread(stdout.readline):
                said = log_file.read_text(errors="replace").strip().splitlines()
                raise ForkServerDown(f"the fork server does not start: {said[-1] if said else 'it says nothing'}")
        asyncio.get_running_loop().add_reader(self._socket, self._receive)

    def _receive(self) -> None:
        assert self._socket is not None
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
            self._disconnect()
            return
        self._received += chunk
        while len(self._received) >= 4 and len(self._received) >= 4 + (size := int.from_bytes(self._received[:4])):
            message, self._received = self._received[4 : 4 + size], self._received[4 + size :]
            self._take(msgspec.json.decode(message))

    def _take(self, message: dict[str, Any]) -> None:
        pid = message["pid"]
        if "id" in message:
            os.set_inheritable(self._descriptors[0], False)
            forked = self._forked[pid] = Forked(pid, self._descriptors.pop(0))
            future = self._requests.pop(message["id"])
            if not future.cancelled():
                future.set_result(forked)
        elif pid in self._forked:
            self._forked.pop(pid).report(message["status"])

    def _disconnect(self) -> None:
        """The fork server is gone: nobody will say how its kernels end."""
        self._ready.clear()
        if self._socket is not None:
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        self._received = b""
        for future in self._requests.values():
            if not future.done():
                future.set_exception(ForkServerDown("the fork server has died"))
        self._requests.clear()
        for forked in self._forked.values():
            forked.report(None)
        self._forked.clear()
