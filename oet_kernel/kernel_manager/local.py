"""A kernel on this machine: its start, records, requests and end."""

import asyncio
import logging
import signal
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from socket import gethostname
from typing import Any, Protocol, Self

import msgspec
import zmq.asyncio
from jupyter_client.manager import AsyncKernelManager
from traitlets import Instance

from oet_kernel.errors import KernelSilent
from oet_kernel.kernel.auth import guest_key
from oet_kernel.kernel_manager.adopted import AdoptedProcess
from oet_kernel.kernel_manager.exit_status import Ending, ExitStatuses
from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from oet_kernel.kernel_manager.journal_reader import JournalReader
from oet_kernel.kernel_manager.record import LOCAL, KernelRecord
from oet_kernel.kernel_manager.session import AtWork, KernelIdentity, KernelLocation, OnExit, OnFault, OnRecords
from oet_kernel.kernel_manager.specs import OneSpec, kernel_spec, provide_packages
from oet_kernel.models import Connection
from oet_kernel.protocol import (
    CONNECTION_FILE,
    OUTPUT_FILE,
    CallReport,
    Changes,
    Hello,
    Idle,
    PrepareRequest,
    Record,
    Request,
    RunRequest,
)
from oet_kernel.settings import KERNEL_DEADLINE, Ladder
from oet_kernel.state.folder import StateFolder
from oet_kernel.system.process_context import Bounds, Surroundings, need_start
from oet_kernel.system.process_identity import read_identity, start_of
from oet_kernel.system.process_tree import kill_tree
from oet_kernel.system.processes import MARK, describe_exit, handles, kill_leftovers, signal_group
from oet_kernel.system.supervision import report_fault, supervise
from oet_kernel.system.threads import PROCESSES

log = logging.getLogger(__name__)

_COLLECTOR_SECONDS = 5.0
"""Seconds within which a collector must journal the rest of an ended kernel's output."""
_MEMORY_SECONDS = 0.5
"""Seconds until a read that lacked memory is tried again."""
_LAST_LINES = 20
_LAST_BYTES = 64 << 10
_FATAL = "Fatal Python error: "
"""Beginning of faulthandler's report, in the output of a script that has enabled it for its standard error."""
_NOWHERE = Surroundings({}, "", Bounds("", 0, ()))
"""Surroundings of a kernel that another service started: unknown, so all current ones count as changes."""


class Process(Protocol):
    """The process of a kernel: forked, started plainly, or adopted."""

    @property
    def forked(self) -> bool:
        """True when a fork server has forked the kernel, and so ends its remaining descendants."""

    async def ended(self) -> Ending | None:
        """Wait for the end of the process; return its exit status, None when it is unknown."""

    def leave(self) -> None:
        """Stop watching the process."""


class OetKernelManager(AsyncKernelManager):
    """Jupyter's manager of one kernel; its provisioner finds the service's fork server here."""

    fork_server = Instance(ForkServerSupervisor, allow_none=True)

    def _connect_control_socket(self) -> None:
        """No-op: `LocalKernel` has a control socket of its own, and nobody would close this one."""


class LocalKernel:
    """One kernel process, its folder, and its records.

    Parameters
    ----------
    state
        State folder of the service, which holds the kernel's folder and its sockets.
    folder
        A private folder for this kernel alone; must exist and be empty.
    context
        The ZeroMQ context that all kernels of the service share.
    python
        Interpreter of the kernel's environment; None for the service's own.
    fork_server
        Forks the kernel where possible; None to start it plainly.
    orphan_seconds
        Seconds without a service after which the kernel ends itself, once its script is done; 0 for no limit.
    offset
        Offset in bytes in the journal to begin at.
    """

    def __init__(
        self,
        state: StateFolder,
        folder: Path,
        context: zmq.asyncio.Context,
        python: Path | None = None,
        fork_server: ForkServerSupervisor | None = None,
        orphan_seconds: float = 0,
        offset: int = 0,
    ) -> None:
        self.folder = folder
        """The kernel's private folder, whose name is the id of the kernel."""
        self.exit_status: int | None = None
        """Exit code of the process, or minus the number of the signal that ended it; None while unknown."""
        self.ended_at: float | None = None
        """Time of the process's end, in Unix seconds; None while it runs. An estimate where no service watched."""
        self._state = state
        self._on_records: OnRecords = _nobody_hears
        self._on_exit: OnExit = lambda description: None
        self._on_fault: OnFault = lambda error: None
        self._context = context
        self._fork_server = fork_server
        self._orphan_seconds = orphan_seconds
        self._tail = JournalReader(folder, offset)
        self._ready = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._gone = asyncio.Event()
        """Set when the process and its remaining descendants have ended."""
        self._exited = asyncio.Event()
        """Set when, besides, all records were delivered."""
        self._idle = asyncio.Event()
        self._launch: asyncio.Task[None] | None = None
        self._last_output: deque[bytes] = deque()
        self._last_bytes = 0
        self._manager: OetKernelManager | None = None
        self._sockets: dict[str, zmq.asyncio.Socket] = {}
        self._record: KernelRecord | None = None
        self._process: Process | None = None
        self._ended = False
        self._exit_seen = False
        self._detached = False
        self._tasks: list[asyncio.Task[None]] = []
        self._hello = Hello()
        self._surroundings: Surroundings | None = None
        self._python = python
        self._at_work: AtWork = None

    @classmethod
    def adopt(
        cls,
        state: StateFolder,
        record: KernelRecord,
        offset: int,
        at_work: AtWork,
        context: zmq.asyncio.Context,
        exit_statuses: ExitStatuses | None,
        python: Path | None = None,
    ) -> Self:
        """Adopt a kernel that another service has started, whether it still runs or not.

        Call `attach` before the next await: then every record behind `offset` is delivered.

        Parameters
        ----------
        state
            State folder of the service.
        record
            Record of the kernel. A process with the same pid but another start time is a different one, and untouched.
        offset
            Offset in bytes in the journal to begin at: behind the last stored record.
        at_work
            Request that the kernel had not finished at this offset.
        context
            The ZeroMQ context that all kernels of the service share.
        exit_statuses
            Source of the exit statuses of forked kernels; None without one.
        python
            Interpreter of the kernel's environment; None for the service's own.
        """
        folder = Path(record.folder)
        kernel = cls(state, folder, context, python=python, offset=offset)
        kernel._record = record
        kernel._surroundings = _NOWHERE
        kernel._at_work = at_work
        if at_work is None:
            kernel._idle.set()
        if (identity := read_identity(folder)) is not None:  # the first message may be before the offset
            kernel._hello = identity.hello
        if offset and kernel._tail.told_ready():
            kernel._ready.set()
        with suppress(OSError, ValueError):
            manager = OetKernelManager(connection_file=str(folder / CONNECTION_FILE), context=context)
            manager.load_connection_file()
            kernel._manager = manager
        ending = exit_statuses.ending(record.pid, record.started) if exit_statuses and record.forked else None
        process = AdoptedProcess(record.pid, record.started, ending, record.forked)
        kernel._ended = process.gone
        kernel._watch(process)
        return kernel

    @property
    def record(self) -> KernelRecord:
        """Record for another service to adopt the kernel; RuntimeError before the kernel was started."""
        if self._record is None:
            raise RuntimeError(f"the kernel in {self.folder} has not been started")
        return self._record

    @property
    def identity(self) -> KernelIdentity:
        """Identity under which a service stores the kernel; without process before the start."""
        return KernelIdentity(LOCAL, str(self.folder)) if self._record is None else self._record.identity

    @property
    def location(self) -> KernelLocation:
        """Process of the kernel, for users."""
        return KernelLocation(self.folder.name, gethostname(), self.pid or None)

    @property
    def started(self) -> bool:
        """True once the process was started; it may have ended since."""
        return self._record is not None

    @property
    def offset(self) -> int:
        """Offset in bytes in the journal behind the records that were read."""
        return self._tail.offset

    @property
    def fits(self) -> bool:
        """True while the kernel runs and can apply, with its script, all changes of surroundings since its start."""
        return self.alive and not need_start(self._changes())

    def _changes(self) -> Changes:
        now = Surroundings.now(self._python)
        return now.changes(self._surroundings or now)

    @property
    def alive(self) -> bool:
        """True from the start of the process to its end."""
        return self._record is not None and not self._gone.is_set()

    @property
    def pid(self) -> int:
        """Process id, also the id of session and process group; 0 before the start."""
        return self._record.pid if self._record is not None else 0

    def attach(self, on_records: OnRecords, on_exit: OnExit, on_fault: OnFault = lambda error: None) -> None:
        """Register the callbacks that receive the kernel's records from now on.

        Parameters
        ----------
        on_records
            Called on the event loop with each batch of records, in order, without repetition, and the offset in the
            journal behind the batch. It must have stored the batch when it returns: the next one is read only then, and
            the disk space of this one may be freed.
        on_exit
            Called once, after the last record, with a description of the process's end.
        on_fault
            Called when the journal cannot be read any more.
        """
        self._on_records, self._on_exit, self._on_fault = on_records, on_exit, on_fault

    @property
    def takes_requests(self) -> bool:
        """True once the kernel has announced that it takes requests."""
        return self._ready.is_set()

    async def ready(self, deadline: float = KERNEL_DEADLINE) -> bool:
        """Wait until the kernel takes requests.

        Parameters
        ----------
        deadline
            Seconds.

        Returns
        -------
        bool
            False when the kernel has ended before.

        Raises
        ------
        KernelSilent
            When the deadline passes; with the last output of the process.
        """
        if not await self._within(deadline, self._ready):
            raise self.silent(f"did not get ready within {deadline:g} s of its start")
        return self.alive

    def silent(self, what: str) -> KernelSilent:
        """Return the error for a kernel that misses a deadline, with its last output.

        Parameters
        ----------
        what
            Description of the missed deadline: ``did not ...``.
        """
        return KernelSilent("\n".join([f"The kernel process {self.pid} {what}.", *self._last_words()]))

    async def caught_up(self) -> None:
        """Wait until all records from before the adoption were delivered."""
        await self._caught_up.wait()

    async def start(self) -> None:
        """Start the process, which announces in its journal when it takes requests."""
        # a stop may cancel the caller, but the launch must finish: an unrecorded process would stay behind
        self._launch = asyncio.ensure_future(self._start())
        await asyncio.shield(self._launch)

    async def _start(self) -> None:
        python = self._python
        manager = OetKernelManager(
            kernel_name="oet",
            kernel_spec_manager=OneSpec(kernel_spec(python)),
            connection_file=str(self.folder / CONNECTION_FILE),
            transport="ipc",
            ip=str(self._state.sockets(self.folder.name)),
            context=self._context,
            fork_server=self._fork_server,
        )
        self._surroundings = Surroundings.now(python)
        env = {**self._surroundings.environment, MARK: str(self.folder)}
        try:
            await provide_packages(python)
            with open(self.folder / OUTPUT_FILE, "ab") as stdio:  # noqa: ASYNC230 - a new file in our own folder
                await manager.start_kernel(
                    env=env,
                    cwd=self._surroundings.folder,
                    stdout=stdio,
                    stderr=stdio,
                    extra_arguments=["--journal", str(self.folder), "--orphan-seconds", f"{self._orphan_seconds:g}"],
                    independent=True,
                )
        except BaseException:
            self._tail.close()
            raise
        manager._connection_file_written = False  # keeps the file after this service, for the adoption
        process = manager.provisioner
        self._manager = manager
        self._record = KernelRecord(
            folder=str(self.folder), pid=process.pid, started=process.started, forked=process.forked
        )
        self._watch(process)

    def _watch(self, process: Process) -> None:
        self._process = process
        reading = supervise(f"hearing the kernel in {self.folder}", self._follow())
        self._tasks = [reading, supervise(f"watching the kernel in {self.folder}", self._live(process, reading))]

    def can(self, ability: str | None) -> bool:
        """Return whether the kernel has the ability that a request needs; older kernels have fewer."""
        return ability is None or ability in self._hello.can

    def ask(self, request: Request) -> None:
        """Send a request, whose outcome arrives as records; the kernel must be ready.

        A script gets the service's current environment variables and working folder.

        Parameters
        ----------
        request
            The request, which is not sent where the kernel lacks the ability.
        """
        if not self.can(request.needs):
            return
        if isinstance(request, PrepareRequest):
            request.changes = self._changes()
        if isinstance(request, PrepareRequest | RunRequest):
            self._at_work = "prepare" if isinstance(request, PrepareRequest) else "run"
            self._idle.clear()
        self._send(request.channel, request.msg_type, msgspec.to_builtins(request))

    async def heard_out(self) -> None:
        """Wait until the process has ended and all its records were delivered."""
        if self.started:
            await self._exited.wait()

    @property
    def connection(self) -> Connection | None:
        """Connection info for a guest; None while the kernel takes no requests."""
        if self._manager is None or not self.alive or not self._ready.is_set():
            return None
        info = {**self._manager.get_connection_info(), "kernel_name": "oet"}
        return msgspec.convert({**info, "key": guest_key(info["key"]).decode()}, Connection)

    async def stop(self, ladder: Ladder) -> bool:
        """End the process, and wait until all its records were delivered; otherwise like `end`."""
        ended = await self.end(ladder)
        if ended:
            await self.heard_out()
        return ended

    async def end(self, ladder: Ladder) -> bool:
        """End the process: interrupt, SIGTERM, shutdown request, SIGKILL to the whole tree; always returns.

        Works even while its records cannot be stored, as on a full disk.

        Parameters
        ----------
        ladder
            Seconds for each step.

        Returns
        -------
        bool
            False when the process survived SIGKILL (it hangs in a system call).
        """
        if self._launch is not None:
            await asyncio.wait([self._launch])
        if not self.alive:
            if not self.started:
                self._tail.close()
            return True
        rungs = [(signal.SIGINT, ladder.interrupt), (signal.SIGTERM, ladder.terminate)]
        if self._there and handles(self.pid, signal.SIGTERM):  # the signal by which supervisors stop a process
            rungs = [(signal.SIGTERM, ladder.interrupt), (signal.SIGINT, ladder.terminate)]
        for signum, seconds in rungs:
            if not self._idle.is_set():
                self._signal(signum)
                await self._within(seconds, self._idle)
        if self._idle.is_set():
            # no function of the script runs: a clean exit, with its atexit handlers
            self._send("control", "shutdown_request", {"restart": False})
        if not await self._within(ladder.terminate if self._idle.is_set() else 0, self._gone):
            if self._there:
                await PROCESSES.run(kill_tree, self.pid)
            if not await self._within(ladder.kill, self._gone):
                log.error("Kernel process %d is still there %.1f s after SIGKILL", self.pid, ladder.kill)
                return False
        return True

    async def detach(self) -> None:
        """Leave the kernel to the next service: process and folder stay, no more records are delivered here."""
        if self._launch is not None:
            await asyncio.wait([self._launch])
        if not self.started:
            self._tail.close()
        if self._detached or not self.started or self._exited.is_set():
            return
        self._detached = True
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        assert self._process is not None
        self._process.leave()
        self._close()

    async def forget(self) -> None:
        """Remove the kernel's folder and its remaining sockets; it must have ended."""
        self._state.forget(self.folder)

    @property
    def _there(self) -> bool:
        """True while the pid belongs to this kernel, so that a signal reaches no other process."""
        return not self._ended and start_of(self.pid) == self.record.started

    def _signal(self, signum: signal.Signals) -> None:
        if self._there:
            signal_group(self.pid, signum)

    async def _within(self, seconds: float | None, event: asyncio.Event) -> bool:
        """Wait for an event or the process's end; False after the deadline."""
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._gone.wait())]
        try:
            done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return bool(done)

    def _send(self, channel: str, msg_type: str, content: dict[str, Any]) -> None:
        if self._manager is None or self._detached or self._exited.is_set():
            return
        socket = self._sockets.get(channel)
        if socket is None:
            connect = self._manager.connect_shell if channel == "shell" else self._manager.connect_control
            socket = self._sockets[channel] = connect()
            socket.linger = 0
        self._manager.session.send(socket, msg_type, content)

    async def _follow(self) -> None:
        """Deliver the kernel's records, to the last one."""
        try:
            while True:
                ended = self._exit_seen  # before reading: then the journal is complete
                while (records := await self._read()) or self._tail.behind:
                    await self._hear(records)
                    await asyncio.sleep(0)  # lets the tasks of other kernels run
                self._caught_up.set()
                if ended:
                    return
                await self._tail.rung()
        except Exception as error:
            report_fault(f"hearing the kernel in {self.folder}", error)
            self._on_fault(error)
        finally:
            self._caught_up.set()  # in any case: waiters must not wait for ever

    async def _read(self) -> list[Record]:
        """Read the next records; retry while there is too little memory, without loss."""
        while True:
            try:
                return self._tail.read()
            except MemoryError:
                log.error("There is no memory to read what the kernel in %s says; it is tried again", self.folder)
                await asyncio.sleep(_MEMORY_SECONDS)

    async def _hear(self, records: list[Record]) -> None:
        for record in records:
            if record.type == "stream":
                self._keep_output(bytes(record.content))
            elif record.type == Hello.msg_type and not self._ready.is_set():
                self._hello = _read_hello(record)
                self._idle.set()
                self._ready.set()
            elif ends_work(record, self._at_work):
                self._idle.set()
        try:
            await self._on_records(records, self._tail.offset)
        except Exception as error:
            report_fault(f"taking what the kernel in {self.folder} says", error)

    def _keep_output(self, content: bytes) -> None:
        """Keep the end of the output, in the pieces that arrived: faulthandler writes word by word."""
        self._last_output.append(content)
        self._last_bytes += len(content)
        while self._last_bytes - len(self._last_output[0]) > _LAST_BYTES:
            self._last_bytes -= len(self._last_output.popleft())

    async def _live(self, process: Process, reading: asyncio.Task[None]) -> None:
        """Wait for the end of the process, and report it once all records were delivered."""
        try:
            await self._see_off(process, reading)
        except Exception as error:
            report_fault(f"watching the kernel in {self.folder}", error)
            if self._there:  # must not run on unwatched
                await PROCESSES.run(kill_tree, self.pid)
            self._ended = True
            self.ended_at = self.ended_at or time.time()
            self._gone.set()
            self._exited.set()
            self._on_exit(f"The service could not see how the kernel process ended: {error!r}")

    async def _see_off(self, process: Process, reading: asyncio.Task[None]) -> None:
        unwatched = self._ended
        ending = await process.ended()
        self._ended = True
        self.exit_status = None if ending is None else ending.status
        self.ended_at = time.time() if ending is None else ending.at
        if ending is None or not process.forked:
            session = None if unwatched else self.pid  # the pid may have been reused
            await PROCESSES.run(kill_leftovers, session, str(self.folder))
        self._gone.set()
        if not await self._tail.collected(_COLLECTOR_SECONDS):
            log.warning("The output of the kernel in %s may lack its end: its collector does not end", self.folder)
        self._exit_seen = True
        self._tail.ring()
        await reading
        if unwatched and ending is None:
            self.ended_at = self._tail.last_written()
        self._exited.set()
        if self._manager is not None:
            self._manager.cleanup_ipc_files()
        (self.folder / CONNECTION_FILE).unlink(missing_ok=True)
        self._close()
        self._on_exit(self._epitaph(ending, unwatched))

    def _close(self) -> None:
        for socket in self._sockets.values():
            socket.close()
        self._sockets.clear()
        self._tail.close()

    def _epitaph(self, ending: Ending | None, unwatched: bool) -> str:
        clock = time.strftime("%H:%M:%S", time.gmtime(self.ended_at))
        if ending is not None:
            how = f"The kernel process ended with {describe_exit(ending.status)} at {clock} UTC"
        elif unwatched:
            how = "The kernel process ended"
        else:
            how = f"The kernel process ended with {describe_exit(None)} at {clock} UTC"
        end = f"{how}, while no service watched it." if unwatched else f"{how}."
        return "\n".join([end, *self._last_words()])

    def _last_words(self) -> list[str]:
        """Return the end of the script's output, and of the process's output outside the journal."""
        said = []
        text = "".join(_text(content) for content in self._last_output)
        fatal = text.find(_FATAL)
        lines = text.splitlines()[-_LAST_LINES:] if fatal < 0 else text[fatal:].splitlines()
        if lines:
            said += ["Last output:", *lines]
        stdio = self.folder / OUTPUT_FILE
        written = stdio.read_bytes()[-_LAST_BYTES:].decode(errors="replace") if stdio.exists() else ""
        fatal = written.rfind(_FATAL)  # Python 3.14 adds the C stack behind Python's
        errors = (written[-4096:] if fatal < 0 else written[fatal:]).strip()
        if errors:
            said += ["Last words of the process:", errors]
        return said


def _text(stream: bytes) -> str:
    try:
        return str(msgspec.json.decode(stream).get("text", ""))
    except Exception:  # a script may forge it
        return ""


def ends_work(record: Record, at_work: AtWork) -> bool:
    """Return whether no function of the script runs after a record.

    Parameters
    ----------
    record
        Record of the kernel.
    at_work
        Request that the kernel was sent last.
    """
    try:
        if record.type == Idle.msg_type:
            return msgspec.json.decode(record.content, type=Idle).request == at_work
        if record.type != CallReport.msg_type:
            return False
        report = msgspec.json.decode(record.content, type=CallReport)
    except (msgspec.DecodeError, RecursionError):  # a script may forge it
        return False
    loaded = report.call == "load" and report.phase == "finished"
    return not report.has_init if loaded else report.phase in ("finished", "exited", "failed")


def _read_hello(record: Record) -> Hello:
    try:
        return msgspec.json.decode(record.content, type=Hello)
    except msgspec.DecodeError:  # a script may forge it
        return Hello()


async def _nobody_hears(records: list[Record], offset: int) -> None:
    """No-op handler until `attach` is called: the records of a warm kernel are not needed."""
