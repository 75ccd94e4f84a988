"""What activities need of an observation data archive."""

from typing import Any, Protocol

from oet_kernel.errors import ResourceNotFound


class Archive(Protocol):
    """What an archive must be able to do; its calls may block, and are made in a thread."""

    def definition(self, sbd_id: str) -> dict[str, Any]:
        """Give a scheduling block definition.

        Raises
        ------
        ResourceNotFound
            When there is none with this id.
        """

    def record_instance(self, sbd_id: str, activity_name: str) -> str:
        """Record that a block is executed now; gives the id of the instance."""


class NoArchive:
    """What there is when the operator has configured no archive."""

    def definition(self, sbd_id: str) -> dict[str, Any]:
        """Say that there is none."""
        raise ResourceNotFound(
            f"No information available for SBD {sbd_id}: the service has no archive; start it with --archive FOLDER"
        )

    def record_instance(self, sbd_id: str, activity_name: str) -> str:
        """Never called, since there is no definition."""
        raise NotImplementedError
