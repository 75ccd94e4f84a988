"""The state folder of a service: its lock, the database, a folder for each kernel."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from oet_kernel import discovery
from oet_kernel.errors import StateFolderInUse, StoreUnusable
from oet_kernel.folders import private_folder


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
        self._lock = FileLock(path / "lock")
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
        owner = path / "lock.pid"
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            holder = owner.read_text().strip() if owner.exists() else "unknown"
            at = next((f" at {one.url}" for one in discovery.find() if str(one.pid) == holder), "")
            raise StateFolderInUse(
                f"State folder {path} is in use by the service with process id {holder}{at}; use that one, stop it, or "
                "give this one another folder with --state-dir (in a Jupyter server: --OetApp.state_dir)"
            ) from None
        owner.write_text(f"{os.getpid()}\n")
        self.runtime = self._runtime()
        """A private folder for sockets, the same after a restart; short: the path of a socket may have 107 bytes."""

    def _runtime(self) -> Path:
        """Give the folder of the service before this one, where kernels may still listen, or make one."""
        note = self.path / "runtime"
        if note.exists() and _is_private(known := Path(note.read_text().strip())):
            return known
        made = Path(tempfile.mkdtemp(prefix="oet-", dir=os.environ.get("XDG_RUNTIME_DIR")))
        fresh = note.with_suffix(".new")
        fresh.write_text(f"{made}\n")
        fresh.replace(note)
        return made

    def kernel_folder(self) -> Path:
        """Make an empty private folder for a kernel."""
        (self.path / "kernels").mkdir(mode=0o700, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self.path / "kernels", prefix=""))

    def kernel_folders(self) -> list[Path]:
        """List the folders of kernels that were made and not forgotten."""
        return sorted((self.path / "kernels").glob("*/"))

    def sockets(self, name: str) -> Path:
        """Give the beginning of the paths of a kernel's sockets."""
        return self.runtime / name

    def forget(self, folder: Path) -> None:
        """Remove a kernel's folder, and what sockets it has left."""
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


def _is_private(folder: Path) -> bool:
    """Tell whether a path is a folder that only this user can reach into, and no link to one."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == 0o700
