"""Restoration of the previous service's procedures, and of what it had promised."""

import asyncio
import logging
import time
from collections.abc import Callable

from oet_kernel import procedure as lifecycle
from oet_kernel.models import ProcedureState
from oet_kernel.service.background import Background
from oet_kernel.service.components import Components
from oet_kernel.service.execution import Execution
from oet_kernel.service.kernel_link import identity_of
from oet_kernel.service.registry import Registry
from oet_kernel.service.resources import Subarrays
from oet_kernel.service.starts import Starts
from oet_kernel.service.stops import Stops
from oet_kernel.state.folder import StateFolder
from oet_kernel.store.rows import KernelRow, ProcedureRow
from oet_kernel.system.supervision import report_fault
from oet_kernel.system.threads import STATE

log = logging.getLogger(__name__)

RESUME_SECONDS = 30.0
"""Seconds after which the service answers although not all procedures are restored; that goes on meanwhile."""


class Restoration:
    """Restore procedures from the store, re-attach to running kernels, and go on with accepted stops and starts.

    Parameters
    ----------
    state
        State folder of the service.
    components
        Components that all executions share.
    registry
        Receives the procedures.
    subarrays
        Receives their subarrays.
    starts, stops
        Go on with the starts and stops that the previous service had accepted.
    background
        Runs what nobody awaits.
    restored
        Creates the execution of a stored procedure.
    """

    def __init__(
        self,
        state: StateFolder,
        components: Components,
        registry: Registry,
        subarrays: Subarrays,
        starts: Starts,
        stops: Stops,
        background: Background,
        restored: Callable[[ProcedureRow], Execution],
    ) -> None:
        self._state = state
        self._components = components
        self._registry = registry
        self._subarrays = subarrays
        self._starts = starts
        self._stops = stops
        self._background = background
        self._restored = restored

    async def restore(self, history: int) -> None:
        """Restore all active procedures, and the newest ended ones.

        Parameters
        ----------
        history
            Number of ended procedures to restore.
        """
        rows, kernels = await self._read(history)
        executions = [self._restored(row) for row in sorted(rows, key=lambda row: row.id)]
        self._registry.restore(executions, [row.id for row in rows if row.procedure.state.inactive])
        for execution in self._registry.active:
            if "main" in execution.procedure.calls:
                self._subarrays.claim(execution.procedure.subarray, execution.id)
        await self._components.kernels.sweep([identity_of(kernel) for kernel in kernels.values()])
        resumptions = [self._resume(one, kernels.get(one.id)) for one in executions if not one.state.inactive]
        tasks = [self._background.start("restoring a procedure", one) for one in resumptions]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=RESUME_SECONDS)
            if late:
                log.warning("%d procedures are still being restored; the service answers meanwhile", len(late))
        self._go_on()

    async def _read(self, history: int) -> tuple[list[ProcedureRow], dict[int, KernelRow]]:
        """Read the procedures, and the kernels of the active ones by id; set aside the rows that cannot be used."""
        store, set_aside = self._components.journal.store, self._components.journal.set_aside
        rows = await STATE.run(lambda: [*store.newest_inactive(history), *store.active()])
        active = [row.id for row in rows if not row.procedure.state.inactive]
        kernels = await STATE.run(store.kernels, active)
        for row in (one for one in rows if one.id in store.unreadable):
            self._components.journal.put(row)
            why = str(row.procedure.history.stacktrace)
            set_aside.put("rows", f"procedure {row.id}", store.unreadable.pop(row.id), why)
        for pid, kernel in list(kernels.items()):
            try:
                self._components.kernels.check(identity_of(kernel))
            except ValueError as error:
                set_aside.put("rows", f"procedure {pid}", repr(kernels.pop(pid)).encode(), str(error))
        if self._state.moved:
            set_aside.counts["files"] += len(self._state.moved)
        return rows, kernels

    async def _resume(self, execution: Execution, kernel: KernelRow | None) -> None:
        """Restore one procedure; an error fails this procedure only."""
        try:
            await execution.resume(kernel)
        except Exception as error:
            report_fault(f"restoring procedure {execution.id}", error)
            if kernel is not None:
                await self._components.kernels.end(identity_of(kernel))
            execution.stored.learn(
                lifecycle.Failed(time.time(), f"The procedure could not be restored after a restart: {error!r}")
            )

    def _go_on(self) -> None:
        """Go on with the stops, abort scripts and starts that the previous service had accepted."""
        for execution in self._registry:
            if execution.stopping and not execution.state.inactive:
                self._background.do(self._stops.stop(execution))
            elif execution.stored.row.abort and execution.state is ProcedureState.STOPPED:
                self._background.do(self._stops.abort(execution))
            elif execution.stored.row.autostart and execution.procedure.startable:
                self._background.do(self._starts.autostart(execution))
