"""The procedures that are listed: every active one, and the newest that have ended."""

from collections.abc import Iterator, Sequence

from oet_kernel.errors import ResourceNotFound
from oet_kernel.service.execution import Execution


class Registry:
    """Executions by id, in order of creation.

    Parameters
    ----------
    history
        How many that have ended are kept.
    """

    def __init__(self, history: int) -> None:
        self._history = history
        self._executions: dict[int, Execution] = {}
        self._ended: list[int] = []
        """Those that have ended, in that order."""

    def __iter__(self) -> Iterator[Execution]:
        """Go through all, in order of creation; some may be added or forgotten meanwhile."""
        return iter(list(self._executions.values()))

    @property
    def active(self) -> list[Execution]:
        """Those that have not ended."""
        return [execution for execution in self._executions.values() if not execution.state.inactive]

    def add(self, execution: Execution) -> None:
        """List one more."""
        self._executions[execution.id] = execution

    def restore(self, executions: Sequence[Execution], ended: Sequence[int]) -> None:
        """List those of the service before this one.

        Parameters
        ----------
        executions
            In order of creation.
        ended
            Ids of those that have ended, in that order.
        """
        self._executions.update({execution.id: execution for execution in executions})
        self._ended = list(ended)

    def get(self, pid: int) -> Execution | None:
        """Give one; None when it is not listed."""
        return self._executions.get(pid)

    def find(self, pid: int) -> Execution:
        """Give one.

        Raises
        ------
        ResourceNotFound
            When it is not listed.
        """
        if (found := self._executions.get(pid)) is None:
            raise ResourceNotFound.procedure(pid)
        return found

    def retire(self, execution: Execution) -> list[Execution]:
        """Take note that one has ended; gives those that are listed no more, to make room for it."""
        self._ended.append(execution.id)
        forgotten = self._ended[: max(0, len(self._ended) - self._history)]
        del self._ended[: len(forgotten)]
        return [self._executions.pop(pid) for pid in forgotten]
