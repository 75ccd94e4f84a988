"""Holders of subarrays: one procedure at a time runs on each."""


class Subarrays:
    """Id of the procedure that holds each subarray in use."""

    def __init__(self) -> None:
        self._holders: dict[str, int] = {}

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

    def hand_over(self, subarray: str, pid: int) -> None:
        """Transfer a subarray to a procedure from any holder."""
        self._holders[subarray] = pid

    def release(self, subarray: str, pid: int) -> None:
        """Release a subarray, if this procedure holds it."""
        if self._holders.get(subarray) == pid:
            del self._holders[subarray]
