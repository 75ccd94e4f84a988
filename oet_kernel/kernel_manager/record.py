"""Record of a kernel's process on this machine, by which the next service finds and adopts it."""

from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from oet_kernel.kernel_manager.session import KernelIdentity
from oet_kernel.system.process_identity import read_identity, start_of
from oet_kernel.system.processes import marked

LOCAL = "local"
"""Kind of the kernels on this machine."""


class KernelRecord(Struct, frozen=True, kw_only=True):
    """Process of a kernel on this machine."""

    folder: str
    """The kernel's private folder: journal, connection file, output."""
    pid: int
    started: int
    """Start time of the process, in clock ticks since boot; identifies the process together with the pid."""
    forked: bool
    """Whether a fork server has forked the kernel, and may know its exit status."""

    @property
    def identity(self) -> KernelIdentity:
        """Identity under which a service stores the kernel."""
        return KernelIdentity(LOCAL, self.folder, msgspec.json.encode(self))

    @classmethod
    def of(cls, identity: KernelIdentity) -> Self:
        """Decode the record of a stored identity.

        Raises
        ------
        ValueError, RecursionError
            When the identity has no valid record.
        """
        record = msgspec.json.decode(identity.process or b"", type=cls)
        return msgspec.structs.replace(record, folder=identity.address)  # the folder that was checked


def find_record(folder: Path) -> KernelRecord | None:
    """Find the kernel of a folder, running or ended, whose start was not recorded by any service.

    Parameters
    ----------
    folder
        The kernel's private folder.

    Returns
    -------
    KernelRecord or None
        None when no process was ever started for the folder.
    """
    found = read_identity(folder)
    if found is not None:
        return KernelRecord(folder=str(folder), pid=found.pid, started=found.started, forked=found.forked)
    # a kernel that has not written its identity yet; forked kernels write it within the first millisecond
    for pid in marked(str(folder)).get(str(folder), []):
        if (started := start_of(pid)) is not None:
            return KernelRecord(folder=str(folder), pid=pid, started=started, forked=False)
    return None
