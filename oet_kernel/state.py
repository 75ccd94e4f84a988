"""The state folder of a service: its lock, the count of ids, a folder for each procedure."""

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
        # short: the path of a socket may have 107 bytes
        self._sockets = Path(tempfile.mkdtemp(prefix="oet-", dir=os.environ.get("XDG_RUNTIME_DIR")))

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

    def procedure_folder(self, pid: int) -> Path:
        """Make an empty private folder for a procedure."""
        folder = self.path / "procedures" / str(pid)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        return folder

    def sockets(self, pid: int) -> Path:
        """Give the beginning of the paths of a procedure's sockets."""
        return self._sockets / str(pid)

    def forget(self, pid: int) -> None:
        """Remove a procedure's folder."""
        shutil.rmtree(self.path / "procedures" / str(pid), ignore_errors=True)

    def close(self) -> None:
        """Let another service have the folder."""
        shutil.rmtree(self._sockets, ignore_errors=True)
        self._lock.release()
