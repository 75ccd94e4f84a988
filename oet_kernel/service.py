"""ScriptExecutionService: prepares, starts, stops and summarises procedures; owns the rules.

It drives each procedure's state machine with what the procedure's kernel says and publishes what follows from it. All
of it runs on one event loop, so that what stands between two awaits is one step for every caller: the check of a
subarray and its claim, for one.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from oet_kernel import procedure as lifecycle
from oet_kernel import topics
from oet_kernel.errors import AbortFailed, ResourceNotFound, ShuttingDown, StartRefused, StopFailed, TooManyKernels
from oet_kernel.events.bus import Event, EventBus
from oet_kernel.events.mapping import Announcement, announce
from oet_kernel.execution import Execution, Workshop
from oet_kernel.kernels.local import Ladder
from oet_kernel.kernels.pool import KernelPool
from oet_kernel.models import (
    FileSystemScript,
    GitScript,
    PrepareProcessCommand,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
    StartProcessCommand,
    StopProcessCommand,
)
from oet_kernel.scripts.sources import ScriptSources
from oet_kernel.state import StateFolder
from oet_kernel.subarrays import Subarrays

CLIENT = "FlaskWorker"
"""`msg_src` of requests; existing listeners know this name."""
SERVICE = "SESWorker"
"""`msg_src` of what the service says of its own; existing listeners know this name."""

_TOLD = {
    ProcedureState.INITIALISING: topics.STARTED,
    ProcedureState.RUNNING: topics.STARTED,
    ProcedureState.COMPLETE: topics.COMPLETE,
    ProcedureState.FAILED: topics.FAILED,
}
"""States that are also told with a summary; a stop is told by whoever asked for it."""


class Limits(Struct, frozen=True, kw_only=True):
    """What an operator can configure of the service."""

    history: int = 10
    """How many inactive procedures stay listed."""
    kernels: int = 200
    """How many kernels may be alive at once."""
    ladder: Ladder = Ladder()
    """How long each rung of a stop may take."""
    exclusive: bool = True
    """Whether one procedure at a time runs on a subarray."""
    abort_script: Path | None = None
    """What a stop with abort runs on the subarray."""
    abort_deadline: float = 60.0
    """How many seconds the abort script has to get ready."""
    announce_lists: bool = False
    """Whether each listing is also an event, as in the original."""


class StopOutcome(Struct, frozen=True):
    """What a stop did."""

    stopped: bool
    """False when the procedure had ended before."""
    aborted: list[ProcedureSummary]
    """The abort scripts that were started."""


class ScriptExecutionService:
    """Executes scripts, each in a kernel of its own.

    Parameters
    ----------
    state
        The service's folder.
    sources
        Where scripts come from.
    kernels
        Where kernels come from; closed with the service.
    bus
        Where events go.
    base_url
        API root in the URIs of events.
    limits
        What the operator configured.
    """

    def __init__(
        self,
        state: StateFolder,
        sources: ScriptSources,
        kernels: KernelPool,
        bus: EventBus,
        base_url: str,
        limits: Limits | None = None,
    ) -> None:
        self.base_url = base_url
        self._bus = bus
        self._limits = limits or Limits()
        self._workshop = Workshop(state, sources, kernels, self._limits.ladder)
        self._executions: dict[int, Execution] = {}
        self._inactive: list[int] = []
        self._subarrays = Subarrays()
        self._kept_for_abort: set[int] = set()
        """Procedures whose subarrays are kept for the abort script that follows them."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._last_request = 0.0
        bus.tap(self._forward)

    # --- commands

    async def prepare(
        self, command: PrepareProcessCommand, main_kwargs: Mapping[str, Any] | None = None
    ) -> ProcedureSummary:
        """Create a procedure; its preparation goes on after this returns.

        Parameters
        ----------
        command
            The script, and what its ``init`` is called with.
        main_kwargs
            Keyword arguments that ``main`` gets where its start does not give them.

        Raises
        ------
        OetError
            When the script can be refused at once, there are too many kernels, or the service is ending.
        """
        if self._closing:
            raise ShuttingDown("The service is shutting down and takes no new procedures")
        self._workshop.sources.check(command.script)
        alive = sum(1 for execution in self._executions.values() if not execution.state.inactive)
        if alive >= self._limits.kernels:
            raise TooManyKernels(
                f"Cannot create a procedure: {alive} are active and {self._limits.kernels} are allowed; "
                "stop one that is not needed, or raise OetApp.max_kernels"
            )
        pid = self._workshop.state.next_id()
        request_id = self._request_id()
        self._say(topics.REQUEST_CREATE, CLIENT, pid, request_id=request_id, cmd=command)
        procedure = lifecycle.create(pid, command.script, command.init_args, time.time())
        execution = Execution(procedure, main_kwargs or {}, self._workshop, self)
        execution.request_id = request_id
        self._executions[pid] = execution
        self._say(topics.STATECHANGE, str(pid), pid, new_state=execution.state)
        self._say(topics.CREATED, SERVICE, pid, request_id=request_id, result=self._summary(execution))
        execution.prepare()
        return self._summary(execution)

    async def start(self, command: StartProcessCommand) -> ProcedureSummary:
        """Run ``main`` of a procedure that is READY; leave any other as it is.

        Parameters
        ----------
        command
            Which procedure, and the arguments.

        Raises
        ------
        ResourceNotFound
            When there is no such procedure.
        StartRefused
            When another procedure runs on its subarray.
        """
        execution = self._find(command.process_uid)
        pid = execution.id
        if not execution.procedure.startable:
            return self._summary(execution)
        arguments = replace(command.run_args, kwargs={**execution.main_kwargs, **command.run_args.kwargs})
        started = lifecycle.Started(time.time(), arguments)
        if self._limits.exclusive:
            holder = self._subarrays.claim(lifecycle.apply(execution.procedure, started).subarray, pid)
            if holder != pid and not command.force_start:
                raise StartRefused(f"Cannot start PID {pid}: PID #{holder} is RUNNING")
        execution.learn(started)
        execution.request_id = self._request_id()
        self._say(topics.REQUEST_START, CLIENT, pid, request_id=execution.request_id, cmd=command)
        execution.run(arguments)
        return self._summary(execution)

    async def stop(self, command: StopProcessCommand) -> StopOutcome:
        """End a procedure, whatever it does, and run the abort script if asked to.

        Parameters
        ----------
        command
            Which procedure, and whether to abort its subarray's activity.

        Raises
        ------
        ResourceNotFound
            When there is no such procedure.
        StopFailed
            When its process outlived SIGKILL.
        AbortFailed
            When it was stopped, but the abort script did not get ready.
        """
        execution = self._find(command.process_uid)
        pid = execution.id
        if execution.state.inactive:
            return StopOutcome(stopped=False, aborted=[])
        execution.request_id = request_id = self._request_id()
        self._say(topics.REQUEST_STOP, CLIENT, pid, request_id=request_id, cmd=command)
        # what somebody else does on the subarray is not to be aborted; and until the abort script has it, nobody may
        # start anything there
        free = self._subarrays.claim(execution.procedure.subarray, pid) == pid
        abort = command.run_abort and free and pid not in self._kept_for_abort
        first = not execution.stopping
        aborted: list[ProcedureSummary] = []
        if abort:
            self._kept_for_abort.add(pid)
        try:
            if not await execution.stop():
                assert execution.kernel is not None
                raise StopFailed(
                    f"Cannot stop script with ID {pid}: its process {execution.kernel.pid} is there even after SIGKILL"
                )
            if abort:
                aborted = await self._abort(execution)
        finally:
            if abort:
                self._kept_for_abort.discard(pid)
            self._release(execution)
        if first or aborted:
            result: Any = aborted or self._summary(execution)
            self._say(topics.STOPPED, SERVICE, pid, request_id=request_id, result=result)
        return StopOutcome(stopped=True, aborted=aborted)

    def summarise(self, pids: Sequence[int] | None = None) -> list[ProcedureSummary]:
        """Tell all about procedures.

        Parameters
        ----------
        pids
            Their ids; None for all that are listed, in order of creation.

        Raises
        ------
        ResourceNotFound
            When there is no procedure with one of the ids, or it is no longer listed.
        """
        found = list(self._executions.values()) if pids is None else [self._find(pid) for pid in pids]
        summaries = [self._summary(execution) for execution in found]
        if self._limits.announce_lists:
            request_id = self._request_id()
            self._say(topics.REQUEST_LIST, CLIENT, None, request_id=request_id, pids=pids)
            self._say(topics.POOL_LIST, SERVICE, None, request_id=request_id, result=summaries)
        return summaries

    async def wait(self, pid: int, *states: ProcedureState) -> ProcedureSummary:
        """Wait until a procedure is in one of these states, or inactive.

        Parameters
        ----------
        pid
            Its id.
        states
            What to wait for, besides its end.
        """
        execution = self._find(pid)
        await execution.wait(*states)
        return self._summary(execution)

    async def close(self) -> None:
        """Stop every procedure, and take no new ones."""
        self._closing = True
        executions = list(self._executions.values())
        await asyncio.gather(*(execution.stop() for execution in executions if not execution.state.inactive))
        await asyncio.gather(*(execution.gone() for execution in executions))
        await self._workshop.kernels.close()

    # --- what executions tell

    def say(self, execution: Execution, announcement: Announcement) -> None:
        """Publish an event of a procedure."""
        self._bus.publish(announcement, execution.id)

    def entered(self, execution: Execution, state: ProcedureState) -> None:
        """Publish a state of a procedure, and what follows from it."""
        pid = execution.id
        self._say(topics.STATECHANGE, str(pid), pid, new_state=state)
        if state is ProcedureState.FAILED:
            self._say(topics.STACKTRACE, str(pid), pid, stacktrace=execution.procedure.history.stacktrace)
        if topic := _TOLD.get(state):
            self._say(topic, SERVICE, pid, request_id=execution.request_id, result=self._summary(execution))
        if state.inactive:
            self._retire(execution)

    def kernel_gone(self, execution: Execution) -> None:
        """Free what the process of a procedure may have been at work on."""
        self._release(execution)

    # --- rules

    def _retire(self, execution: Execution) -> None:
        """A procedure has ended: free its subarray, let its kernel go, forget the oldest that have ended."""
        self._release(execution)
        execution.dismiss()
        if isinstance(execution.procedure.script, GitScript):
            task = asyncio.create_task(self._retain_sources())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._inactive.append(execution.id)
        while len(self._inactive) > self._limits.history:
            oldest = self._inactive.pop(0)
            execution = self._executions.pop(oldest)
            if execution.kernel is not None:
                self._workshop.state.forget(execution.kernel.folder)

    async def _retain_sources(self) -> None:
        used = [one.path for one in self._executions.values() if one.path and not one.state.inactive]
        await self._workshop.sources.retain(used)

    def _release(self, execution: Execution) -> None:
        """Free a procedure's subarray, unless its process may still be at work there or an abort is to follow."""
        at_work = execution.state is ProcedureState.UNKNOWN and execution.kernel_alive
        running = "main" in execution.procedure.calls and not execution.state.inactive
        if not (running or at_work or execution.id in self._kept_for_abort):
            self._subarrays.release(execution.procedure.subarray, execution.id)

    async def _abort(self, stopped: Execution) -> list[ProcedureSummary]:
        """Run the abort script on the subarray of a procedure that was stopped."""
        script = self._limits.abort_script
        if script is None:
            return []
        subarray_id = stopped.procedure.subarray_id
        kwargs = {} if subarray_id is None else {"subarray_id": subarray_id}
        created = await self.prepare(
            PrepareProcessCommand(FileSystemScript(script_uri=script.resolve().as_uri()), ProcedureInput(kwargs=kwargs))
        )
        self._subarrays.hand_over(stopped.procedure.subarray, created.id)
        said = f"Stopped script with ID {stopped.id}, but its abort script (ID {created.id})"
        try:
            async with asyncio.timeout(self._limits.abort_deadline):
                ready = await self.wait(created.id, ProcedureState.READY)
        except TimeoutError:
            await self._find(created.id).stop()
            raise AbortFailed(f"{said} was not ready within {self._limits.abort_deadline:g} s") from None
        if ready.state is not ProcedureState.READY:
            raise AbortFailed(f"{said} became {ready.state.name} before it could run: {ready.history.stacktrace}")
        return [await self.start(StartProcessCommand(created.id))]

    # --- events

    def _say(self, topic: str, msg_src: str, procedure: int | None, **fields: Any) -> None:
        self._bus.publish(announce(topic, msg_src, **fields), procedure)

    def _forward(self, event: Event) -> None:
        """Hand an event to the scripts that listen to it, but never back to the one that sent it."""
        for execution in self._executions.values():
            if not execution.interests or event.procedure == execution.id or execution.kernel is None:
                continue
            if any(topics.under(event.topic, interest) for interest in execution.interests):
                fields = msgspec.json.decode(event.data)
                fields.pop("topic", None)
                execution.kernel.deliver(event.topic, fields)

    def _request_id(self) -> float:
        """Identify a request by its time, as the original does; no two alike."""
        self._last_request = max(time.time(), self._last_request + 1e-6)
        return self._last_request

    def _find(self, pid: int) -> Execution:
        try:
            return self._executions[pid]
        except KeyError:
            raise ResourceNotFound.procedure(pid) from None

    def _summary(self, execution: Execution) -> ProcedureSummary:
        procedure = execution.procedure
        return ProcedureSummary(
            id=procedure.id,
            script=procedure.script,
            script_args=procedure.calls,
            history=procedure.history,
            state=procedure.state,
            uri=f"{self.base_url}/procedures/{procedure.id}",
        )
