"""ScriptExecutionService: prepares, starts, stops and summarises procedures; holds the rules.

The service applies the messages of each procedure's kernel to its state machine and publishes the results. All of it
runs on one event loop, so that the code between two awaits is atomic for every caller: for example, the check of a
subarray and its claim.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from oet_kernel import procedure as lifecycle
from oet_kernel import topics
from oet_kernel.errors import (
    OetError,
    ShuttingDown,
    StartRefused,
    StopFailed,
    StoreUnusable,
    TooManyKernels,
)
from oet_kernel.events.bus import EventBus
from oet_kernel.events.mapping import Announcement
from oet_kernel.kernel_manager.session import KernelSession, KernelSource
from oet_kernel.models import (
    GitScript,
    PrepareProcessCommand,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
    StartProcessCommand,
    StopProcessCommand,
)
from oet_kernel.scripts.sources import ScriptSources
from oet_kernel.service.aborts import Aborts
from oet_kernel.service.execution import Execution, Services, identity_of
from oet_kernel.service.forwarding import forward
from oet_kernel.service.post_mortem import KeptKernels
from oet_kernel.service.publisher import EventPublisher, publish_list
from oet_kernel.service.registry import Registry
from oet_kernel.service.request_bounds import check_arguments, check_script
from oet_kernel.service.resources import Subarrays
from oet_kernel.settings import Limits
from oet_kernel.state.folder import StateFolder
from oet_kernel.store.journal import Journal
from oet_kernel.store.rows import KernelRow, ProcedureRow, Unit
from oet_kernel.system.supervision import Supervisor, report_fault
from oet_kernel.system.threads import STATE

log = logging.getLogger(__name__)

RESUME_SECONDS = 30.0
"""Seconds after which the service answers although not all procedures are restored; that goes on meanwhile."""
_ITSELF = "the service, which ended"


class StopOutcome(Struct, frozen=True):
    """Outcome of a stop."""

    stopped: bool
    """False if the procedure had already ended."""
    aborted: list[ProcedureSummary]
    """Summaries of the abort scripts that were started."""


class ScriptExecutionService:
    """Execute scripts, each in a kernel of its own.

    Parameters
    ----------
    state
        State folder of the service.
    journal
        Stores events and procedures.
    sources
        Source of scripts.
    kernels
        Source of kernels; closed with the service.
    bus
        Delivers events after they are stored.
    publisher
        Publishes requests, states and results.
    registry
        Procedures by id, empty.
    kept
        Kernels of failed procedures.
    limits
        Limits configured by the operator.
    """

    def __init__(
        self,
        state: StateFolder,
        journal: Journal,
        sources: ScriptSources,
        kernels: KernelSource,
        bus: EventBus,
        publisher: EventPublisher,
        registry: Registry,
        kept: KeptKernels,
        limits: Limits,
    ) -> None:
        self._journal = journal
        self._limits = limits
        self._state = state
        self._services = Services(
            journal, sources, kernels, self._limits.ladder, self._limits.kernel_deadline, self._limits.exit_deadline
        )
        self._publisher = publisher
        self._registry = registry
        self._kept = kept
        self._subarrays = Subarrays()
        self._aborts = Aborts(self._limits, self._registry, self._subarrays, self._publisher, self._create_abort)
        self._supervisor = Supervisor()
        self._closing = False
        self._resumed = asyncio.Event()
        journal.on_commit = self._committed
        bus.tap(lambda event: forward(event, self._registry))

    # --- from one service to the next

    async def resume(self) -> None:
        """Restore history and active procedures from the store, and re-attach to running kernels."""
        store = self._journal.store
        left = await STATE.run(lambda: [*store.newest_inactive(self._limits.history), *store.active()])
        active = [row.id for row in left if not row.procedure.state.inactive]
        kernels = await STATE.run(store.kernels, active)
        for row in (one for one in left if one.id in store.unreadable):
            self._journal.put(row)
            self._journal.set_aside.put(
                "rows", f"procedure {row.id}", store.unreadable.pop(row.id), str(row.procedure.history.stacktrace)
            )
        for pid, kernel in list(kernels.items()):
            try:
                self._services.kernels.check(identity_of(kernel))
            except ValueError as error:
                refused = repr(kernels.pop(pid)).encode()
                self._journal.set_aside.put("rows", f"procedure {pid}", refused, str(error))
        if self._state.moved:
            self._journal.set_aside.counts["files"] += len(self._state.moved)
        executions = [Execution(row, self._services, self) for row in sorted(left, key=lambda row: row.id)]
        self._registry.restore(executions, [row.id for row in left if row.procedure.state.inactive])
        for execution in self._registry.active:
            if "main" in execution.procedure.calls:
                self._subarrays.claim(execution.procedure.subarray, execution.id)
        await self._services.kernels.sweep([identity_of(kernel) for kernel in kernels.values()])
        resumptions = [self._resume(self._registry.find(pid), kernels.get(pid)) for pid in active]
        tasks = [self._supervisor.start("taking up a procedure", one) for one in resumptions]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=RESUME_SECONDS)
            if late:
                log.warning("%d procedures are still being taken up; the service answers meanwhile", len(late))
        for execution in self._registry:
            if execution.stopping and not execution.state.inactive:
                self._do(self._end(execution))
            elif execution.abort and execution.state is ProcedureState.STOPPED:
                self._do(self._aborts.run(execution))
            elif execution.autostart and execution.procedure.startable:
                self._do(self._autostart(execution))
        self._resumed.set()

    async def _resume(self, execution: Execution, kernel: KernelRow | None) -> None:
        """Restore one procedure; an error fails this procedure only."""
        try:
            await execution.resume(kernel)
        except Exception as error:
            report_fault(f"taking up procedure {execution.id}", error)
            if kernel is not None:
                await self._services.kernels.end(identity_of(kernel))
            execution.learn(lifecycle.Failed(time.time(), f"It could not be taken up after a restart: {error!r}"))

    @property
    def is_resumed(self) -> bool:
        """True once the previous service's procedures are restored."""
        return self._resumed.is_set()

    async def resumed(self) -> None:
        """Wait until the previous service's procedures are restored."""
        await self._resumed.wait()

    def _do(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a background task and log its failure."""

        async def expected() -> None:
            try:
                await work
            except OetError as error:
                log.warning("%s", error)

        self._supervisor.start("the service", expected())

    # --- commands

    async def prepare(
        self,
        command: PrepareProcessCommand,
        main: ProcedureInput | None = None,
        *,
        planned: ProcedureInput | None = None,
        autostart: bool = False,
        who: str | None = None,
        on_created: Callable[[int], None] = lambda pid: None,
    ) -> ProcedureSummary:
        """Create a procedure; its preparation continues after this returns.

        Parameters
        ----------
        command
            Script, and arguments of its ``init``.
        main
            Arguments of ``main`` where its start gives none; None for no arguments.
        planned
            Arguments that its start is going to give; checked before ``init`` is called where the script has to be
            fetched, and not stored.
        autostart
            Start the procedure as soon as it is READY.
        who
            Name of the requester.
        on_created
            Called with the procedure's id in the same turn of the event loop: rows and events that it puts into the
            journal are written with the procedure, or not at all.

        Raises
        ------
        OetError
            When the script can be refused at once, a text is too long or arguments nest too deeply, there are too many
            kernels, the service is shutting down, or the store cannot be written.
        """
        check_script(command.script)
        for name, given in (("init", command.init_args), ("main", main), ("main", planned)):
            if given is not None:
                check_arguments(name, given)
        self._take_command()
        script, repository = self._services.sources.admit(command.script)
        command = replace(command, script=script)
        alive = len(self._registry.active)
        if alive >= self._limits.kernels:
            raise TooManyKernels(
                f"Cannot create a procedure: {alive} are active and {self._limits.kernels} are allowed; "
                "stop one that is not needed, or raise OetApp.max_kernels"
            )
        self._kept.make_room(self._limits.kernels - alive - 1)
        execution = self._create(command, main or ProcedureInput(), autostart=autostart, who=who, repository=repository)
        if planned is not None:
            execution.planned = planned
        on_created(execution.id)
        created = self._summary(execution)  # the preparation does not wait for the disk
        try:
            await self._journal.settled()
        except StoreUnusable:
            self._do(execution.stop())  # after an error reply the client must find no procedure at work
            raise
        return created

    def _create(
        self,
        command: PrepareProcessCommand,
        main: ProcedureInput,
        *,
        autostart: bool,
        who: str | None,
        repository: str | None = None,
    ) -> Execution:
        pid = self._journal.next_id("procedure")
        request_id = self._publisher.request_id()
        self._publisher.request(topics.REQUEST_CREATE, request_id, pid, cmd=command)
        procedure = lifecycle.create(pid, command.script, command.init_args, time.time(), who)
        row = ProcedureRow(
            procedure=procedure, main=main, request_id=request_id, autostart=autostart, repository=repository
        )
        execution = Execution(row, self._services, self)
        self._registry.add(execution)
        execution.save()
        self.entered(execution, execution.state, procedure.history.process_states[0][1])
        self._publisher.result(topics.CREATED, request_id, self._summary(execution), pid)
        execution.prepare()
        return execution

    def _create_abort(self, command: PrepareProcessCommand, who: str | None) -> Execution:
        self._take_command()
        return self._create(command, ProcedureInput(), autostart=True, who=who)

    def startable(self, pid: int) -> bool:
        """Return whether a start of a procedure would call its ``main`` now.

        Parameters
        ----------
        pid
            Id of the procedure.

        Raises
        ------
        ResourceNotFound
            When there is no such procedure.
        """
        return self._find(pid).procedure.startable

    async def start(self, command: StartProcessCommand, who: str | None = None) -> ProcedureSummary:
        """Run ``main`` of a procedure that is READY; no-op in any other state.

        Parameters
        ----------
        command
            Procedure, and arguments of ``main``.
        who
            Name of the requester.

        Raises
        ------
        ResourceNotFound
            When there is no such procedure.
        MalformedRequest
            When the arguments nest too deeply.
        BodyTooLarge
            When the arguments are too large.
        StartRefused
            When another procedure is running on its subarray.
        StoreUnusable
            When the store cannot be written.
        """
        execution = self._find(command.process_uid)
        pid = execution.id
        if not execution.procedure.startable:
            return self._told(execution)
        self._take_command()
        arguments = command.run_args.over(execution.main)
        check_arguments("main", arguments)
        started = lifecycle.Started(time.time(), arguments, who)
        if self._limits.exclusive:
            holder = self._subarrays.claim(lifecycle.apply(execution.procedure, started).subarray, pid)
            if holder != pid and not command.force_start:
                raise StartRefused(f"Cannot start PID {pid}: PID #{holder} is RUNNING")
        execution.request_id = self._publisher.request_id()
        execution.learn(started)
        self._publisher.request(topics.REQUEST_START, execution.request_id, pid, cmd=command)
        self._aborts.started(execution)
        try:
            await self._journal.settled()  # a running procedure must be stored
        except StoreUnusable:
            execution.learn(lifecycle.StartWithdrawn(time.time()))
            self._release(execution)
            raise
        execution.run(arguments)
        return self._summary(execution)

    async def stop(self, command: StopProcessCommand, who: str | None = None) -> StopOutcome:
        """Stop a procedure in any state, and run the abort script if requested.

        Parameters
        ----------
        command
            Procedure, and whether to abort its subarray's activity.
        who
            Name of the requester.

        Raises
        ------
        ResourceNotFound
            When there is no such procedure.
        StopFailed
            When the kernel's process outlived SIGKILL.
        AbortFailed
            When the procedure was stopped, but the abort script did not become ready.
        """
        execution = self._find(command.process_uid)
        if execution.state.inactive:
            self._kept.let_go(execution)
            await execution.gone()
            return StopOutcome(stopped=False, aborted=[])
        execution.request_id = self._publisher.request_id()
        self._publisher.request(topics.REQUEST_STOP, execution.request_id, execution.id, cmd=command)
        outcome = await self._end(execution, abort=command.run_abort, who=who)
        with suppress(StoreUnusable):  # a stop completes even if the store cannot be written
            await self._journal.settled()
        return outcome

    async def _end(self, execution: Execution, *, abort: bool = False, who: str | None = None) -> StopOutcome:
        """Stop a procedure, and run the abort script if that is requested now or was before a restart."""
        abort = self._aborts.take(execution, abort)
        try:
            if not await execution.stop(abort=abort, who=who):
                assert execution.kernel is not None
                raise StopFailed(
                    f"Cannot stop script with ID {execution.id}: its {execution.kernel.location} is there even "
                    "after SIGKILL"
                )
            aborted = await self._aborts.run(execution) if abort else []
        finally:
            if abort:
                self._aborts.release(execution)
            self._release(execution)
        return StopOutcome(stopped=True, aborted=aborted)

    def summarise(self, pids: Sequence[int] | None = None) -> list[ProcedureSummary]:
        """Return the summaries of procedures as stored in the database, so that their events are there too.

        While the store cannot be written, the summaries are of the moment: operators must see the procedures at work.

        Parameters
        ----------
        pids
            Ids of procedures; None for all that are listed, in order of creation.

        Raises
        ------
        ResourceNotFound
            When there is no procedure with one of the ids, or it is no longer listed.
        """
        found = self._registry if pids is None else [self._find(pid) for pid in pids]
        summaries = [self._told(execution) for execution in found]
        if self._limits.announce_lists:
            request_id = self._publisher.request_id()
            publish_list(self._journal, topics.REQUEST_LIST, topics.POOL_LIST, request_id, summaries, pids=pids)
        return summaries

    async def close(self) -> None:
        """Stop every procedure, and refuse new ones."""
        self._closing = True
        await self._kept.close()
        await asyncio.gather(*(execution.stop(who=_ITSELF) for execution in self._registry.active))
        await asyncio.gather(*(execution.gone() for execution in self._registry))
        with suppress(StoreUnusable):
            await self._journal.settled()  # published states are those that are stored
        await self._services.kernels.close()

    async def detach(self) -> None:
        """Detach from every procedure, for the next service to restore, and refuse new ones."""
        self._closing = True
        self._supervisor.cancel()
        await self._kept.close()
        await asyncio.gather(*(execution.detach() for execution in self._registry))
        await self._services.kernels.detach()

    def _take_command(self) -> None:
        """Raise if commands cannot be accepted now."""
        if self._closing:
            raise ShuttingDown("The service is shutting down and takes no new procedures")
        if self._journal.trouble is not None:
            raise self._journal.trouble

    # --- what executions tell

    def say(self, execution: Execution, announcement: Announcement, at: float) -> None:
        """Publish an event of a procedure."""
        self._journal.publish(announcement, execution.id, at)

    def entered(self, execution: Execution, state: ProcedureState, at: float) -> None:
        """Publish a state of a procedure, and handle it: retire an inactive one, start one with autostart."""
        uri = execution.procedure.script.script_uri
        log.info("Procedure %d, %s, is %s%s", execution.id, uri, state.name, _why(execution.procedure))
        told = not (state is ProcedureState.STOPPED and execution.abort)  # published when the abort script runs
        self._publisher.entered(execution.procedure, state, at, execution.request_id, told=told)
        if state.inactive:
            self._retire(execution)
        elif execution.autostart and execution.procedure.startable:
            self._do(self._autostart(execution))

    def kernel_gone(self, execution: Execution) -> None:
        """Release the subarray and the kept kernel of a procedure whose kernel has ended."""
        self._kept.let_go(execution)
        self._release(execution)

    # --- rules

    def _retire(self, execution: Execution) -> None:
        """Release the subarray and the kernel of a procedure that has ended, and forget the oldest ended procedures."""
        self._release(execution)
        if not self._kept.keep(execution, self._limits.kernels - len(self._registry.active)):
            execution.dismiss()
        if isinstance(execution.procedure.script, GitScript):
            self._do(self._retain_sources())
        for forgotten in self._registry.retire(execution):
            self._kept.let_go(forgotten)
            if forgotten.kernel is not None:
                self._do(self._forget(forgotten, forgotten.kernel))

    async def _forget(self, execution: Execution, kernel: KernelSession) -> None:
        await execution.gone()
        await kernel.forget()

    async def _retain_sources(self) -> None:
        used = [one.id for one in self._registry if not one.state.inactive or one.kernel_alive]
        await self._services.sources.retain(used)

    def _release(self, execution: Execution) -> None:
        """Release a procedure's subarray, unless its process may still be at work there or an abort is to follow."""
        at_work = execution.state is ProcedureState.UNKNOWN and execution.kernel_alive
        running = "main" in execution.procedure.calls and not execution.state.inactive
        if not (running or at_work or self._aborts.keeps(execution.id)):
            self._subarrays.release(execution.procedure.subarray, execution.id)

    async def _autostart(self, execution: Execution) -> None:
        while True:
            try:
                await self.start(StartProcessCommand(execution.id), execution.procedure.requested_by.get("create"))
            except StartRefused as error:
                execution.learn(lifecycle.Failed(time.time(), error.message))
            except StoreUnusable:
                await self._journal.written()  # the start was promised: try again once the store can be written
                continue
            return

    def _find(self, pid: int) -> Execution:
        return self._registry.find(pid)

    def _committed(self, unit: Unit) -> None:
        for pid, row in unit.procedures.items():
            if (execution := self._registry.get(pid)) is not None:
                execution.committed = row.procedure

    def _told(self, execution: Execution) -> ProcedureSummary:
        in_trouble = self._journal.trouble is not None
        return self._publisher.summary(execution.procedure if in_trouble else execution.committed)

    def _summary(self, execution: Execution) -> ProcedureSummary:
        return self._publisher.summary(execution.procedure)


def _why(procedure: lifecycle.Procedure) -> str:
    """Return the reason of a failure for the log; empty if the procedure has not failed."""
    if procedure.state is not ProcedureState.FAILED:
        return ""
    lines = (procedure.history.stacktrace or "").strip().splitlines() or ["it is not known why"]
    return f": {lines[-1]}"
