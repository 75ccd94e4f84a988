"""The abort script that follows a stop: prepared on the subarray of what was stopped, started, and told of.

All that was promised is written down with the stop, so that the next service keeps it where this one cannot.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from oet_kernel import topics
from oet_kernel.errors import AbortFailed, OetError
from oet_kernel.models import (
    FileSystemScript,
    PrepareProcessCommand,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
)
from oet_kernel.service.execution import Execution
from oet_kernel.service.publisher import EventPublisher
from oet_kernel.service.registry import Registry
from oet_kernel.service.resources import Subarrays
from oet_kernel.settings import Limits


class Aborts:
    """Runs the abort script.

    Parameters
    ----------
    limits
        Which script, and how long it has.
    registry
        Where its procedures are found again.
    subarrays
        Who has which.
    publisher
        Tells of the stop that was carried out.
    create
        Creates a procedure that is started as soon as it is READY, at once; refuses where that cannot be.
    """

    def __init__(
        self,
        limits: Limits,
        registry: Registry,
        subarrays: Subarrays,
        publisher: EventPublisher,
        create: Callable[[PrepareProcessCommand, str | None], Execution],
    ) -> None:
        self._script = limits.abort_script
        self._deadline = limits.abort_deadline
        self._registry = registry
        self._subarrays = subarrays
        self._publisher = publisher
        self._create = create
        self._kept: set[int] = set()
        self._follows: dict[int, Execution] = {}
        """What was stopped, by the id of the abort script's procedure, until that is started."""

    def keeps(self, pid: int) -> bool:
        """Tell whether the subarray of a procedure is kept for the abort script that follows it."""
        return pid in self._kept

    def take(self, execution: Execution, wanted: bool) -> bool:
        """Say whether a stop is to be followed by the abort script, and keep the subarray for it.

        What somebody else does on the subarray is not to be aborted; and until the abort script has it, nobody may
        start anything there.

        Parameters
        ----------
        execution
            What is stopped.
        wanted
            Whether whoever stops it wants that.
        """
        pid = execution.id
        free = self._subarrays.claim(execution.procedure.subarray, pid) == pid
        if not (wanted or execution.abort) or self._script is None or not free or pid in self._kept:
            return False
        self._kept.add(pid)
        return True

    def release(self, execution: Execution) -> None:
        """Keep the subarray no longer."""
        self._kept.discard(execution.id)

    async def run(self, stopped: Execution) -> list[ProcedureSummary]:
        """Run the abort script on the subarray of a procedure that was stopped, and tell of the stop.

        Parameters
        ----------
        stopped
            The procedure.

        Returns
        -------
        list of ProcedureSummary
            The abort script's procedure, which runs.

        Raises
        ------
        AbortFailed
            When it did not get to run.
        """
        try:
            return [await self._run(stopped)]
        except OetError:
            self._tell(stopped, self._publisher.summary(stopped.procedure))
            raise
        finally:
            if stopped.abort_id is not None:
                self._follows.pop(stopped.abort_id, None)

    def started(self, execution: Execution) -> None:
        """Take note that a procedure is started: with an abort script's start the stop before it is complete."""
        stopped = self._follows.pop(execution.id, None)
        if stopped is not None:
            self._tell(stopped, [self._publisher.summary(execution.procedure)])

    async def _run(self, stopped: Execution) -> ProcedureSummary:
        execution = None if stopped.abort_id is None else self._registry.get(stopped.abort_id)
        if execution is None:
            execution = self._prepare(stopped)
        self._subarrays.hand_over(stopped.procedure.subarray, execution.id)
        self._follows[execution.id] = stopped
        said = f"Stopped script with ID {stopped.id}, but its abort script (ID {execution.id})"
        try:
            async with asyncio.timeout(self._deadline):
                await execution.wait(ProcedureState.RUNNING)
        except TimeoutError:
            late = f"not ready within {self._deadline:g} s"
            await execution.stop(who=f"the service: {late}")
            raise AbortFailed(f"{said} was {late}") from None
        if "main" not in execution.procedure.calls:
            trace = execution.procedure.history.stacktrace
            raise AbortFailed(f"{said} became {execution.state.name} before it could run: {trace}")
        return self._publisher.summary(execution.procedure)

    def _prepare(self, stopped: Execution) -> Execution:
        assert self._script is not None
        subarray_id = stopped.procedure.subarray_id
        kwargs = {} if subarray_id is None else {"subarray_id": subarray_id}
        script = FileSystemScript(script_uri=self._script.resolve().as_uri())
        # created and remembered in one turn of the event loop: a service that comes after knows both or neither
        command = PrepareProcessCommand(script, ProcedureInput(kwargs=kwargs))
        execution = self._create(command, stopped.procedure.requested_by.get("stop"))
        stopped.abort_id = execution.id
        stopped.save()
        return execution

    def _tell(self, stopped: Execution, result: Any) -> None:
        if stopped.abort:
            stopped.abort = False
            stopped.save()
            self._publisher.result(topics.STOPPED, stopped.request_id, result, stopped.id)
