"""A kernel on this machine: its start, records, requests and end."""

import asyncio
from pathlib import Path
from socket import gethostname
from typing import Self

import zmq.asyncio

from oet_kernel.errors import KernelSilent
from oet_kernel.kernel_manager.adopted import AdoptedProcess
from oet_kernel.kernel_manager.channel import NOWHERE, KernelChannel
from oet_kernel.kernel_manager.delivery import RecordDelivery
from oet_kernel.kernel_manager.exit_status import ExitStatuses
from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from oet_kernel.kernel_manager.journal_reader import JournalReader
from oet_kernel.kernel_manager.kernel_state import Adopted, Launched
from oet_kernel.kernel_manager.last_words import LastWords
from oet_kernel.kernel_manager.launch import kernel_manager, launch, reconnect
from oet_kernel.kernel_manager.life import KernelLife
from oet_kernel.kernel_manager.process import KernelProcess, WatchedProcess
from oet_kernel.kernel_manager.record import LOCAL, KernelRecord
from oet_kernel.kernel_manager.session import AtWork, KernelIdentity, KernelLocation, OnExit, OnFault, OnRecords
from oet_kernel.kernel_manager.watch import KernelWatch
from oet_kernel.models import Connection
from oet_kernel.protocol import Hello, Request
from oet_kernel.settings import KERNEL_DEADLINE, Ladder
from oet_kernel.state.folder import StateFolder
from oet_kernel.system.process_context import Surroundings, need_start
from oet_kernel.system.process_identity import read_identity


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
        self._state = state
        self._context = context
        self._python = python
        self._fork_server = fork_server
        self._orphan_seconds = orphan_seconds
        self._life = KernelLife()
        self._reader = JournalReader(folder, offset)
        self._delivery = RecordDelivery(folder, self._reader, self._life, LastWords(folder))
        self._launch: asyncio.Task[None] | None = None
        self._watch: KernelWatch | None = None
        """Watch over the process; None before its start."""

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
        channel = KernelChannel(kernel._life, reconnect(folder, context), NOWHERE, python)
        ending = exit_statuses.ending(record.pid, record.started) if exit_statuses and record.forked else None
        process = AdoptedProcess(record.pid, record.started, ending, record.forked)
        identity = read_identity(folder)  # the first message may be before the offset
        hello = Hello() if identity is None else identity.hello
        ready = bool(offset) and kernel._reader.told_ready()
        kernel._life.learn(Adopted(process.gone, ready, hello.can, at_work))
        kernel._begin(record, process, channel)
        return kernel

    @property
    def record(self) -> KernelRecord:
        """Record for another service to adopt the kernel; RuntimeError before the kernel was started."""
        if self._watch is None:
            raise RuntimeError(f"the kernel in {self.folder} has not been started")
        return self._watch.process.record

    @property
    def identity(self) -> KernelIdentity:
        """Identity under which a service stores the kernel; without process before the start."""
        return KernelIdentity(LOCAL, str(self.folder)) if self._watch is None else self.record.identity

    @property
    def location(self) -> KernelLocation:
        """Process of the kernel, for users."""
        return KernelLocation(self.folder.name, gethostname(), self.pid or None)

    @property
    def pid(self) -> int:
        """Process id, also the id of session and process group; 0 before the start."""
        return 0 if self._watch is None else self._watch.process.record.pid

    @property
    def started(self) -> bool:
        """True once the process was started; it may have ended since."""
        return self._life.state.started

    @property
    def alive(self) -> bool:
        """True from the start of the process to its end."""
        return self._life.state.alive

    @property
    def takes_requests(self) -> bool:
        """True once the kernel has announced that it takes requests."""
        return self._life.state.ready

    @property
    def fits(self) -> bool:
        """True while the kernel runs and can apply, with its script, all changes of surroundings since its start."""
        return self.alive and self._watch is not None and not need_start(self._watch.channel.changes)

    @property
    def exit_status(self) -> int | None:
        """Exit code of the process, or minus the number of the signal that ended it; None while unknown."""
        ending = None if self._watch is None else self._watch.process.ending
        return None if ending is None else ending.status

    @property
    def ended_at(self) -> float | None:
        """Time of the process's end, in Unix seconds; None while it runs. An estimate where no service watched."""
        return None if self._watch is None else self._watch.process.ended_at

    @property
    def connection(self) -> Connection | None:
        """Connection info for a guest; None while the kernel takes no requests."""
        return self._watch.channel.connection if self._watch and self.alive and self.takes_requests else None

    def attach(self, on_records: OnRecords, on_exit: OnExit, on_fault: OnFault = lambda error: None) -> None:
        """Register the callbacks that receive the kernel's records from now on, see `KernelSession.attach`.

        When `on_records` returns, the disk space of its batch may be freed.
        """
        self._delivery.attach(on_records, on_exit, on_fault)

    async def start(self) -> None:
        """Start the process, which announces in its journal when it takes requests."""
        # a stop may cancel the caller, but the launch must finish: an unrecorded process would stay behind
        self._launch = asyncio.ensure_future(self._start())
        await asyncio.shield(self._launch)

    async def _start(self) -> None:
        python, sockets = self._python, self._state.sockets(self.folder.name)
        manager = kernel_manager(self.folder, sockets, self._context, python, self._fork_server)
        surroundings = Surroundings.now(python)
        try:
            await launch(manager, self.folder, python, surroundings, self._orphan_seconds)
        except BaseException:
            self._reader.close()
            raise
        process, folder = manager.provisioner, str(self.folder)
        self._life.learn(Launched())
        self._begin(
            KernelRecord(folder=folder, pid=process.pid, started=process.started, forked=process.forked),
            process,
            KernelChannel(self._life, manager, surroundings, python),
        )

    def _begin(self, record: KernelRecord, watched: WatchedProcess, channel: KernelChannel) -> None:
        process = KernelProcess(record, watched, self._life)
        self._watch = KernelWatch(self.folder, process, channel, self._delivery, self._life)

    async def ready(self, deadline: float = KERNEL_DEADLINE) -> bool:
        """Wait until the kernel takes requests, see `KernelSession.ready`."""
        if not await self._life.within(deadline, lambda state: state.ready):
            raise self.silent(f"was not ready within {deadline:g} s of its start")
        return self.alive

    def silent(self, what: str) -> KernelSilent:
        """Return the error for a kernel that misses a deadline, with its last output.

        Parameters
        ----------
        what
            Description of the missed deadline: ``did not ...``.
        """
        return KernelSilent("\n".join([f"The kernel process {self.pid} {what}.", *self._delivery.last_words.lines()]))

    def can(self, ability: str | None) -> bool:
        """Return whether the kernel has the ability that a request needs; older kernels have fewer."""
        return ability is None or ability in self._life.state.abilities

    def ask(self, request: Request) -> None:
        """Send a request, whose outcome arrives as records; no-op where the kernel lacks the ability."""
        if self._watch is not None and self.can(request.needs):
            self._watch.channel.ask(request)

    async def caught_up(self) -> None:
        """Wait until all records from before the adoption were delivered."""
        await self._life.until(lambda state: state.caught_up)

    async def heard_out(self) -> None:
        """Wait until the process has ended and all its records were delivered."""
        if self.started:
            await self._life.until(lambda state: state.heard)

    async def stop(self, ladder: Ladder) -> bool:
        """End the process, and wait until all its records were delivered; otherwise like `end`."""
        ended = await self.end(ladder)
        if ended:
            await self.heard_out()
        return ended

    async def end(self, ladder: Ladder) -> bool:
        """End the process, see `KernelProcess.end`; works even while its records cannot be stored: on a full disk."""
        if self._launch is not None:
            await asyncio.wait([self._launch])
        if self._watch is None:
            self._reader.close()
            return True
        return not self.alive or await self._watch.process.end(ladder, self._watch.channel.shut_down)

    async def detach(self) -> None:
        """Leave the kernel to the next service: process and folder stay, no more records are delivered here."""
        if self._launch is not None:
            await asyncio.wait([self._launch])
        if self._watch is None:
            self._reader.close()
        else:
            await self._watch.detach()

    async def forget(self) -> None:
        """Remove the kernel's folder and its remaining sockets; it must have ended."""
        self._state.forget(self.folder)
