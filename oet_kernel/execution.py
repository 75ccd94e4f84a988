"""One procedure while the service knows it: its state machine, its kernel, and what drives the one by the other."""

import asyncio
import logging
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from oet_kernel import procedure as lifecycle
from oet_kernel import topics
from oet_kernel.events.mapping import Announcement, Interest, Record, announce, interpret
from oet_kernel.kernels.local import Ladder, LocalKernel
from oet_kernel.kernels.pool import KernelPool
from oet_kernel.models import GitScript, ProcedureInput, ProcedureState
from oet_kernel.procedure import Fact, Procedure
from oet_kernel.scripts.sources import ScriptSources
from oet_kernel.state import StateFolder

log = logging.getLogger(__name__)


class Workshop(Struct, frozen=True):
    """What all executions of a service share."""

    state: StateFolder
    sources: ScriptSources
    kernels: KernelPool
    ladder: Ladder
    """How long each rung of a stop may take."""


class Audience(Protocol):
    """Who is told what happens to an execution: the service."""

    def say(self, execution: "Execution", announcement: Announcement) -> None:
        """An event of the procedure is to go out."""

    def entered(self, execution: "Execution", state: ProcedureState) -> None:
        """The procedure is in a new state."""

    def kernel_gone(self, execution: "Execution") -> None:
        """The kernel's process has ended."""


class Execution:
    """A procedure, its kernel, and what became of them.

    Parameters
    ----------
    procedure
        In its first state.
    main_kwargs
        Keyword arguments that ``main`` gets where its start does not give them.
    workshop
        What it shares with others.
    audience
        Who is told.
    """

    def __init__(
        self, procedure: Procedure, main_kwargs: Mapping[str, Any], workshop: Workshop, audience: Audience
    ) -> None:
        self.procedure = procedure
        self.main_kwargs = main_kwargs
        self.request_id = 0.0
        """The request that events are told to follow from: the newest."""
        self.interests: set[str] = set()
        """Topics of others that the script listens to."""
        self.path: Path | None = None
        """Where its script is; None until it was fetched."""
        self.kernel: LocalKernel | None = None
        self._workshop = workshop
        self._audience = audience
        self._changed = asyncio.Event()
        self._preparation: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[bool] | None = None

    @property
    def id(self) -> int:
        """The procedure's id."""
        return self.procedure.id

    @property
    def state(self) -> ProcedureState:
        """The procedure's newest state."""
        return self.procedure.state

    @property
    def stopping(self) -> bool:
        """True once a stop was accepted."""
        return self.procedure.stopping

    @property
    def kernel_alive(self) -> bool:
        """True while there is a process that may act."""
        return self.kernel is not None and self.kernel.alive

    def prepare(self) -> None:
        """Begin to bring the procedure from CREATING to READY; what goes wrong makes it FAILED."""
        self._preparation = asyncio.create_task(self._prepare())

    def run(self, main: ProcedureInput) -> None:
        """Call ``main``; the procedure must be startable."""
        assert self.kernel is not None
        self.kernel.run(main)

    async def wait(self, *states: ProcedureState) -> None:
        """Wait until the procedure is in one of these states, or has ended."""
        while not (self.state in states or self.state.inactive):
            await self._changed.wait()

    async def stop(self) -> bool:
        """End the procedure; whoever asks while it is being done gets the same answer.

        Returns
        -------
        bool
            False when its process outlived SIGKILL.
        """
        if self._ending is None:
            self.learn(lifecycle.StopAccepted(time.time()))
            self._ending = asyncio.create_task(self._stop())
        return await asyncio.shield(self._ending)

    def dismiss(self) -> None:
        """Let the kernel of a procedure that has ended go."""
        if self._ending is None and self.kernel is not None:
            self._ending = asyncio.create_task(self.kernel.stop(self._workshop.ladder))

    async def gone(self) -> None:
        """Wait until the kernel that was dismissed has gone."""
        if self._ending is not None:
            await asyncio.wait([self._ending])

    def learn(self, fact: Fact) -> None:
        """Drive the state machine by a fact, and tell each state that was entered."""
        before = self.procedure
        self.procedure = after = lifecycle.apply(before, fact)
        for state, _ in after.history.process_states[len(before.history.process_states) :]:
            self._audience.entered(self, state)
            self._changed.set()
            self._changed = asyncio.Event()

    async def _prepare(self) -> None:
        try:
            await self._bring_up()
        except Exception as error:
            log.debug("Procedure %d could not be prepared", self.id, exc_info=True)
            self.learn(lifecycle.Failed(time.time(), "".join(traceback.format_exception(error))))

    async def _bring_up(self) -> None:
        workshop, script = self._workshop, self.procedure.script
        python: Path | None = None
        if isinstance(script, GitScript) and script.create_env:
            self.learn(lifecycle.EnvironmentStarted(time.time()))
            self.path, environment = await workshop.sources.environment(script, self._note)
            python = environment.python
            self.learn(lifecycle.EnvironmentFinished(time.time()))
        self.kernel = workshop.kernels.get(python)
        self.kernel.attach(self._hear, self._kernel_ended)
        if not await workshop.kernels.start(self.kernel, python):
            return
        self.learn(lifecycle.KernelReady(time.time()))  # a warm one has said so before
        if isinstance(script, GitScript):
            self.learn(lifecycle.LoadStarted(time.time()))
        if self.path is None:
            self.path = await workshop.sources.fetch(script, self._note)
        self.kernel.prepare(self.id, self.path, self.procedure.calls["init"])

    def _note(self, line: str) -> None:
        self._audience.say(self, announce(topics.ENVIRONMENT_LOG, str(self.id), text=line))

    async def _hear(self, records: list[Record], offset: int) -> None:
        for record in records:
            try:
                meaning = interpret(record, self.id)
            except msgspec.MsgspecError as error:
                log.warning("Procedure %d sent a malformed message of type %s: %s", self.id, record.type, error)
                continue
            match meaning:
                case None:
                    pass
                case Announcement():
                    self._audience.say(self, meaning)
                case Interest():
                    self.interests.add(meaning.topic)
                case _:
                    self._hear_fact(meaning)

    def _hear_fact(self, fact: Fact) -> None:
        assert self.kernel is not None
        match fact:
            case lifecycle.LoadFinished(has_init=False) | lifecycle.CallFinished() | lifecycle.Failed():
                self.kernel.note_idle()
        self.learn(fact)

    def _kernel_ended(self, epitaph: str) -> None:
        self.interests.clear()
        self.learn(lifecycle.KernelExited(time.time(), epitaph))
        self._audience.kernel_gone(self)

    async def _stop(self) -> bool:
        if self._preparation is not None and not self._preparation.done():
            self._preparation.cancel()
            await asyncio.wait([self._preparation])
        stopped = self.kernel is None or await self.kernel.stop(self._workshop.ladder)
        if not stopped:
            self.learn(lifecycle.StopGivenUp(time.time()))
        elif not self.kernel_alive:
            self.learn(lifecycle.KernelExited(time.time(), ""))  # where there was never a process to end
        return stopped
