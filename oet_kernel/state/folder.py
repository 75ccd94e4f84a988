"""The state folder of a service: its lock, the database, a folder for each kernel."""

import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from oet_kernel.bounds import read_file
from oet_kernel.errors import StateFolderInUse, StoreUnusable
from oet_kernel.state import discovery
from oet_kernel.state.layout import FILES, FOLDERS, LOCK, SET_ASIDE, Layout
from oet_kernel.system.private_folders import private_folder

log = logging.getLogger(__name__)

_NOTE_BYTES = 4096


def usual_folder() -> Path:
    """Give the state folder of a service that was told of no other."""
    return Path(os.environ.get("OET_STATE_DIR") or platformdirs.user_state_path("oet"))


class StateFolder:
    """Where a service keeps what must outlast it; one service at a time.

    Parameters
    ----------
    path
        The folder; made (mode 0700) where it is missing.

    Raises
    ------
    StateFolderInUse
        When another service works on it; the message names that service's process.
    StoreUnusable
        When it cannot be made, or nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.layout = Layout(path)
        """The paths in it."""
        self._lock = FileLock(self.layout.lock)
        try:
            self._take()
        except OSError as error:
            self._lock.release()
            raise StoreUnusable(
                f"State folder {path} cannot be used: {error.strerror or error}; make it a folder of this user on a "
                "disk that has space and can be written, or give another with --state-dir (docs/how-to/recover.md)",
                error.strerror or str(error),
            ) from None

    def _take(self) -> None:
        """Make the folder, and see that it is nobody else's."""
        path = self.path
        private_folder(path)
        owner = self.layout.owner
        self.moved = move_odd(path, [LOCK])  # nobody can hold what is no file
        """Where things were moved that stood in the place of files and folders of the service."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            holder = read_note(owner) or "unknown"
            at = next((f" at {one.url}" for one in discovery.find() if str(one.pid) == holder), "")
            raise StateFolderInUse(
                f"State folder {path} is in use by the service with process id {holder}{at}; use that one, stop it, or "
                "give this one another folder with --state-dir (in a Jupyter server: --OetApp.state_dir)"
            ) from None
        self.moved += move_odd(path)
        owner.write_text(f"{os.getpid()}\n")
        self.runtime = self._runtime()
        """A private folder for sockets, the same after a restart; short: the path of a socket may have 107 bytes."""

    def _runtime(self) -> Path:
        """Give the folder of the service before this one, where kernels may still listen, or make one."""
        note = self.layout.runtime
        if (noted := read_note(note)) and _is_private(known := Path(noted)):
            return known
        made = Path(tempfile.mkdtemp(prefix="oet-", dir=os.environ.get("XDG_RUNTIME_DIR")))
        fresh = self.layout.new_runtime
        fresh.write_text(f"{made}\n")
        fresh.replace(note)
        return made

    def kernel_folder(self) -> Path:
        """Make an empty private folder for a kernel."""
        self.layout.kernels.mkdir(mode=0o700, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self.layout.kernels, prefix=""))

    def kernel_folders(self) -> list[Path]:
        """List the folders of kernels that were made and not forgotten."""
        return sorted(one for one in self.layout.kernels.glob("*/") if not one.is_symlink())

    def owns(self, folder: Path) -> bool:
        """Return whether a path is that of a kernel's folder in here; no other is ever written to, or removed."""
        kernels = self.layout.kernels
        return os.path.realpath(folder.parent) == os.path.realpath(kernels) and folder.name not in ("", ".", "..")

    def sockets(self, name: str) -> Path:
        """Give the beginning of the paths of a kernel's sockets."""
        return self.runtime / name

    def forget(self, folder: Path) -> None:
        """Remove a kernel's folder, and what sockets it has left."""
        if not self.owns(folder):
            log.warning("%s is no folder of a kernel of this service, and stays", folder)
            return
        for socket in self.runtime.glob(f"{folder.name}-*"):
            socket.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def close(self, *, keep_runtime: bool = False) -> None:
        """Let another service have the folder.

        Parameters
        ----------
        keep_runtime
            Leave the folder of sockets, for kernels that are at work or on their way.
        """
        if not keep_runtime:
            shutil.rmtree(self.runtime, ignore_errors=True)
        self._lock.release()


def find_odd(folder: Path, names: Iterable[str] = (*FILES, *FOLDERS)) -> list[Path]:
    """Find what stands in the place of a file or a folder of a service, and is none: a pipe, a broken link.

    Parameters
    ----------
    folder
        The state folder.
    names
        Names to look at.
    """
    odd = []
    for name in names:
        path = folder / name
        if os.path.lexists(path) and not (path.is_file() if name in FILES else path.is_dir()):
            odd.append(path)
    return odd


def move_odd(folder: Path, names: Iterable[str] = (*FILES, *FOLDERS)) -> list[Path]:
    """Move such things away, so that a service can work; return where they are.

    Parameters
    ----------
    folder
        The state folder.
    names
        Names to look at.
    """
    moved = []
    for path in sorted(find_odd(folder, names), key=lambda one: one.name != SET_ASIDE):
        place = folder / SET_ASIDE
        if path.name != SET_ASIDE:
            place.mkdir(mode=0o700, exist_ok=True)
        target = (
            path.with_name(f"{SET_ASIDE}-{time.time_ns()}")
            if path == place
            else place / f"{path.name}-{time.time_ns()}"
        )
        path.rename(target)
        moved.append(target)
        log.warning("%s is not what a service has there, and was moved to %s", path, target)
    return moved


def read_note(path: Path) -> str:
    """Read a line that a service has left; empty where there is none that can be read."""
    try:
        return read_file(path, _NOTE_BYTES).decode().strip().partition("\0")[0]
    except (OSError, ValueError):
        return ""


def _is_private(folder: Path) -> bool:
    """Tell whether a path is a folder that only this user can reach into, and no link to one."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == 0o700
