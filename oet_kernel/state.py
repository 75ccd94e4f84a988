"""The state folder of a service: its lock, the count of ids, a folder for each kernel."""

import os
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from oet_kernel.errors import StateFolderInUse


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
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self._lock = FileLock(path / "lock")
        owner = path / "lock.pid"
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            holder = owner.read_text().strip() if owner.exists() else "unknown"
            raise StateFolderInUse(
                f"State folder {path} is in use by the service with process id {holder}; "
                "stop that one, or give this one another folder with --state-dir"
            ) from None
        owner.write_text(f"{os.getpid()}\n")
        self.runtime = Path(tempfile.mkdtemp(prefix="oet-", dir=os.environ.get("XDG_RUNTIME_DIR")))
        """A private folder for sockets, gone with the service; short, since the path of a socket may have 107 bytes."""

    def next_id(self, kind: str = "procedure") -> int:
        """Give the next id; never one that was given before, a restart included.

        Parameters
        ----------
        kind
            What is numbered; each kind has a count of its own.
        """
        counter = self.path / f"last_{kind}_id"
        last = int(counter.read_text()) if counter.exists() else 0
        fresh = counter.with_suffix(".new")
        fresh.write_text(str(last + 1))
        fresh.replace(counter)
        return last + 1

    def kernel_folder(self) -> Path:
        """Make an empty private folder for a kernel."""
        (self.path / "kernels").mkdir(mode=0o700, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self.path / "kernels", prefix=""))

    def sockets(self, name: str) -> Path:
        """Give the beginning of the paths of a kernel's sockets."""
        return self.runtime / name

    def forget(self, folder: Path) -> None:
        """Remove a kernel's folder."""
        shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Let another service have the folder."""
        shutil.rmtree(self.runtime, ignore_errors=True)
        self._lock.release()
