"""ScriptExecutionService: prepares, starts, stops and summarises procedures; owns the rules.

It drives each procedure's state machine with what the procedure's kernel says and publishes what follows from it. All
of it runs on one event loop, so that what stands between two awaits is one step for every caller: the check of a
subarray and its claim, for one.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import zmq.asyncio
from msgspec import Struct
from msgspec.structs import replace

from oet_kernel import procedure as lifecycle
from oet_kernel import topics
from oet_kernel.errors import (
    AbortFailed,
    ResourceNotFound,
    ShuttingDown,
    StartRefused,
    StopFailed,
    TooManyKernels,
)
from oet_kernel.events.bus import Event, EventBus
from oet_kernel.events.mapping import Announcement, Interest, Record, announce, interpret
from oet_kernel.kernels.local import Ladder, LocalKernel
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
from oet_kernel.procedure import Fact, Procedure
from oet_kernel.scripts.sources import ScriptSources
from oet_kernel.state import StateFolder

log = logging.getLogger(__name__)

CLIENT = "FlaskWorker"
"""`msg_src` of requests; existing listeners know this name."""
SERVICE = "SESWorker"
"""`msg_src` of what the service says of its own; existing listeners know this name."""

_OUTCOMES = {
    ProcedureState.COMPLETE: topics.COMPLETE,
    ProcedureState.FAILED: topics.FAILED,
}


class Limits(Struct, frozen=True, kw_only=True):
    """What an operator can configure of the service."""

    history: int = 10
    """How many inactive procedures stay listed."""
    kernels: int = 200
    """How many kernels may be alive at once."""
    starting: int = 4
    """How many kernel processes are being started at the same instant; more only get in each other's way."""
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


class Execution:
    """A procedure while the service knows it: its state, and what runs it."""

    def __init__(self, procedure: Procedure, main_kwargs: Mapping[str, Any]) -> None:
        self.procedure = procedure
        self.main_kwargs = main_kwargs
        self.kernel: LocalKernel | None = None
        self.preparation: asyncio.Task[None] | None = None
        self.ending: asyncio.Task[bool] | None = None
        """The stop of its kernel, on request or after its end."""
        self.aborting = False
        """Its subarray is kept for the abort script."""
        self.path: Path | None = None
        """Where its script is; None until it was fetched."""
        self.kernel_ready = asyncio.Event()
        self.changed = asyncio.Event()
        """Set, and replaced by a new one, when a state is entered."""
        self.request_id = 0.0
        """The request that events are told to follow from: the newest."""
        self.interests: set[str] = set()
        """Topics that the script itself listens to."""

    @property
    def state(self) -> ProcedureState:
        """The procedure's newest state."""
        return self.procedure.state


class ScriptExecutionService:
    """Executes scripts, each in a kernel of its own.

    Parameters
    ----------
    state
        The service's folder.
    sources
        Where scripts come from.
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
        bus: EventBus,
        base_url: str,
        limits: Limits | None = None,
    ) -> None:
        self._state = state
        self._sources = sources
        self._bus = bus
        self.base_url = base_url
        self._limits = limits or Limits()
        self._executions: dict[int, Execution] = {}
        self._inactive: list[int] = []
        self._claims: dict[str, int] = {}
        """The procedure that has each subarray that is in use."""
        self._listening: set[Execution] = set()
        """Those whose scripts listen to events of others."""
        self._context: zmq.asyncio.Context = zmq.asyncio.Context()
        self._starting = asyncio.Semaphore(self._limits.starting)
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
        self._sources.check(command.script)
        alive = sum(1 for execution in self._executions.values() if not execution.state.inactive)
        if alive >= self._limits.kernels:
            raise TooManyKernels(
                f"Cannot create a procedure: {alive} are active and {self._limits.kernels} are allowed; "
                "stop one that is not needed, or raise OetApp.max_kernels"
            )
        pid = self._state.next_id()
        request_id = self._request_id()
        self._say(topics.REQUEST_CREATE, CLIENT, pid, request_id=request_id, cmd=command)
        execution = Execution(lifecycle.create(pid, command.script, command.init_args, time.time()), main_kwargs or {})
        execution.request_id = request_id
        self._executions[pid] = execution
        self._say(topics.STATECHANGE, str(pid), pid, new_state=execution.state)
        self._say(topics.CREATED, SERVICE, pid, request_id=request_id, result=self._summary(execution))
        execution.preparation = asyncio.create_task(self._prepare(execution))
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
        pid = execution.procedure.id
        if not execution.procedure.startable:
            return self._summary(execution)
        arguments = replace(command.run_args, kwargs={**execution.main_kwargs, **command.run_args.kwargs})
        started = lifecycle.apply(execution.procedure, lifecycle.Started(time.time(), arguments))
        if self._limits.exclusive:
            holder = self._claims.setdefault(started.subarray, pid)
            if holder != pid and not command.force_start:
                raise StartRefused(f"Cannot start PID {pid}: PID #{holder} is RUNNING")
        execution.procedure = started
        execution.request_id = self._request_id()
        self._say(topics.REQUEST_START, CLIENT, pid, request_id=execution.request_id, cmd=command)
        assert execution.kernel is not None
        execution.kernel.run(arguments)
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
        pid = execution.procedure.id
        if execution.state.inactive:
            return StopOutcome(stopped=False, aborted=[])
        execution.request_id = request_id = self._request_id()
        self._say(topics.REQUEST_STOP, CLIENT, pid, request_id=request_id, cmd=command)
        # what somebody else does on the subarray is not to be aborted; and until the abort script has it, nobody may
        # start anything there
        free = self._claims.setdefault(execution.procedure.subarray, pid) == pid
        abort = command.run_abort and free and not execution.aborting
        execution.aborting = execution.aborting or abort
        first = execution.ending is None
        aborted: list[ProcedureSummary] = []
        try:
            if not await self._end(execution):
                assert execution.kernel is not None
                raise StopFailed(
                    f"Cannot stop script with ID {pid}: its process {execution.kernel.pid} is there even after SIGKILL"
                )
            if abort:
                aborted = await self._abort(execution)
        finally:
            if abort:
                execution.aborting = False
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
        while not (execution.state in states or execution.state.inactive):
            await execution.changed.wait()
        return self._summary(execution)

    async def close(self) -> None:
        """Stop every procedure, and take no new ones."""
        self._closing = True
        active = [execution for execution in self._executions.values() if not execution.state.inactive]
        await asyncio.gather(*(self._end(execution) for execution in active))
        ending = [execution.kernel for execution in self._executions.values() if execution.kernel]
        await asyncio.gather(*(kernel.stop(self._limits.ladder) for kernel in ending))
        self._context.destroy(linger=0)

    # --- the life of one procedure

    async def _prepare(self, execution: Execution) -> None:
        """Bring a procedure from CREATING to the call of its ``init``; what goes wrong makes it FAILED."""
        try:
            await self._bring_up(execution)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.debug("Procedure %d could not be prepared", execution.procedure.id, exc_info=True)
            self._apply(execution, lifecycle.Failed(time.time(), _trace(error)))

    async def _bring_up(self, execution: Execution) -> None:
        pid, script = execution.procedure.id, execution.procedure.script
        path: Path | None = None
        python: Path | None = None

        def note(line: str) -> None:
            self._say(topics.ENVIRONMENT_LOG, str(pid), pid, text=line)

        if isinstance(script, GitScript) and script.create_env:
            self._apply(execution, lifecycle.EnvironmentStarted(time.time()))
            path, environment = await self._sources.environment(script, note)
            python = environment.python
            execution.path = path
            self._apply(execution, lifecycle.EnvironmentFinished(time.time()))
        async with self._starting:
            execution.kernel = kernel = LocalKernel(
                self._state.procedure_folder(pid),
                self._state.sockets(pid),
                lambda records: self._hear(execution, records),
                lambda epitaph: self._kernel_ended(execution, epitaph),
                self._context,
            )
            await kernel.start(python)
            await execution.kernel_ready.wait()
        if execution.state.inactive:
            return
        if isinstance(script, GitScript):
            self._apply(execution, lifecycle.LoadStarted(time.time()))
        execution.path = path = path or await self._sources.fetch(script, note)
        kernel.prepare(pid, path, execution.procedure.calls["init"])

    def _hear(self, execution: Execution, records: list[Record]) -> None:
        pid = execution.procedure.id
        for record in records:
            try:
                meaning = interpret(record, pid)
            except msgspec.MsgspecError as error:
                log.warning("Procedure %d sent a message of type %s that is malformed: %s", pid, record.type, error)
                continue
            match meaning:
                case None:
                    pass
                case Announcement():
                    self._bus.publish(meaning, pid)
                case Interest():
                    execution.interests.add(meaning.topic)
                    self._listening.add(execution)
                case _:
                    self._learn(execution, meaning)

    def _learn(self, execution: Execution, fact: Fact) -> None:
        kernel = execution.kernel
        assert kernel is not None
        match fact:
            case lifecycle.KernelReady():
                kernel.note_idle()
                execution.kernel_ready.set()
            case lifecycle.LoadFinished(has_init=False) | lifecycle.CallFinished() | lifecycle.Failed():
                kernel.note_idle()
        self._apply(execution, fact)

    def _kernel_ended(self, execution: Execution, epitaph: str) -> None:
        execution.kernel_ready.set()
        self._listening.discard(execution)
        self._apply(execution, lifecycle.KernelExited(time.time(), epitaph))
        self._release(execution)

    def _apply(self, execution: Execution, fact: Fact) -> None:
        """Drive the state machine, and publish each state that was entered."""
        before = execution.procedure
        execution.procedure = after = lifecycle.apply(before, fact)
        entered = after.history.process_states[len(before.history.process_states) :]
        for state, _ in entered:
            self._enter(execution, state)

    def _enter(self, execution: Execution, state: ProcedureState) -> None:
        procedure = execution.procedure
        pid = procedure.id
        self._say(topics.STATECHANGE, str(pid), pid, new_state=state)
        if state is ProcedureState.FAILED:
            self._say(topics.STACKTRACE, str(pid), pid, stacktrace=procedure.history.stacktrace)
        if state in (ProcedureState.INITIALISING, ProcedureState.RUNNING):
            self._say(topics.STARTED, SERVICE, pid, request_id=execution.request_id, result=self._summary(execution))
        if state.inactive:
            self._retire(execution, state)
        execution.changed.set()
        execution.changed = asyncio.Event()

    def _retire(self, execution: Execution, state: ProcedureState) -> None:
        """A procedure has ended: free its subarray, tell everybody, let its kernel go, forget the oldest."""
        pid = execution.procedure.id
        if topic := _OUTCOMES.get(state):
            self._say(topic, SERVICE, pid, request_id=execution.request_id, result=self._summary(execution))
        self._release(execution)
        if execution.kernel is not None and execution.ending is None:
            execution.ending = asyncio.create_task(execution.kernel.stop(self._limits.ladder))
        if isinstance(execution.procedure.script, GitScript):
            self._keep_task(self._retain_sources())
        self._inactive.append(pid)
        for old in self._inactive[: -self._limits.history or None]:
            self._inactive.remove(old)
            del self._executions[old]
            self._state.forget(old)

    async def _retain_sources(self) -> None:
        await self._sources.retain([e.path for e in self._executions.values() if e.path and not e.state.inactive])

    def _keep_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _release(self, execution: Execution) -> None:
        """Free a procedure's subarray, unless its process may still be at work there or an abort is to follow."""
        subarray, pid = execution.procedure.subarray, execution.procedure.id
        at_work = execution.state is ProcedureState.UNKNOWN and execution.kernel is not None and execution.kernel.alive
        running = "main" in execution.procedure.calls and not execution.state.inactive
        if self._claims.get(subarray) == pid and not (running or at_work or execution.aborting):
            del self._claims[subarray]

    async def _end(self, execution: Execution) -> bool:
        """End a procedure; whoever asks while it is being done gets the same answer."""
        if execution.ending is None:
            self._apply(execution, lifecycle.StopAccepted(time.time()))
            execution.ending = asyncio.create_task(self._stop(execution))
        return await asyncio.shield(execution.ending)

    async def _stop(self, execution: Execution) -> bool:
        preparing = execution.preparation
        if preparing is not None and not preparing.done():
            preparing.cancel()
            await asyncio.wait([preparing])
        kernel = execution.kernel
        if kernel is None or not kernel.alive:
            self._apply(execution, lifecycle.KernelExited(time.time(), ""))
            return True
        stopped = await kernel.stop(self._limits.ladder)
        if not stopped:
            self._apply(execution, lifecycle.StopGivenUp(time.time()))
        return stopped

    async def _abort(self, stopped: Execution) -> list[ProcedureSummary]:
        """Run the abort script on the subarray of a procedure that was stopped."""
        script = self._limits.abort_script
        if script is None:
            return []
        subarray = stopped.procedure.subarray
        kwargs = {} if subarray == "default" else {"subarray_id": _subarray_id(stopped.procedure)}
        created = await self.prepare(
            PrepareProcessCommand(FileSystemScript(script_uri=script.resolve().as_uri()), ProcedureInput(kwargs=kwargs))
        )
        self._claims[subarray] = created.id
        said = f"Stopped script with ID {stopped.procedure.id}, but its abort script (ID {created.id})"
        try:
            async with asyncio.timeout(self._limits.abort_deadline):
                ready = await self.wait(created.id, ProcedureState.READY)
        except TimeoutError:
            await self._end(self._find(created.id))
            raise AbortFailed(f"{said} was not ready within {self._limits.abort_deadline:g} s") from None
        if ready.state is not ProcedureState.READY:
            raise AbortFailed(f"{said} became {ready.state.name} before it could run: {ready.history.stacktrace}")
        return [await self.start(StartProcessCommand(created.id))]

    # --- events

    def _say(self, topic: str, msg_src: str, procedure: int | None, **fields: Any) -> None:
        self._bus.publish(announce(topic, msg_src, **fields), procedure)

    def _forward(self, event: Event) -> None:
        """Hand an event to the scripts that listen to it, but never back to the one that sent it."""
        for execution in self._listening:
            wanted = any(topics.under(event.topic, interest) for interest in execution.interests)
            if wanted and event.procedure != execution.procedure.id and execution.kernel is not None:
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


def _subarray_id(procedure: Procedure) -> Any:
    for call in reversed(procedure.calls.values()):
        if call.kwargs.get("subarray_id") is not None:
            return call.kwargs["subarray_id"]
    return None


def _trace(error: Exception) -> str:
    return "".join(traceback.format_exception(error))
