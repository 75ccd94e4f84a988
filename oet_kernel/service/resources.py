"""Who has each subarray: one procedure at a time."""


class Subarrays:
    """The procedure that has each subarray which is in use."""

    def __init__(self) -> None:
        self._holders: dict[str, int] = {}

    def claim(self, subarray: str, pid: int) -> int:
        """Take a subarray if it is free.

        Parameters
        ----------
        subarray
            Its name.
        pid
            The procedure that wants it.

        Returns
        -------
        int
            The procedure that has it now: `pid`, or whoever had it before.
        """
        return self._holders.setdefault(subarray, pid)

    def hand_over(self, subarray: str, pid: int) -> None:
        """Give a subarray to a procedure, whoever has it."""
        self._holders[subarray] = pid

    def release(self, subarray: str, pid: int) -> None:
        """Free a subarray, if this procedure has it."""
        if self._holders.get(subarray) == pid:
            del self._holders[subarray]
