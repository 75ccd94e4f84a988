"""Events that scripts publish about their work; their fields are the script's, and are not checked."""

from typing import Annotated

from oet_kernel.models.description import about
from oet_kernel.topics import names
from oet_kernel.topics.data import EventData


class ScriptAnnouncement(EventData, frozen=True, kw_only=True, tag=names.ANNOUNCE):
    """A script has announced something."""

    msg: Annotated[str, about("Text for people.")]


class BlockData(EventData, frozen=True, kw_only=True):
    """Data of an event about a scheduling block."""

    sb_id: Annotated[str, about("Id of the scheduling block.")]


class BlockAllocated(BlockData, frozen=True, kw_only=True, tag="sb.lifecycle.allocated"):
    """Resources were allocated for a scheduling block."""


class ObservationStarted(BlockData, frozen=True, kw_only=True, tag="sb.lifecycle.observation.started"):
    """The observation of a scheduling block has begun."""


class ObservationSucceeded(BlockData, frozen=True, kw_only=True, tag="sb.lifecycle.observation.finished.succeeded"):
    """The observation of a scheduling block has ended as intended."""


class ObservationFailed(BlockData, frozen=True, kw_only=True, tag="sb.lifecycle.observation.finished.failed"):
    """The observation of a scheduling block has failed."""


class SubarrayData(EventData, frozen=True, kw_only=True):
    """Data of an event about a subarray."""

    subarray_id: Annotated[int, about("Id of the subarray.")]


class ResourcesAllocated(SubarrayData, frozen=True, kw_only=True, tag="subarray.resources.allocated"):
    """Resources were allocated to a subarray."""


class ResourcesDeallocated(SubarrayData, frozen=True, kw_only=True, tag="subarray.resources.deallocated"):
    """Resources of a subarray were released."""


class SubarrayConfigured(SubarrayData, frozen=True, kw_only=True, tag="subarray.configured"):
    """A subarray was configured."""


class SubarrayScanStarted(SubarrayData, frozen=True, kw_only=True, tag="subarray.scan.started"):
    """A subarray has begun a scan."""


class SubarrayScanFinished(SubarrayData, frozen=True, kw_only=True, tag="subarray.scan.finished"):
    """A subarray has ended a scan."""


class SubarrayFault(SubarrayData, frozen=True, kw_only=True, tag="subarray.fault"):
    """A subarray has a fault."""

    error: Annotated[str, about("Description of the fault.")]


class ScanData(BlockData, frozen=True, kw_only=True):
    """Data of an event about a scan of a scheduling block."""

    scan_id: Annotated[int, about("Id of the scan.")]


class ConfigurationStarted(ScanData, frozen=True, kw_only=True, tag="scan.lifecycle.configure.started"):
    """The configuration for a scan has begun."""


class ConfigurationComplete(ScanData, frozen=True, kw_only=True, tag="scan.lifecycle.configure.complete"):
    """The configuration for a scan is complete."""


class ConfigurationFailed(ScanData, frozen=True, kw_only=True, tag="scan.lifecycle.configure.failed"):
    """The configuration for a scan has failed."""


class ScanStarted(BlockData, frozen=True, kw_only=True, tag="scan.lifecycle.start"):
    """A scan of a scheduling block has begun."""


class ScanSucceeded(ScanData, frozen=True, kw_only=True, tag="scan.lifecycle.end.succeeded"):
    """A scan has ended as intended."""


class ScanFailed(ScanData, frozen=True, kw_only=True, tag="scan.lifecycle.end.failed"):
    """A scan has failed."""
