"""Starts of procedures: requested ones, and those of procedures that start as soon as they are READY."""

import time

from oet_kernel import procedure as lifecycle
from oet_kernel import topics
from oet_kernel.errors import StartRefused, StoreUnusable
from oet_kernel.models import StartProcessCommand
from oet_kernel.service.acceptance import Acceptance
from oet_kernel.service.execution import Execution
from oet_kernel.service.publisher import EventPublisher
from oet_kernel.service.request_bounds import check_arguments
from oet_kernel.service.resources import Subarrays
from oet_kernel.service.stops import Stops
from oet_kernel.store.journal import Journal


class Starts:
    """Start procedures, one at a time on each subarray.

    Parameters
    ----------
    journal
        Stores that a procedure runs, before it does.
    publisher
        Publishes the requests.
    acceptance
        Decides whether commands are accepted now.
    subarrays
        Holder of each subarray.
    stops
        Completes a stop when its abort script is started.
    exclusive
        True if one procedure at a time runs on a subarray.
    """

    def __init__(
        self,
        journal: Journal,
        publisher: EventPublisher,
        acceptance: Acceptance,
        subarrays: Subarrays,
        stops: Stops,
        *,
        exclusive: bool,
    ) -> None:
        self._journal = journal
        self._publisher = publisher
        self._acceptance = acceptance
        self._subarrays = subarrays
        self._stops = stops
        self._exclusive = exclusive

    async def start(self, execution: Execution, command: StartProcessCommand, who: str | None = None) -> bool:
        """Run ``main`` of a procedure that is READY; return False, without effect, in any other state.

        Parameters
        ----------
        execution
            Execution of the procedure.
        command
            Arguments of ``main``, and whether to start on a subarray that another procedure holds.
        who
            Name of the requester.

        Raises
        ------
        OetError
            As for `ScriptExecutionService.start`.
        """
        if not execution.procedure.startable:
            return False
        self._acceptance.check()
        arguments = command.run_args.over(execution.stored.row.main)
        check_arguments("main", arguments)
        started = lifecycle.Started(time.time(), arguments, who)
        if self._exclusive:
            holder = self._subarrays.claim(lifecycle.apply(execution.procedure, started).subarray, execution.id)
            if holder != execution.id and not command.force_start:
                raise StartRefused(f"Cannot start PID {execution.id}: PID #{holder} is RUNNING")
        request_id = self._publisher.request_id()
        execution.stored.update(request_id=request_id)
        execution.stored.learn(started)
        self._publisher.request(topics.REQUEST_START, request_id, execution.id, cmd=command)
        self._stops.started(execution)
        try:
            await self._journal.settled()  # a running procedure must be stored
        except StoreUnusable:
            execution.stored.learn(lifecycle.StartWithdrawn(time.time()))
            self._subarrays.release(execution)
            raise
        execution.run(arguments)
        return True

    async def autostart(self, execution: Execution) -> None:
        """Start a procedure as its creation has promised; one whose subarray is in use fails.

        Parameters
        ----------
        execution
            Execution of a procedure that is READY.
        """
        while True:
            try:
                who = execution.procedure.requested_by.get("create")
                await self.start(execution, StartProcessCommand(execution.id), who)
            except StartRefused as error:
                execution.stored.learn(lifecycle.Failed(time.time(), error.message))
            except StoreUnusable:
                await self._journal.written()  # the start was promised: try again once the store can be written
                continue
            return
