"""Execution of one procedure: the procedure as stored, its kernel, and what brings the one forward by the other."""

import time
from collections.abc import Callable

from oet_kernel import procedure as lifecycle
from oet_kernel.kernel_manager.session import AtWork, KernelSession
from oet_kernel.models import ProcedureInput, ProcedureState
from oet_kernel.procedure import Procedure
from oet_kernel.protocol import RunRequest
from oet_kernel.service.components import Components
from oet_kernel.service.ending import Ending
from oet_kernel.service.kernel_link import KernelLink, identity_of
from oet_kernel.service.kernel_messages import KernelMessages
from oet_kernel.service.preparation import Preparation
from oet_kernel.service.stored_procedure import StoredProcedure
from oet_kernel.store.rows import KernelRow, ProcedureRow


class Execution:
    """Execution of one procedure.

    Parameters
    ----------
    row
        Stored procedure, new or as another service left it.
    components
        Components shared with other executions.
    on_state
        Called with the execution after each new state, which is stored and published.
    on_kernel_end
        Called with the execution when its kernel has ended.
    """

    def __init__(
        self,
        row: ProcedureRow,
        components: Components,
        on_state: Callable[["Execution", ProcedureState], None],
        on_kernel_end: Callable[["Execution"], None],
    ) -> None:
        journal = components.journal
        self.stored = StoredProcedure(row, journal, components.publisher, lambda state: on_state(self, state))
        """Procedure as stored; facts and requests change it."""
        self.link = KernelLink(self.stored, journal, components.limits.kernel_deadline)
        """Link to the kernel."""
        self.messages = KernelMessages(self.stored, self.link, journal, lambda: on_kernel_end(self))
        """Messages of the kernel."""
        self.preparation = Preparation(self.stored, self.link, self.messages, components)
        """Preparation, from CREATING to READY."""
        self.ending = Ending(self.stored, self.link, self.preparation, journal, components.limits.ladder)
        """End of the kernel."""
        self._kernels = components.kernels
        self._sources = components.sources

    @property
    def id(self) -> int:
        """Id of the procedure."""
        return self.stored.id

    @property
    def procedure(self) -> Procedure:
        """Present procedure."""
        return self.stored.procedure

    @property
    def state(self) -> ProcedureState:
        """Newest state of the procedure."""
        return self.stored.state

    @property
    def stopping(self) -> bool:
        """True once a stop is accepted."""
        return self.stored.procedure.stopping

    @property
    def kernel(self) -> KernelSession | None:
        """Session of the kernel; None while the procedure has none."""
        return self.link.session

    @property
    def occupies_subarray(self) -> bool:
        """True while the procedure is running, or its process may still be at work after a stop."""
        at_work = self.state is ProcedureState.UNKNOWN and self.link.alive
        return at_work or ("main" in self.procedure.calls and not self.state.inactive)

    def run(self, main: ProcedureInput) -> None:
        """Send the request to call ``main``; no-op if there is no kernel or the procedure is being stopped."""
        if self.kernel is not None and not self.stopping:
            self.link.begin("main", RunRequest(main))

    async def resume(self, found: KernelRow | None) -> None:
        """Restore the procedure from the state in which another service left it.

        Parameters
        ----------
        found
            Stored row of its kernel; None if it has none.
        """
        identity = None if found is None else self._kernels.find(identity_of(found))
        if found is None or identity is None:
            self._resume_without_process()
            return
        self.link.offset = found.offset
        python = self._sources.python_of(self.id)
        self.link.session = kernel = self._kernels.adopt(identity, found.offset, self._at_work, python)
        self.messages.attach(kernel)
        await self.messages.catch_up(kernel)
        if self.state.inactive or self.stopping:
            return
        pause, begun = self.procedure.pause, not self.stored.preparable
        if pause is not None and (pause.pending == "resume" or (begun and pause.pending == "pause")):
            self.link.pausing.ask_again(kernel, pause)
        if not begun:
            self.preparation.go_on(kernel)
        elif self.state is ProcedureState.READY and "main" in self.procedure.calls:
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
        if self.stored.preparable:
            self.preparation.start()
        else:
            why = "The service ended while the procedure was active, and its kernel was not found afterwards."
            self.stored.learn(lifecycle.KernelExited(time.time(), why))

    async def detach(self) -> None:
        """Detach from the kernel; the procedure goes on without this service."""
        self.link.begun()
        await self.preparation.cancel()
        await self.ending.cancel()
        if self.kernel is not None:
            await self.kernel.detach()
