"""Creation of procedures: from a command, and from the rows of the previous service."""

import time
from collections.abc import Callable

from oet_kernel import procedure as lifecycle
from oet_kernel import topics
from oet_kernel.errors import TooManyKernels
from oet_kernel.models import PrepareProcessCommand, ProcedureInput, ProcedureState
from oet_kernel.service.acceptance import Acceptance
from oet_kernel.service.components import Components
from oet_kernel.service.execution import Execution
from oet_kernel.service.post_mortem import KeptKernels
from oet_kernel.service.registry import Registry
from oet_kernel.store.rows import ProcedureRow


class Creation:
    """Create procedures, and start to prepare them.

    Parameters
    ----------
    components
        Components that all executions share.
    registry
        Receives the new procedures.
    kept
        Kernels of failed procedures, which make room for new ones.
    acceptance
        Decides whether commands are accepted now.
    on_state
        Called with an execution after each new state of its procedure, which is stored and published.
    on_kernel_end
        Called with an execution when its kernel has ended.
    """

    def __init__(
        self,
        components: Components,
        registry: Registry,
        kept: KeptKernels,
        acceptance: Acceptance,
        on_state: Callable[[Execution, ProcedureState], None],
        on_kernel_end: Callable[[Execution], None],
    ) -> None:
        self._components = components
        self._registry = registry
        self._kept = kept
        self._acceptance = acceptance
        self._kernels = components.limits.kernels
        self._on_state = on_state
        self._on_kernel_end = on_kernel_end

    def make_room(self) -> None:
        """End kept kernels until there is room for one more active procedure.

        Raises
        ------
        TooManyKernels
            When there are too many active procedures.
        """
        alive = len(self._registry.active)
        if alive >= self._kernels:
            raise TooManyKernels(
                f"Cannot create a procedure: {alive} are active, and {self._kernels} are allowed; "
                "stop a procedure, or raise OetApp.max_kernels"
            )
        self._kept.make_room(self._kernels - alive - 1)

    def create(
        self,
        command: PrepareProcessCommand,
        main: ProcedureInput,
        planned: ProcedureInput | None = None,
        *,
        autostart: bool,
        who: str | None,
        repository: str | None = None,
    ) -> Execution:
        """Create a procedure; its preparation continues after this returns.

        Parameters
        ----------
        command
            Script, and arguments of its ``init``.
        main
            Arguments of ``main`` where its start gives none.
        planned
            Arguments that its start is going to give, to be checked once the script is fetched; None if unknown.
        autostart
            Start the procedure as soon as it is READY.
        who
            Name of the requester.
        repository
            Address of the script's repository with its secret credentials; None for a file.
        """
        publisher = self._components.publisher
        pid = self._components.journal.next_id("procedure")
        request_id = publisher.request_id()
        publisher.request(topics.REQUEST_CREATE, request_id, pid, cmd=command)
        procedure = lifecycle.create(pid, command.script, command.init_args, time.time(), who)
        row = ProcedureRow(
            procedure=procedure, main=main, request_id=request_id, autostart=autostart, repository=repository
        )
        execution = self.restored(row)
        if planned is not None:
            execution.preparation.planned = planned
        self._registry.add(execution)
        execution.stored.open()
        publisher.result(topics.CREATED, request_id, publisher.summary(procedure), pid)
        execution.preparation.start()
        return execution

    def create_abort(self, command: PrepareProcessCommand, who: str | None) -> Execution:
        """Create the procedure of an abort script, which is started as soon as it is READY; raise if that cannot be."""
        self._acceptance.check()
        return self.create(command, ProcedureInput(), autostart=True, who=who)

    def restored(self, row: ProcedureRow) -> Execution:
        """Create the execution of a stored procedure."""
        return Execution(row, self._components, self._on_state, self._on_kernel_end)
