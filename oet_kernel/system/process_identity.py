"""What names a process for good: its id, which the system gives again, and the time of its start, which it does not."""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from oet_kernel.bounds import NOTE_BYTES, read_file
from oet_kernel.protocol import ABILITIES, IDENTITY, PROTOCOL_VERSION, Hello


class Identity(Struct, frozen=True, kw_only=True):
    """What a kernel says of itself."""

    pid: int
    started: int
    """When it started, in clock ticks since the machine did."""
    forked: bool
    """Whether a fork server made it."""
    protocol: int = 0
    """What it speaks with a service, as `oet_kernel.protocol` has it."""
    can: tuple[str, ...] = ABILITIES

    @property
    def hello(self) -> Hello:
        """The kernel's first message."""
        return Hello(protocol=self.protocol, can=self.can)


def start_of(pid: int) -> int | None:
    """Tell when a process started, from what stands behind the last parenthesis of its stat file (field 22).

    Parameters
    ----------
    pid
        Its id.

    Returns
    -------
    int or None
        Clock ticks since the machine started; None when there is no such process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def write_identity(folder: Path, *, forked: bool) -> None:
    """Write down which process this is, so that a service that did not live to see the start finds it.

    Parameters
    ----------
    folder
        The kernel's private folder.
    forked
        Whether a fork server made this process.
    """
    identity = Identity(pid=os.getpid(), started=start_of(os.getpid()) or 0, forked=forked, protocol=PROTOCOL_VERSION)
    fresh = folder / f"{IDENTITY}.new"
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(identity))
    fresh.replace(folder / IDENTITY)


def read_identity(folder: Path) -> Identity | None:
    """Read what a kernel has said of itself; None when it has not, or not yet.

    Parameters
    ----------
    folder
        Its private folder.
    """
    try:
        return msgspec.json.decode(read_file(folder / IDENTITY, NOTE_BYTES), type=Identity)
    except (OSError, ValueError, RecursionError):
        return None
