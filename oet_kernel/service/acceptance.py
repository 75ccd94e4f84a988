"""Acceptance of commands: none is accepted while the service shuts down, or while its store cannot be written."""

from oet_kernel.errors import ShuttingDown
from oet_kernel.store.journal import Journal


class Acceptance:
    """Acceptance of the commands that have a kernel do something new.

    Parameters
    ----------
    journal
        Stores events and procedures.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._closing = False

    def check(self) -> None:
        """Raise if commands cannot be accepted now.

        Raises
        ------
        ShuttingDown
            When the service is shutting down.
        StoreUnusable
            When the store cannot be written.
        """
        if self._closing:
            raise ShuttingDown("The service is shutting down and takes no new procedures")
        if self._journal.trouble is not None:
            raise self._journal.trouble

    def end(self) -> None:
        """Accept no more commands."""
        self._closing = True
