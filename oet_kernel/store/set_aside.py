"""Data that could not be handled, kept with their bytes for operators in ``set-aside`` in the state folder."""

import logging
import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)

MOST_FILES = 200
"""Maximum number of files; further data are only counted and logged."""
MOST_BYTES = 1 << 20
"""Maximum number of bytes kept in one file: the beginning of the data."""
_MOST_LINES = 20
"""Maximum number of lines in the log about one owner."""


class SetAside:
    """Set aside data that could not be handled, and count them.

    A file holds a line of JSON (``what``, ``why``, ``at`` in Unix seconds, ``bytes``), followed by the bytes.

    Parameters
    ----------
    folder
        Folder of the files; created when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: Counter[str] = Counter()
        """Number of items set aside by this service, by kind."""
        self._lines: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._files: int | None = None
        self._writer: ThreadPoolExecutor | None = None

    def put(self, kind: str, owner: str, data: bytes, why: str) -> None:
        """Set data aside; a thread writes them, never the caller.

        Parameters
        ----------
        kind
            Kind for the count: ``records``, ``rows``, ``files``.
        owner
            Owner of the data, ``procedure 3``.
        data
            Bytes of the data.
        why
            Reason.
        """
        with self._lock:
            self.counts[kind] += 1
            self._lines[owner] += 1
            lines = self._lines[owner]
            number = self.counts.total()
            if number <= MOST_FILES and self._writer is None:
                self._writer = ThreadPoolExecutor(1, "oet-set-aside")
        if lines <= _MOST_LINES:
            last = "; further ones are counted in /health alone" if lines == _MOST_LINES else ""
            log.warning("Set aside in %s (%s of %s): %.300s%s", self.folder, kind, owner, why, last)
        if number <= MOST_FILES and self._writer is not None:
            about = {"what": f"{kind} of {owner}", "why": why[:1000], "at": time.time(), "bytes": len(data)}
            content = b"\n".join((msgspec.json.encode(about), data[:MOST_BYTES]))
            told = "".join(one if one.isalnum() else "-" for one in owner[:40])
            name = f"{kind}-{told}-{time.time_ns()}-{number}"
            self._writer.submit(self._write, name, content)

    def _write(self, name: str, content: bytes) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._files is None:
                self._files = sum(1 for _ in self.folder.iterdir())
            if self._files >= MOST_FILES:
                return
            self._files += 1
            descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(content)
        except OSError as error:
            log.warning("Data that was set aside could not be written to %s: %s", self.folder, error)

    def close(self) -> None:
        """Wait until all data are written."""
        if self._writer is not None:
            self._writer.shutdown()
            self._writer = None
