"""Registry of the listed procedures: every active one, and the newest ended ones."""

from collections import Counter
from collections.abc import Iterator, Sequence

from oet_kernel.errors import ResourceNotFound
from oet_kernel.models import ProcedureState
from oet_kernel.service.execution import Execution
from oet_kernel.store.rows import Unit


class Registry:
    """Executions by id, in order of creation.

    Parameters
    ----------
    history
        Number of ended procedures that are kept.
    """

    def __init__(self, history: int) -> None:
        self._history = history
        self._executions: dict[int, Execution] = {}
        self._ended: list[int] = []
        """Ids of ended procedures, in the order of their ends."""

    def __iter__(self) -> Iterator[Execution]:
        """Iterate over a copy in order of creation; procedures may be added or forgotten meanwhile."""
        return iter(list(self._executions.values()))

    @property
    def active(self) -> list[Execution]:
        """Executions that have not ended."""
        return [execution for execution in self._executions.values() if not execution.state.inactive]

    def count_states(self) -> Counter[ProcedureState]:
        """Return the number of listed procedures in each state."""
        return Counter(execution.state for execution in self)

    def add(self, execution: Execution) -> None:
        """Add an execution."""
        self._executions[execution.id] = execution

    def restore(self, executions: Sequence[Execution], ended: Sequence[int]) -> None:
        """Restore the executions of the previous service.

        Parameters
        ----------
        executions
            Executions in order of creation.
        ended
            Ids of the ended ones, in the order of their ends.
        """
        self._executions.update({execution.id: execution for execution in executions})
        self._ended = list(ended)

    def committed(self, unit: Unit) -> None:
        """Note the procedures that are now in the database, together with their events."""
        for pid, row in unit.procedures.items():
            if (execution := self._executions.get(pid)) is not None:
                execution.stored.committed = row.procedure

    def get(self, pid: int) -> Execution | None:
        """Return an execution by id; None if it is not listed."""
        return self._executions.get(pid)

    def find(self, pid: int) -> Execution:
        """Return an execution by id.

        Raises
        ------
        ResourceNotFound
            When no such procedure is listed.
        """
        if (found := self._executions.get(pid)) is None:
            raise ResourceNotFound.procedure(pid)
        return found

    def retire(self, execution: Execution) -> list[Execution]:
        """Register the end of an execution; return the executions that were removed to make room for it."""
        self._ended.append(execution.id)
        forgotten = self._ended[: max(0, len(self._ended) - self._history)]
        del self._ended[: len(forgotten)]
        return [self._executions.pop(pid) for pid in forgotten]
