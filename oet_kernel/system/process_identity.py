"""Process identity: pid and start time, unique even when pids are reused."""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from oet_kernel.bounds import NOTE_BYTES, read_file
from oet_kernel.protocol import ABILITIES, IDENTITY, PROTOCOL_VERSION, Hello
from oet_kernel.system.files import write_whole


class Identity(Struct, frozen=True, kw_only=True):
    """Identity of a kernel's process, and its protocol."""

    pid: int
    started: int
    """Start of the process, in clock ticks since the machine's boot."""
    forked: bool
    """True if a fork server forked it."""
    protocol: int = 0
    """Version of its protocol with the service, see `oet_kernel.protocol`."""
    can: tuple[str, ...] = ABILITIES

    @property
    def hello(self) -> Hello:
        """First message of the kernel."""
        return Hello(protocol=self.protocol, can=self.can)


def start_of(pid: int) -> int | None:
    """Return the start time of a process, from field 22 of its stat file, counted after the last parenthesis.

    Parameters
    ----------
    pid
        Process id.

    Returns
    -------
    int or None
        Clock ticks since the machine's boot; None if there is no such process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def write_identity(folder: Path, *, forked: bool) -> None:
    """Write the identity of this process, so that a service that did not see its start can find it.

    Parameters
    ----------
    folder
        Private folder of the kernel.
    forked
        Whether a fork server forked this process.
    """
    identity = Identity(pid=os.getpid(), started=start_of(os.getpid()) or 0, forked=forked, protocol=PROTOCOL_VERSION)
    write_whole(folder / IDENTITY, msgspec.json.encode(identity))


def read_identity(folder: Path) -> Identity | None:
    """Read the identity of a kernel; None if it has not been written, or not yet.

    Parameters
    ----------
    folder
        Private folder of the kernel.
    """
    try:
        return msgspec.json.decode(read_file(folder / IDENTITY, NOTE_BYTES), type=Identity)
    except (OSError, ValueError, RecursionError):
        return None
