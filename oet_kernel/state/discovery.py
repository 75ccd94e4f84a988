"""How programs of a user find the services that run on this machine, and their tokens.

Each service keeps a file of its own in a private folder; a file whose service is gone is removed by whoever finds it.
Machines may share a home folder, and a process id of one means nothing to another: each has a folder of its own.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import platformdirs
from msgspec import Struct

from oet_kernel.system.private_folders import private_folder
from oet_kernel.system.process_identity import start_of


class Service(Struct, frozen=True, kw_only=True):
    """A service that runs on this machine."""

    pid: int
    started: int
    """When its process started, in ticks since the machine did; with the pid it names the process for good."""
    url: str
    """API root."""
    token: str | None
    """None where none is asked for."""
    state_dir: str
    serves: bool = True
    """False for a Jupyter server that was not asked for procedures yet, and takes its state folder when it is."""


def announce(url: str, token: str | None, state_dir: str, *, serves: bool = True) -> Path:
    """Let programs of this user find the service that this process is.

    Parameters
    ----------
    url
        API root.
    token
        The token that it asks for.
    state_dir
        Its state folder.
    serves
        Whether it has that folder already.

    Returns
    -------
    Path
        The file that says so, for `withdraw`.
    """
    folder = _folder()
    private_folder(folder)
    pid = os.getpid()
    service = Service(pid=pid, started=start_of(pid) or 0, url=url, token=token, state_dir=state_dir, serves=serves)
    path = folder / f"{pid}.json"
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(service))
    fresh.replace(path)
    return path


def withdraw(path: Path) -> None:
    """Let nobody find the service any more."""
    path.unlink(missing_ok=True)


def find() -> list[Service]:
    """List the services of this user that run on this machine; none where none can run.

    Those that serve come before those that wait to be asked, the newest first.
    """
    found: list[Service] = []
    if sys.platform != "linux":
        return found
    for path in _folder().glob("*.json"):
        with suppress(OSError, msgspec.DecodeError):
            if path.lstat().st_uid != os.getuid():
                continue
            service = msgspec.json.decode(path.read_bytes(), type=Service)
            if start_of(service.pid) == service.started:
                found.append(service)
            else:
                path.unlink()
    return sorted(found, key=lambda service: (service.serves, service.started), reverse=True)


def _folder() -> Path:
    named = os.environ.get("OET_RUNTIME_DIR")
    return Path(named) if named else platformdirs.user_state_path("oet") / "services" / os.uname().nodename
