"""State folder of a service: its lock, the database, a folder for each kernel."""

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
    """Return the default state folder."""
    return Path(os.environ.get("OET_STATE_DIR") or platformdirs.user_state_path("oet"))


class StateFolder:
    """Folder of a service's persistent data; held by one service at a time.

    Parameters
    ----------
    path
        Path of the folder; created (mode 0700) if it is missing.

    Raises
    ------
    StateFolderInUse
        When another service holds the folder; the message names that service's process.
    StoreUnusable
        When the folder cannot be created or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.layout = Layout(path)
        """Paths in the folder."""
        self._lock = FileLock(self.layout.lock)
        try:
            self._take()
        except OSError as error:
            self._lock.release()
            raise StoreUnusable(
                f"State folder {path} cannot be used: {error.strerror or error}; use a folder of this user on a "
                "writable disk with free space, or give another folder with --state-dir (docs/how-to/recover.md)",
                error.strerror or str(error),
            ) from None

    def _take(self) -> None:
        """Create the folder, and lock it for this service."""
        path = self.path
        private_folder(path)
        owner = self.layout.owner
        self.moved = move_odd(path, [LOCK])  # only a regular file can be locked
        """New paths of entries that stood in the place of the service's files and folders."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            holder = read_note(owner) or "unknown"
            at = next((f" at {one.url}" for one in discovery.find() if str(one.pid) == holder), "")
            raise StateFolderInUse(
                f"State folder {path} is in use by the service with process id {holder}{at}; use that service, "
                "stop it, or give this service another folder with --state-dir (Jupyter server: --OetApp.state_dir)"
            ) from None
        self.moved += move_odd(path)
        owner.write_text(f"{os.getpid()}\n")
        self.runtime = self._runtime()
        """Private folder for sockets, the same after a restart; short, since a socket's path may have 107 bytes."""

    def _runtime(self) -> Path:
        """Return the previous service's folder of sockets, where kernels may still listen, or create one."""
        note = self.layout.runtime
        if (noted := read_note(note)) and _is_private(known := Path(noted)):
            return known
        made = Path(tempfile.mkdtemp(prefix="oet-", dir=os.environ.get("XDG_RUNTIME_DIR")))
        fresh = self.layout.new_runtime
        fresh.write_text(f"{made}\n")
        fresh.replace(note)
        return made

    def kernel_folder(self) -> Path:
        """Create an empty private folder for a kernel."""
        self.layout.kernels.mkdir(mode=0o700, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self.layout.kernels, prefix=""))

    def kernel_folders(self) -> list[Path]:
        """Return the existing folders of kernels."""
        return sorted(one for one in self.layout.kernels.glob("*/") if not one.is_symlink())

    def owns(self, folder: Path) -> bool:
        """Return whether a path is a kernel's folder in this state folder; no other is ever written or removed."""
        kernels = self.layout.kernels
        return os.path.realpath(folder.parent) == os.path.realpath(kernels) and folder.name not in ("", ".", "..")

    def sockets(self, name: str) -> Path:
        """Return the beginning of the paths of a kernel's sockets."""
        return self.runtime / name

    def forget(self, folder: Path) -> None:
        """Remove a kernel's folder and its remaining sockets."""
        if not self.owns(folder):
            log.warning("%s is not a kernel folder of this service, and is kept", folder)
            return
        for socket in self.runtime.glob(f"{folder.name}-*"):
            socket.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def close(self, *, keep_runtime: bool = False) -> None:
        """Release the folder for another service.

        Parameters
        ----------
        keep_runtime
            Whether to keep the folder of sockets, for kernels that are running or starting.
        """
        if not keep_runtime:
            shutil.rmtree(self.runtime, ignore_errors=True)
        self._lock.release()


def find_odd(folder: Path, names: Iterable[str] = (*FILES, *FOLDERS)) -> list[Path]:
    """Find entries of the wrong type in the place of a service's files or folders: a pipe, a broken link.

    Parameters
    ----------
    folder
        Path of the state folder.
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
    """Move entries of the wrong type away, so that a service can work; return their new paths.

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
        log.warning("%s is not of the expected type (file or folder), and was moved to %s", path, target)
    return moved


def read_note(path: Path) -> str:
    """Read a line that a service has written; empty if it is missing or cannot be read."""
    try:
        return read_file(path, _NOTE_BYTES).decode().strip().partition("\0")[0]
    except (OSError, ValueError):
        return ""


def _is_private(folder: Path) -> bool:
    """Return whether a path is a folder that only this user can access, and not a link to one."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == 0o700
