"""Holders of subarrays: one procedure at a time runs on each."""

from oet_kernel.service.execution import Execution


class Subarrays:
    """Id of the procedure that holds each subarray in use."""

    def __init__(self) -> None:
        self._holders: dict[str, int] = {}
        self._reserved: set[int] = set()
        """Ids of stopped procedures whose abort scripts are to follow on their subarrays."""

    def claim(self, subarray: str, pid: int) -> int:
        """Claim a subarray for a procedure, if it is free.

        Parameters
        ----------
        subarray
            Name of the subarray.
        pid
            Id of the procedure that claims it.

        Returns
        -------
        int
            Id of the present holder: `pid`, or an earlier holder.
        """
        return self._holders.setdefault(subarray, pid)

    def reserve(self, pid: int) -> bool:
        """Reserve the subarray of a procedure for the abort script that follows it; return False if it is already."""
        if pid in self._reserved:
            return False
        self._reserved.add(pid)
        return True

    def end_reservation(self, pid: int) -> None:
        """End the reservation of the subarray of a procedure, which `release` may release from now on."""
        self._reserved.discard(pid)

    def hand_over(self, subarray: str, pid: int) -> None:
        """Transfer a subarray to a procedure from any holder."""
        self._holders[subarray] = pid

    def release(self, execution: Execution) -> None:
        """Release a procedure's subarray, unless it may still be at work there or an abort script is to follow."""
        subarray, pid = execution.procedure.subarray, execution.id
        if self._holders.get(subarray) == pid and not (execution.occupies_subarray or pid in self._reserved):
            del self._holders[subarray]
