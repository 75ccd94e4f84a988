"""A kernel on this machine: started, watched, commanded, and ended without fail."""

import asyncio
import logging
import signal
import time
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import zmq.asyncio
from jupyter_client.manager import AsyncKernelManager
from msgspec import Struct
from traitlets import Instance

from oet_kernel.events.mapping import Record
from oet_kernel.kernel.surroundings import Changes, Surroundings
from oet_kernel.kernels.processes import describe_exit, kill_leftovers, kill_tree, signal_group
from oet_kernel.kernels.provisioner import OetProvisioner
from oet_kernel.kernels.specs import OneSpec, kernel_spec
from oet_kernel.kernels.supervisor import ForkServerSupervisor
from oet_kernel.kernels.tail import JournalTail
from oet_kernel.models import ProcedureInput

log = logging.getLogger(__name__)

MARK = "OET_KERNEL_ID"
"""Environment variable by which a kernel's descendants are known."""
_LAST_LINES = 20


class Ladder(Struct, frozen=True):
    """How long each rung of a stop may take, in seconds."""

    interrupt: float = 2.0
    """For the script to end after SIGINT (KeyboardInterrupt)."""
    terminate: float = 1.0
    """For the process to end after it was asked to, or after SIGTERM."""
    kill: float = 5.0
    """For the system to remove the process after SIGKILL."""


class OetKernelManager(AsyncKernelManager):
    """Jupyter's manager of one kernel; its provisioner finds the service's fork server here."""

    fork_server = Instance(ForkServerSupervisor, allow_none=True)


class LocalKernel:
    """One kernel process, its folder, and what it says.

    Parameters
    ----------
    folder
        A private folder for this kernel alone; must exist and be empty.
    sockets
        Beginning of the paths of its sockets; short, since the system allows 107 bytes.
    context
        The ZeroMQ context that all kernels of the service share.
    fork_server
        What forks it, where it can; None to start it plainly.
    """

    def __init__(
        self,
        folder: Path,
        sockets: Path,
        context: zmq.asyncio.Context,
        fork_server: ForkServerSupervisor | None = None,
    ) -> None:
        self.folder = folder
        self._address = sockets
        self._on_records: Callable[[list[Record]], None] = lambda records: None
        self._on_exit: Callable[[str], None] = lambda epitaph: None
        self._context = context
        self._fork_server = fork_server
        self._tail = JournalTail(folder)
        self._mark = uuid.uuid4().hex
        self._ready = asyncio.Event()
        self._exited = asyncio.Event()
        self._idle = asyncio.Event()
        self._launch: asyncio.Task[None] | None = None
        self._last_output: deque[bytes] = deque(maxlen=_LAST_LINES)
        self._manager: OetKernelManager | None = None
        self._sockets: dict[str, zmq.asyncio.Socket] = {}
        self._pid = 0
        self._surroundings: Surroundings | None = None

    @property
    def fits(self) -> bool:
        """True while the kernel lives and can be given, with its script, what has changed since it was started."""
        return self.alive and not self._changes().need_start

    def _changes(self) -> Changes:
        now = Surroundings.now()
        return now.changes(self._surroundings or now)

    @property
    def alive(self) -> bool:
        """True from the start of the process to its end."""
        return self._pid > 0 and not self._exited.is_set()

    @property
    def pid(self) -> int:
        """Process id; also of its session and process group."""
        return self._pid

    def attach(self, on_records: Callable[[list[Record]], None], on_exit: Callable[[str], None]) -> None:
        """Say who hears what the kernel says from now on.

        Parameters
        ----------
        on_records
            Called on the event loop with each batch of records, in order, none twice.
        on_exit
            Called once, after the last record, with a description of how the process ended.
        """
        self._on_records, self._on_exit = on_records, on_exit

    async def ready(self) -> bool:
        """Wait until the kernel takes requests; False when it has ended before."""
        await self._within(None, self._ready)
        return self.alive

    async def start(self, python: Path | None = None) -> None:
        """Start the process; it says in its journal when it takes requests.

        Parameters
        ----------
        python
            Interpreter of the environment in which the script is to run; None for the service's own.
        """
        # a stop may cancel whoever waits here, but never leave a process behind that nobody knows
        self._launch = asyncio.ensure_future(self._start(python))
        await asyncio.shield(self._launch)

    async def _start(self, python: Path | None) -> None:
        manager = OetKernelManager(
            kernel_name="oet",
            kernel_spec_manager=OneSpec(kernel_spec(python)),
            connection_file=str(self.folder / "kernel.json"),
            transport="ipc",
            ip=str(self._address),
            context=self._context,
            fork_server=self._fork_server if python is None else None,
        )
        self._surroundings = Surroundings.now()
        env = {**self._surroundings.environment, MARK: self._mark}
        try:
            with open(self.folder / "stdio.log", "ab") as stdio:  # noqa: ASYNC230 - a new file in our own folder
                await manager.start_kernel(
                    env=env,
                    cwd=self._surroundings.folder,
                    stdout=stdio,
                    stderr=stdio,
                    extra_arguments=["--journal", str(self.folder)],
                )
        except BaseException:
            self._tail.close()
            raise
        self._manager, self._pid = manager, manager.provisioner.pid
        asyncio.get_running_loop().add_reader(self._tail.bell, self._on_bell)
        self._end_of_life = asyncio.create_task(self._live(manager.provisioner))

    def prepare(self, procedure: int, script: Path, init: ProcedureInput) -> None:
        """Have the script loaded and its ``init`` called; the kernel must have said that it is ready.

        Environment variables and working folder are for the script those that the service has now.
        """
        self._idle.clear()
        content = {"procedure": procedure, "path": str(script), "init": init, "changes": self._changes()}
        self._send("shell", "oet_prepare_request", content)

    def run(self, main: ProcedureInput) -> None:
        """Have the script's ``main`` called."""
        self._idle.clear()
        self._send("shell", "oet_run_request", {"main": main})

    def deliver(self, topic: str, fields: dict[str, Any]) -> None:
        """Hand the script an event of another component."""
        self._send("control", "oet_event_request", {"topic": topic, "fields": fields})

    async def stop(self, ladder: Ladder) -> bool:
        """End the process: interrupt, ask, SIGTERM, SIGKILL to the whole tree; always ends.

        Parameters
        ----------
        ladder
            Seconds for each rung.

        Returns
        -------
        bool
            False when the process is there even after SIGKILL (it hangs in the system).
        """
        if self._launch is not None:
            await asyncio.wait([self._launch])
        if not self.alive:
            return True
        if not self._idle.is_set():
            signal_group(self._pid, signal.SIGINT)
            await self._within(ladder.interrupt, self._idle)
        if self._idle.is_set():
            # nothing of the script runs: a clean exit, with its atexit handlers
            self._send("control", "shutdown_request", {"restart": False})
        else:
            signal_group(self._pid, signal.SIGTERM)
        if not await self._within(ladder.terminate, self._exited):
            await asyncio.to_thread(kill_tree, self._pid)
            if not await self._within(ladder.kill, self._exited):
                log.error("Kernel process %d is still there %.1f s after SIGKILL", self._pid, ladder.kill)
                return False
        return True

    def note_idle(self) -> None:
        """Take note that no function of the script runs; told by whoever reads the records."""
        self._idle.set()

    async def _within(self, seconds: float | None, event: asyncio.Event) -> bool:
        """Wait for an event or the process's end; False after the deadline."""
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._exited.wait())]
        try:
            done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return bool(done)

    def _send(self, channel: str, msg_type: str, content: dict[str, Any]) -> None:
        if self._manager is None or self._exited.is_set():
            return
        socket = self._sockets.get(channel)
        if socket is None:
            connect = self._manager.connect_shell if channel == "shell" else self._manager.connect_control
            socket = self._sockets[channel] = connect()
            socket.linger = 0
        self._manager.session.send(socket, msg_type, msgspec.to_builtins(content))

    def _on_bell(self) -> None:
        self._tail.hush()
        self._take()

    def _take(self) -> bool:
        """Read a piece of the journal; True when there may be more, for which another turn is scheduled."""
        if self._exited.is_set():
            return False
        records = self._tail.read()
        if not records:
            return False
        self._hear(records)
        asyncio.get_running_loop().call_soon(self._take)
        return True

    def _hear(self, records: list[Record]) -> None:
        for record in records:
            if record.type == "stream":
                self._last_output.append(bytes(record.content))
            elif record.type == "oet_kernel":
                self._idle.set()
                self._ready.set()
        self._on_records(records)

    async def _live(self, provisioner: OetProvisioner) -> None:
        """Wait for the end of the process, and tell it when all that the kernel has said is told."""
        status = await provisioner.ended()
        if status is None or not provisioner.forked:
            await asyncio.to_thread(kill_leftovers, self._pid, f"{MARK}={self._mark}")
        while records := self._tail.read():
            self._hear(records)
        asyncio.get_running_loop().remove_reader(self._tail.bell)
        self._exited.set()
        for socket in self._sockets.values():
            socket.close()
        self._tail.close()
        assert self._manager is not None
        self._manager.cleanup_connection_file()
        self._manager.cleanup_ipc_files()
        self._on_exit(self._epitaph(status))

    def _epitaph(self, status: int | None) -> str:
        said = [
            f"The kernel process ended with {describe_exit(status)} at {time.strftime('%H:%M:%S', time.gmtime())} UTC."
        ]
        lines = "".join(_text(content) for content in self._last_output).splitlines()[-_LAST_LINES:]
        if lines:
            said += ["Last output:", *lines]
        errors = (self.folder / "stdio.log").read_bytes()[-4096:].decode(errors="replace").strip()
        if errors:
            said += ["Last words of the process:", errors]
        return "\n".join(said)


def _text(stream: bytes) -> str:
    return str(msgspec.json.decode(stream).get("text", ""))
