"""Execution of one procedure: its state machine, its kernel, and the connection between the two."""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from oet_kernel import procedure as lifecycle
from oet_kernel import topics
from oet_kernel.bounds import NAME_CHARACTERS, TOPICS, OutOfBounds, check_json, check_text, encodable
from oet_kernel.errors import MalformedRequest
from oet_kernel.events.mapping import Announcement, announce, interpret, marked
from oet_kernel.kernel_manager.session import AtWork, KernelIdentity, KernelSession, KernelSource
from oet_kernel.models import GitScript, ProcedureInput, ProcedureState
from oet_kernel.procedure import Fact
from oet_kernel.protocol import (
    UNREADABLE,
    ControlReport,
    Idle,
    PauseReport,
    PrepareRequest,
    Record,
    RunRequest,
    Subscription,
)
from oet_kernel.scripts.catalogue import check_fetched
from oet_kernel.scripts.sources import Fetched, ScriptSources
from oet_kernel.service.lease import KernelControl
from oet_kernel.service.pause_requests import KernelPause, event_of, fact_of
from oet_kernel.service.publisher import EventPublisher
from oet_kernel.service.steps import StepDeadline
from oet_kernel.settings import EXIT_SECONDS, Ladder
from oet_kernel.store.journal import Journal
from oet_kernel.store.rows import KernelRow, ProcedureRow
from oet_kernel.system.supervision import supervise
from oet_kernel.system.threads import SCRIPTS

log = logging.getLogger(__name__)

T = TypeVar("T")

_BEFORE_INIT = frozenset(
    {ProcedureState.CREATING, ProcedureState.PREP_ENV, ProcedureState.IDLE, ProcedureState.LOADING}
)
"""States in which preparation can be repeated; a kernel that has received its script does not take it twice."""


_AT_WORK = {
    "prepare": (ProcedureState.IDLE, ProcedureState.LOADING, ProcedureState.INITIALISING),
    "run": (ProcedureState.READY, ProcedureState.RUNNING),
}
"""States that the procedure leaves when the kernel's request ends."""
_LATEST = 4_102_444_800.0
"""Unix seconds of the year 2100; a message with a later time, or one before 1970, gets the current time."""


class Services(Struct, frozen=True):
    """Components that all executions of a service share."""

    journal: Journal
    publisher: EventPublisher
    sources: ScriptSources
    kernels: KernelSource
    ladder: Ladder
    """Duration of each step of a stop."""
    kernel_deadline: float
    """Seconds within which a kernel must take requests, and begin a requested step."""
    exit_deadline: float = EXIT_SECONDS
    """Seconds that a script's threads and processes may go on after its end; 0 for no limit."""


class Execution:
    """Procedure, its kernel, and the state of both.

    Parameters
    ----------
    row
        Stored procedure, new or as another service left it.
    services
        Components shared with other executions.
    on_state
        Called with the execution after each new state, which is stored and published.
    on_kernel_end
        Called with the execution when its kernel has ended.
    """

    def __init__(
        self,
        row: ProcedureRow,
        services: Services,
        on_state: Callable[["Execution", ProcedureState], None],
        on_kernel_end: Callable[["Execution"], None],
    ) -> None:
        self.procedure = row.procedure
        self.committed = row.procedure
        """Procedure as last written to the database, together with its events."""
        self.main = row.main
        """Arguments of ``main`` where its start gives none."""
        self.request_id = row.request_id
        """Id of the newest request, which published events refer to."""
        self.interests = set(row.interests)
        """Topics of other sources that the script listens to."""
        self.path = Path(row.path) if row.path else None
        """Path of the script; None until it is fetched."""
        self._repository = row.repository
        self.commit = row.commit
        """Full hash of the commit of the script."""
        self.source_sha256 = row.source_sha256
        """SHA-256 of the script as loaded; None before loading."""
        self.abort = row.abort
        """True if the abort script is to follow the accepted stop."""
        self.abort_id = row.abort_id
        """Id of the abort script's procedure; None before its creation."""
        self.autostart = row.autostart
        """True if the procedure is to be started as soon as it is READY."""
        self.planned = row.main if row.autostart else None
        """Arguments that its start is going to call ``main`` with; None if unknown."""
        self.control = KernelControl(row.id, row.controller)
        """Control of its kernel."""
        self.pausing = KernelPause()
        """Pause requests to its kernel."""
        self.quiet = False
        """True if the script failed by an exception of its own and left no threads or processes at work."""
        self._catching_up = False
        """True until the messages that the kernel wrote while no service ran are handled."""
        self.kernel: KernelSession | None = None
        self._offset = 0
        """Number of bytes of the kernel's journal that have been handled."""
        self._services = services
        self._on_state = on_state
        self._on_kernel_end = on_kernel_end
        self._changed = asyncio.Event()
        self._preparation: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[bool] | None = None
        self._step = StepDeadline(services.kernel_deadline, self._overdue)

    def save(self) -> None:
        """Store the procedure's present state in one transaction with the events of this turn of the event loop."""
        self._services.journal.put(
            ProcedureRow(
                procedure=self.procedure,
                main=self.main,
                request_id=self.request_id,
                path=str(self.path) if self.path else None,
                repository=self._repository if self.state in _BEFORE_INIT else None,
                commit=self.commit,
                source_sha256=self.source_sha256,
                interests=sorted(self.interests),
                abort=self.abort,
                abort_id=self.abort_id,
                autostart=self.autostart,
                controller=self.control.holder,
            )
        )

    def open(self) -> None:
        """Store a new procedure, and publish its first state."""
        self.save()
        self._entered(*self.procedure.history.process_states[0])

    @property
    def id(self) -> int:
        """Id of the procedure."""
        return self.procedure.id

    @property
    def state(self) -> ProcedureState:
        """Newest state of the procedure."""
        return self.procedure.state

    @property
    def stopping(self) -> bool:
        """True once a stop is accepted."""
        return self.procedure.stopping

    @property
    def takes_requests(self) -> bool:
        """True once its kernel takes requests."""
        return self.kernel is not None and self.kernel.takes_requests

    def say_pause(self, report: PauseReport) -> None:
        """Change the pause without the kernel, which has not been told of it, and publish the change."""
        self._hear_pause(report, time.time())

    @property
    def kernel_alive(self) -> bool:
        """True while the kernel's process may be running."""
        return self.kernel is not None and self.kernel.alive

    @property
    def occupies_subarray(self) -> bool:
        """True while the procedure is running, or its process may still be at work after a stop."""
        at_work = self.state is ProcedureState.UNKNOWN and self.kernel_alive
        return at_work or ("main" in self.procedure.calls and not self.state.inactive)

    def prepare(self) -> None:
        """Start to bring the procedure from CREATING to READY; an error makes it FAILED."""
        self._preparation = self._supervise("preparing", self._guarded(self._bring_up()))

    async def resume(self, found: KernelRow | None) -> None:
        """Restore the procedure from the state in which another service left it.

        Parameters
        ----------
        found
            Stored row of its kernel; None if it has none.
        """
        kernels = self._services.kernels
        identity = None if found is None else kernels.find(identity_of(found))
        if found is None or identity is None:
            self._resume_without_process()
            return
        self._offset = found.offset
        self._catching_up = True  # an answer to the previous service is not a forgery
        self.kernel = kernel = kernels.adopt(
            identity, found.offset, self._at_work, self._services.sources.python_of(self.id)
        )
        kernel.attach(self._hear, self._kernel_ended, self.kernel_unheard)
        await kernel.caught_up()
        self._catching_up = False
        if self.state.inactive or self.stopping:
            return
        pause, begun = self.procedure.pause, self.state not in _BEFORE_INIT
        if pause is not None and (pause.pending == "resume" or (begun and pause.pending == "pause")):
            self.pausing.ask_again(kernel, pause)
        if not begun:
            self._preparation = self._supervise("preparing", self._guarded(self._hand_over_script()))
            return
        if self.state is ProcedureState.READY and "main" in self.procedure.calls:
            self.run(self.procedure.calls["main"])  # a repetition if it had arrived: the kernel runs it once

    @property
    def _at_work(self) -> AtWork:
        """Request that the previous service's kernel had not finished."""
        if "main" in self.procedure.calls:
            return "run"
        return None if self.state is ProcedureState.READY else "prepare"

    def _resume_without_process(self) -> None:
        if self.stopping:
            return
        if self.state in _BEFORE_INIT:
            self.prepare()
        else:
            why = "The service has ended while the procedure was at work, and its kernel is not to be found."
            self.learn(lifecycle.KernelExited(time.time(), why))

    def run(self, main: ProcedureInput) -> None:
        """Send the request to call ``main``; no-op if the kernel has ended or is being stopped."""
        if self.kernel is not None and not self.stopping:
            self.kernel.ask(RunRequest(main))
            self._step.expect("main")

    async def wait(self, *states: ProcedureState) -> None:
        """Wait until the procedure is in one of these states, or has passed through one, or has ended."""
        known = len(self.procedure.history.process_states) - 1
        while not self.state.inactive:
            if any(state in states for state, _ in self.procedure.history.process_states[known:]):
                return
            await self._changed.wait()

    async def stop(self, *, abort: bool = False, who: str | None = None) -> bool:
        """Stop the procedure; concurrent callers get the same result.

        Parameters
        ----------
        abort
            Whether the abort script is to follow; stored with the stop, so that it survives a restart.
        who
            Name of the requester; the first one is kept.

        Returns
        -------
        bool
            False when the kernel's process outlived SIGKILL.
        """
        self.abort = self.abort or abort
        if self._ending is None or _has_failed(self._ending):
            self.learn(lifecycle.StopAccepted(time.time(), who))
            self._ending = self._supervise("stopping", self._stop())
        return await asyncio.shield(self._ending)

    async def hand_over(self, who: str, taken: bool) -> None:
        """Acquire control of the kernel, or release it; see `KernelControl.hand_over`."""
        if self.kernel is not None:
            await self.control.hand_over(self.kernel, who, taken)

    def _hear_control(self, control: ControlReport, at: float) -> None:
        if not self.control.heard(control) and not self._catching_up:
            raise OutOfBounds("nobody has asked for that, and the script does not decide who has control")
        self._change_control(control, at)

    def _change_control(self, control: ControlReport, at: float) -> None:
        self.control.holder = control.who if control.taken else None
        self.save()
        self._say(announce(topics.KERNEL_CONTROL, str(self.id), **msgspec.structs.asdict(control)), at)

    def _hear_pause(self, report: PauseReport, at: float) -> None:
        before = self.procedure
        if (
            report.phase == "pausing"
            and before.pause is None
            and not (self._catching_up or self.pausing.has_asked(report))
        ):
            raise OutOfBounds("nobody has asked for that, and the script does not pause itself")
        pending = before.pause is not None and before.pause.pending is not None and self.pausing.has_asked(report)
        if (fact := fact_of(report, at, pending)) is not None:
            self.learn(fact)
        if self.procedure is not before and (announcement := event_of(report, self.id)) is not None:
            self._say(announcement, at)
        self.pausing.heard(report)

    async def detach(self) -> None:
        """Detach from the kernel; the procedure goes on without this service."""
        self._step.met()
        for task in (self._preparation, self._ending):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait([task])
        if self.kernel is not None:
            await self.kernel.detach()

    def dismiss(self) -> None:
        """Start to end the kernel of a procedure that has ended."""
        if self._ending is None and self.kernel is not None:
            self._ending = self._supervise("ending the kernel of", self._end_kernel())

    @property
    def dismissed(self) -> bool:
        """True once its kernel is being ended."""
        return self._ending is not None

    async def gone(self) -> None:
        """Wait until the dismissed kernel has ended."""
        if self._ending is not None:
            await asyncio.wait([self._ending])

    def learn(self, fact: Fact) -> None:
        """Apply a fact to the state machine, and announce each state that was entered."""
        before = self.procedure
        self.procedure = after = lifecycle.apply(before, fact)
        if after is before:
            return
        self.save()
        if after.returned is not None and before.returned is None:
            told = msgspec.structs.asdict(after.returned)
            self._say(announce(topics.SCRIPT_RETURNED, str(self.id), **told), fact.at)
        for state, at in after.history.process_states[len(before.history.process_states) :]:
            self._entered(state, at)
            self._changed.set()
            self._changed = asyncio.Event()

    def _entered(self, state: ProcedureState, at: float) -> None:
        """Publish a state that was entered, and have the service act on it."""
        uri = self.procedure.script.script_uri
        log.info("Procedure %d, %s, is %s%s", self.id, uri, state.name, _why(self.procedure))
        told = not (state is ProcedureState.STOPPED and self.abort)  # published when the abort script runs
        self._services.publisher.entered(self.procedure, state, at, self.request_id, told=told)
        self._on_state(self, state)

    def _say(self, announcement: Announcement, at: float) -> None:
        self._services.journal.publish(announcement, self.id, at)

    def _supervise(self, doing: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return supervise(f"{doing} procedure {self.id}", work)

    async def _guarded(self, preparation: Coroutine[Any, Any, None]) -> None:
        try:
            await preparation
        except Exception as error:
            self.learn(lifecycle.Failed(time.time(), "".join(traceback.format_exception(error))))

    async def _bring_up(self) -> None:
        services, script = self._services, self.procedure.script
        python: Path | None = None
        if isinstance(script, GitScript) and script.create_env:
            self.learn(lifecycle.EnvironmentStarted(time.time()))
            fetched = await services.sources.fetch(self.id, script, self._repository, self._note)
            self._found(fetched)
            python = fetched.python
            self.learn(lifecycle.EnvironmentFinished(time.time()))
        self.kernel = kernel = services.kernels.get(python)
        self._record_kernel()  # the address is stored before a process runs there, so that it is always found again
        if not kernel.alive:
            await services.journal.written()
        kernel.attach(self._hear, self._kernel_ended, self.kernel_unheard)
        if not await services.kernels.start(kernel):
            return
        self._record_kernel()
        await self._hand_over_script()

    async def _hand_over_script(self) -> None:
        """Fetch the script, and send the kernel the request to prepare it."""
        services, script, kernel = self._services, self.procedure.script, self.kernel
        assert kernel is not None
        if not await kernel.ready(services.kernel_deadline):
            return
        begun = self.state is ProcedureState.LOADING  # an earlier service has received it; it is not sent again
        self.learn(lifecycle.KernelReady(time.time()))  # a warm kernel has reported it before
        if isinstance(script, GitScript):
            self.learn(lifecycle.LoadStarted(time.time()))
        if self.path is None:
            self._found(await services.sources.fetch(self.id, script, self._repository, self._note))
        assert self.path is not None
        if self.planned is not None and isinstance(script, GitScript):  # other scripts were checked at the request
            try:
                await SCRIPTS.run(check_fetched, self.path, self.planned)
            except MalformedRequest as error:
                self.learn(lifecycle.Failed(time.time(), f"{error.type}: {error.message}; init was not called"))
                return
        await services.journal.written()  # from here on the script acts: a running procedure must be stored
        pause = self.procedure.pause
        if pause is not None and pause.pending == "pause":  # accepted while no kernel could be told
            await self.pausing.pause(kernel, pause.at, pause.who)
        kernel.ask(
            PrepareRequest(
                self.id,
                str(self.path),
                self.procedure.calls["init"],
                exit_seconds=services.exit_deadline,
                kernel=script.kernel,
                own_folder=script.own_folder,
                working_folder=script.working_folder,
            )
        )
        if not begun:
            self._step.expect("load")

    def _overdue(self, step: str) -> bool:
        """Fail the procedure if its kernel does not begin a step; return True to wait on while a user has control."""
        if self.kernel is None or self.state.inactive or self.stopping:
            return False
        if self.control.holder is not None:
            return True
        late = self.kernel.silent(f"was asked for {step} and did not begin it within {self._step.seconds:g} s")
        self.learn(lifecycle.Failed(time.time(), f"{late.type}: {late}"))
        return False

    def _found(self, fetched: Fetched) -> None:
        self.path, self.commit = fetched.path, fetched.commit
        self.save()

    def _record_kernel(self) -> None:
        assert self.kernel is not None
        known = self.kernel.identity
        self._services.journal.put(
            KernelRow(
                procedure=self.id, kind=known.kind, address=known.address, process=known.process, offset=self._offset
            )
        )

    def _note(self, line: str) -> None:
        self._say(announce(topics.ENVIRONMENT_LOG, str(self.id), text=line), time.time())

    async def _hear(self, records: list[Record], offset: int) -> None:
        """Handle messages of the kernel, and store them and the journal's offset in one transaction."""
        for record in records:
            try:
                self._take(record)
            except Exception as error:  # only this record is lost, not those behind it
                self._set_aside(record, error)
        self._offset = offset
        self._record_kernel()
        await self._services.journal.written()

    def _set_aside(self, record: Record, error: Exception) -> None:
        """Set aside a message of the kernel that cannot be handled, and publish a notice in its place."""
        why = f"a message of type {record.type[:NAME_CHARACTERS]!r} cannot be taken: {error!r:.500}"
        self._services.journal.set_aside.put("records", f"procedure {self.id}", bytes(record.content), why)
        text = f"[a message of type {record.type:.40} could not be taken, and is left out: {error!s:.500}]\n"
        told = {"call": (record.call or "")[:NAME_CHARACTERS] or None, "name": "stderr", "text": encodable(text)}
        self._say(announce(topics.OUTPUT_STREAM, str(self.id), **told), time.time())

    def _take(self, record: Record) -> None:
        """Handle one message of the kernel."""
        if record.type == UNREADABLE:  # a process that ends on a full disk leaves such lines; no event
            why = "a line of the kernel's journal that is no record, or too long"
            self._services.journal.set_aside.put("records", f"procedure {self.id}", bytes(record.content), why)
            return
        check_text(record.call or "", "a name of a call", NAME_CHARACTERS)
        if not 0 <= record.t <= _LATEST:
            record = msgspec.structs.replace(record, t=time.time())
        match meaning := interpret(record, self.id):
            case None:
                pass
            case Announcement():
                if meaning.topic == topics.CONSOLE_INPUT and self.control.holder is None:
                    meaning = marked(meaning.topic, msgspec.json.decode(meaning.data), self.id)  # no user can type
                check_json(meaning.data)
                self._say(meaning, record.t)
            case Subscription():
                if meaning.topic not in self.interests and len(self.interests) >= TOPICS:
                    raise OutOfBounds(f"the script listens to {TOPICS} topics already")
                self.interests.add(meaning.topic)
                self.save()
            case Idle():
                self._hear_idle(meaning, record.t)
            case ControlReport():
                self._hear_control(meaning, record.t)
            case PauseReport():
                self._hear_pause(meaning, record.t)
            case _:
                self._hear_fact(meaning)

    def _hear_idle(self, idle: Idle, at: float) -> None:
        """Fail the procedure if its kernel has finished a request and no message tells the result."""
        asked = idle.request == "prepare" or "main" in self.procedure.calls
        if self.state in _AT_WORK.get(idle.request, ()) and asked and not self.stopping:
            why = f"The kernel is idle, and the procedure {self.state.name}: how that ended was not heard."
            self.learn(lifecycle.Failed(at, why))

    def kernel_unheard(self, error: Exception) -> None:
        """Fail the procedure because its kernel's messages cannot be read any more."""
        trace = "".join(traceback.format_exception(error))
        self.learn(lifecycle.Failed(time.time(), f"What the kernel says cannot be read any more.\n{trace}"))

    def _hear_fact(self, fact: Fact) -> None:
        if not isinstance(fact, lifecycle.KernelReady):
            self._step.met()
        if isinstance(fact, lifecycle.LoadFinished):
            self.source_sha256 = fact.source_sha256
        if isinstance(fact, lifecycle.Failed):
            self.quiet = fact.quiet
        self.learn(fact)

    def _kernel_ended(self, description: str) -> None:
        self._step.met()
        self.interests.clear()
        assert self.kernel is not None
        if self.control.holder is not None:
            self._change_control(ControlReport(self.control.holder, taken=False), self.kernel.ended_at or time.time())
        self.control.ended()
        self.pausing.ended()
        self.learn(lifecycle.KernelExited(self.kernel.ended_at or time.time(), description, self.kernel.exit_status))
        self._on_kernel_end(self)

    async def _end_kernel(self) -> bool:
        """End the kernel and read its last messages, unless they cannot be stored; return False if it goes on."""
        if self.kernel is None:
            return True
        ended = await self.kernel.end(self._services.ladder)
        if ended:
            await self._services.journal.unless_in_trouble(self.kernel.heard_out())
        return ended

    async def _stop(self) -> bool:
        if self._preparation is not None and not self._preparation.done():
            self._preparation.cancel()
            await asyncio.wait([self._preparation])
        if self.kernel is not None and (self.procedure.pause is not None or self.pausing.asked):
            await self.pausing.stop(self.kernel)  # or the clean-up after the interrupt would wait at a checkpoint
        stopped = await self._end_kernel()
        if not stopped:
            self.learn(lifecycle.StopGivenUp(time.time()))
        elif not self.kernel_alive:
            self.learn(lifecycle.KernelExited(time.time(), ""))  # where no process was ever started
        return stopped


def identity_of(row: KernelRow) -> KernelIdentity:
    """Return the identity of a stored kernel."""
    return KernelIdentity(row.kind, row.address, row.process)


def _has_failed(task: "asyncio.Task[bool]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _why(procedure: lifecycle.Procedure) -> str:
    """Return the reason of a failure for the log; empty if the procedure has not failed."""
    if procedure.state is not ProcedureState.FAILED:
        return ""
    lines = (procedure.history.stacktrace or "").strip().splitlines() or ["it is not known why"]
    return f": {lines[-1]}"
