"""Discovery of a user's services on this machine, and of their tokens.

Each service has a file in a private folder; a search removes the files of services that have ended. Machines may share
a home folder, where process ids of one mean nothing to another: each machine has a folder of its own.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import platformdirs
from msgspec import Struct

from oet_kernel.bounds import NOTE_BYTES, read_file
from oet_kernel.system.files import write_whole
from oet_kernel.system.private_folders import private_folder
from oet_kernel.system.process_identity import start_of


class Service(Struct, frozen=True, kw_only=True):
    """Service that runs on this machine."""

    pid: int
    started: int
    """Start of its process, in clock ticks since the machine's boot; unique together with the pid."""
    url: str
    """URL of the API root."""
    token: str | None
    """Token of the service; None if it requires none."""
    state_dir: str
    serves: bool = True
    """False for a Jupyter server that takes its state folder only at the first request for procedures."""


def announce(url: str, token: str | None, state_dir: str, *, serves: bool = True) -> Path:
    """Write the discovery file of this process's service, for programs of this user.

    Parameters
    ----------
    url
        URL of the API root.
    token
        Token of the service; None if it requires none.
    state_dir
        State folder of the service.
    serves
        Whether the service holds that folder already.

    Returns
    -------
    Path
        Path of the file, for `withdraw`.
    """
    folder = _folder()
    private_folder(folder)
    pid = os.getpid()
    service = Service(pid=pid, started=start_of(pid) or 0, url=url, token=token, state_dir=state_dir, serves=serves)
    path = folder / f"{pid}.json"
    write_whole(path, msgspec.json.encode(service))
    return path


def withdraw(path: Path) -> None:
    """Remove the service's discovery file."""
    path.unlink(missing_ok=True)


def find() -> list[Service]:
    """Return the services of this user on this machine; empty on systems other than Linux.

    Services that hold their state folder come before those that do not yet, each the newest first.
    """
    found: list[Service] = []
    if sys.platform != "linux":
        return found
    for path in _folder().glob("*.json"):
        with suppress(OSError, ValueError):
            if path.lstat().st_uid != os.getuid():
                continue
            service = msgspec.json.decode(read_file(path, NOTE_BYTES), type=Service)
            if start_of(service.pid) == service.started:
                found.append(service)
            else:
                path.unlink()
    return sorted(found, key=lambda service: (service.serves, service.started), reverse=True)


def _folder() -> Path:
    named = os.environ.get("OET_RUNTIME_DIR")
    return Path(named) if named else platformdirs.user_state_path("oet") / "services" / os.uname().nodename
