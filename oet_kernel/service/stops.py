"""Stops of procedures, and the abort script after a stop: its preparation on the same subarray, and its start.

Promises are stored with the stop, so that the next service keeps those that this one cannot.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from oet_kernel import topics
from oet_kernel.errors import AbortFailed, OetError, StopFailed
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


class StopOutcome(Struct, frozen=True):
    """Outcome of a stop."""

    stopped: bool
    """False if the procedure had already ended."""
    aborted: list[ProcedureSummary]
    """Summaries of the abort scripts that were started."""


class Stops:
    """Stop procedures, and run the abort script on the subarrays of those that are to be aborted.

    Parameters
    ----------
    limits
        The abort script and its deadline.
    registry
        Procedures by id.
    subarrays
        Holder of each subarray.
    publisher
        Publishes the completed stop.
    create
        Creates, without waiting, a procedure that is started as soon as it is READY; raises if it cannot.
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
        self._follows: dict[int, Execution] = {}
        """Stopped execution by the id of its abort script's procedure, until that procedure is started."""

    async def stop(self, execution: Execution, *, abort: bool = False, who: str | None = None) -> StopOutcome:
        """Stop a procedure, and run the abort script if that is requested now or was before a restart.

        Parameters
        ----------
        execution
            Execution of a procedure that has not ended.
        abort
            Whether the abort script is to follow.
        who
            Name of the requester.

        Raises
        ------
        StopFailed
            When the kernel's process outlived SIGKILL.
        AbortFailed
            When the procedure was stopped, but the abort script did not start to run.
        """
        abort = self._reserve(execution, abort)
        try:
            if not await execution.ending.stop(abort=abort, who=who):
                assert execution.kernel is not None
                raise StopFailed(
                    f"Cannot stop script with ID {execution.id}: its {execution.kernel.location} survived SIGKILL"
                )
            aborted = await self.abort(execution) if abort else []
        finally:
            if abort:
                self._subarrays.end_reservation(execution.id)
            self._subarrays.release(execution)
        return StopOutcome(stopped=True, aborted=aborted)

    async def abort(self, stopped: Execution) -> list[ProcedureSummary]:
        """Run the abort script on the subarray of a stopped procedure, and publish the stop.

        Parameters
        ----------
        stopped
            The stopped procedure.

        Returns
        -------
        list of ProcedureSummary
            Summary of the abort script's procedure, which is running.

        Raises
        ------
        AbortFailed
            When the abort script did not start to run.
        """
        try:
            return [await self._run(stopped)]
        except OetError:
            self._publish(stopped, self._publisher.summary(stopped.procedure))
            raise
        finally:
            if (abort_id := stopped.stored.row.abort_id) is not None:
                self._follows.pop(abort_id, None)

    def started(self, execution: Execution) -> None:
        """Handle the start of a procedure: the start of an abort script completes the stop before it."""
        stopped = self._follows.pop(execution.id, None)
        if stopped is not None:
            self._publish(stopped, [self._publisher.summary(execution.procedure)])

    def _reserve(self, execution: Execution, wanted: bool) -> bool:
        """Return whether the abort script is to follow a stop; if so, reserve the subarray for it.

        The activity of another procedure on the subarray is not aborted, and no procedure may start there until the
        abort script has it.
        """
        pid = execution.id
        free = self._subarrays.claim(execution.procedure.subarray, pid) == pid
        follows = (wanted or execution.stored.row.abort) and self._script is not None and free
        return follows and self._subarrays.reserve(pid)

    async def _run(self, stopped: Execution) -> ProcedureSummary:
        abort_id = stopped.stored.row.abort_id
        execution = None if abort_id is None else self._registry.get(abort_id)
        if execution is None:
            execution = self._prepare(stopped)
        self._subarrays.hand_over(stopped.procedure.subarray, execution.id)
        self._follows[execution.id] = stopped
        said = f"Stopped script with ID {stopped.id}, but its abort script (ID {execution.id})"
        try:
            async with asyncio.timeout(self._deadline):
                await execution.stored.wait(ProcedureState.RUNNING)
        except TimeoutError:
            late = f"not ready within {self._deadline:g} s"
            await execution.ending.stop(who=f"the service: {late}")
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
        # created and saved in one turn of the event loop: the next service finds both or neither
        command = PrepareProcessCommand(script, ProcedureInput(kwargs=kwargs))
        execution = self._create(command, stopped.procedure.requested_by.get("stop"))
        stopped.stored.update(abort_id=execution.id)
        return execution

    def _publish(self, stopped: Execution, result: Any) -> None:
        if stopped.stored.row.abort:
            stopped.stored.update(abort=False)
            self._publisher.result(topics.STOPPED, stopped.stored.row.request_id, result, stopped.id)
