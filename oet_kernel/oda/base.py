"""Interface of an observation data archive, as activities need it."""

from typing import Any, Protocol

from oet_kernel.errors import ResourceNotFound


class Archive(Protocol):
    """Interface of an archive; its methods may block, and are called in a thread."""

    def definition(self, sbd_id: str) -> dict[str, Any]:
        """Return a scheduling block definition.

        Raises
        ------
        ResourceNotFound
            When there is no definition with this id.
        """

    def record_instance(self, sbd_id: str, activity_name: str) -> str:
        """Record the execution of a block; return the id of the instance."""


class NoArchive:
    """Empty archive, used when the operator has configured none."""

    def definition(self, sbd_id: str) -> dict[str, Any]:
        """Raise ResourceNotFound: no archive is configured."""
        raise ResourceNotFound(
            f"No information available for SBD {sbd_id}: the service has no archive; start it with --archive FOLDER"
        )

    def record_instance(self, sbd_id: str, activity_name: str) -> str:
        """Raise NotImplementedError; never called, since there is no definition."""
        raise NotImplementedError
