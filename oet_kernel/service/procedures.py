"""ScriptExecutionService: prepares, starts, stops and summarises procedures; holds the rules.

The use cases are here; each rule is in a module named for it. All of it runs on one event loop, so that the code
between two awaits is atomic for every caller: for example, the check of a subarray and its claim.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from msgspec.structs import replace

from oet_kernel import topics
from oet_kernel.errors import StoreUnusable
from oet_kernel.events.bus import EventBus
from oet_kernel.kernel_manager.session import KernelSource
from oet_kernel.models import (
    PrepareProcessCommand,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
    StartProcessCommand,
    StopProcessCommand,
)
from oet_kernel.scripts.sources import ScriptSources
from oet_kernel.service.acceptance import Acceptance
from oet_kernel.service.background import Background
from oet_kernel.service.components import Components
from oet_kernel.service.creation import Creation
from oet_kernel.service.execution import Execution
from oet_kernel.service.forwarding import forward
from oet_kernel.service.post_mortem import KeptKernels
from oet_kernel.service.publisher import EventPublisher, publish_list
from oet_kernel.service.registry import Registry
from oet_kernel.service.request_bounds import check_arguments, check_script
from oet_kernel.service.resources import Subarrays
from oet_kernel.service.restoration import Restoration
from oet_kernel.service.retirement import Retirement
from oet_kernel.service.starts import Starts
from oet_kernel.service.stops import StopOutcome, Stops
from oet_kernel.settings import Limits
from oet_kernel.state.folder import StateFolder
from oet_kernel.store.journal import Journal

_ITSELF = "the service, which ended"


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
        self._publisher = publisher
        self._registry = registry
        self._kept = kept
        self._limits = limits
        self._sources = sources
        self._kernels = kernels
        components = Components(journal, publisher, sources, kernels, limits)
        self._acceptance = Acceptance(journal)
        self._background = Background()
        self._resumed = asyncio.Event()
        subarrays = Subarrays()
        self._retirement = Retirement(sources, registry, kept, subarrays, self._background, limits.kernels)
        self._creation = Creation(
            components, registry, kept, self._acceptance, self._entered, self._retirement.kernel_ended
        )
        self._stops = Stops(limits, registry, subarrays, publisher, self._creation.create_abort)
        self._starts = Starts(journal, publisher, self._acceptance, subarrays, self._stops, exclusive=limits.exclusive)
        self._restoration = Restoration(
            state, components, registry, subarrays, self._starts, self._stops, self._background, self._creation.restored
        )
        journal.on_commit = registry.committed
        bus.tap(lambda event: forward(event, registry))

    async def resume(self) -> None:
        """Restore history and active procedures from the store, and re-attach to running kernels."""
        await self._restoration.restore(self._limits.history)
        self._resumed.set()

    @property
    def is_resumed(self) -> bool:
        """True once the previous service's procedures are restored."""
        return self._resumed.is_set()

    async def resumed(self) -> None:
        """Wait until the previous service's procedures are restored."""
        await self._resumed.wait()

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
        self._acceptance.check()
        script, repository = self._sources.admit(command.script)
        command = replace(command, script=script)
        self._creation.make_room()
        execution = self._creation.create(
            command, main or ProcedureInput(), planned, autostart=autostart, who=who, repository=repository
        )
        on_created(execution.id)
        created = self._publisher.summary(execution.procedure)  # the preparation does not wait for the disk
        try:
            await self._journal.settled()
        except StoreUnusable:
            self._background.do(execution.ending.stop())  # after an error reply no procedure may be at work
            raise
        return created

    def startable(self, pid: int) -> bool:
        """Return whether a start of a procedure would call its ``main`` now.

        Raises
        ------
        ResourceNotFound
            When there is no such procedure.
        """
        return self._registry.find(pid).procedure.startable

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
        MalformedRequest, BodyTooLarge
            When the arguments nest too deeply, or are too large.
        StartRefused
            When another procedure is running on its subarray.
        StoreUnusable
            When the store cannot be written.
        """
        execution = self._registry.find(command.process_uid)
        started = await self._starts.start(execution, command, who)
        return self._publisher.summary(execution.procedure) if started else self._summary(execution)

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
        execution = self._registry.find(command.process_uid)
        if execution.state.inactive:
            self._kept.let_go(execution)
            await execution.ending.complete()
            return StopOutcome(stopped=False, aborted=[])
        request_id = self._publisher.request_id()
        execution.stored.update(request_id=request_id)
        self._publisher.request(topics.REQUEST_STOP, request_id, execution.id, cmd=command)
        outcome = await self._stops.stop(execution, abort=command.run_abort, who=who)
        with suppress(StoreUnusable):  # a stop completes even if the store cannot be written
            await self._journal.settled()
        return outcome

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
        found = self._registry if pids is None else map(self._registry.find, pids)
        summaries = [self._summary(execution) for execution in found]
        if self._limits.announce_lists:
            request_id = self._publisher.request_id()
            publish_list(self._journal, topics.REQUEST_LIST, topics.POOL_LIST, request_id, summaries, pids=pids)
        return summaries

    async def close(self) -> None:
        """Stop every procedure, and refuse new ones."""
        self._acceptance.end()
        await self._kept.close()
        await asyncio.gather(*(execution.ending.stop(who=_ITSELF) for execution in self._registry.active))
        await asyncio.gather(*(execution.ending.complete() for execution in self._registry))
        with suppress(StoreUnusable):
            await self._journal.settled()  # published states are those that are stored
        await self._kernels.close()

    async def detach(self) -> None:
        """Detach from every procedure, for the next service to restore, and refuse new ones."""
        self._acceptance.end()
        self._background.cancel()
        await self._kept.close()
        await asyncio.gather(*(execution.detach() for execution in self._registry))
        await self._kernels.detach()

    def _entered(self, execution: Execution, state: ProcedureState) -> None:
        """Retire a procedure that has ended, and start one that is to be started as soon as it is READY."""
        if state.inactive:
            self._retirement.retire(execution)
        elif execution.stored.row.autostart and execution.procedure.startable:
            self._background.do(self._starts.autostart(execution))

    def _summary(self, execution: Execution) -> ProcedureSummary:
        """Return a summary as stored, or of the moment while the store cannot be written."""
        stored = execution.stored
        return self._publisher.summary(stored.committed if self._journal.trouble is None else stored.procedure)
