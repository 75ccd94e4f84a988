"""The journal of a kernel: every message it publishes, appended to a file before it goes anywhere else.

ZeroMQ drops what nobody reads and forgets what was under way when a process dies; a file does neither. The service
reads the file from the offset it has reached, so what was written before a crash, of the kernel or of the service, is
found afterwards. A named pipe beside the file, the *bell*, wakes the service: one byte a record, and a full pipe needs
no further ringing.

A record is one line of JSON::

    {"n": 7, "t": 1601463545.57, "type": "oet_event", "call": "main", "content": {...}}

`n` counts the process's messages from 1 (0 in a forked child, whose records are in order of the file alone), `t` is the
time in Unix seconds, `type` the Jupyter message type, `call` the function that was called last, or ``console`` for what
an attached client has typed.
"""

import errno
import os
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path

JOURNAL = "iopub.jsonl"
"""Name of the journal in a kernel's folder."""
BELL = "bell"
"""Name of the bell in a kernel's folder."""
RETRY_SECONDS = 0.5
"""How long to wait before what found no space on the disk is tried again."""
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
CALL: ContextVar[str | None] = ContextVar("oet_call", default=None)
"""What says something where it is not the function that was called last; None where it is."""


class Journal:
    """Appends records; safe from any thread, in a forked child, and against an interrupt in the middle.

    Parameters
    ----------
    folder
        The kernel's private folder. The bell is made there by whoever listens; without one, nothing is rung.
    """

    def __init__(self, folder: Path) -> None:
        self.call: str | None = None
        self._n = 0
        self._numbered = True
        self._torn = False
        self._lock = threading.Lock()
        self._file = os.open(folder / JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            # read-write, so that it opens and stays usable while nobody reads
            self._bell = os.open(folder / BELL, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            self._bell = -1
        os.register_at_fork(after_in_child=self._in_child)

    def append(self, msg_type: str, content: bytes) -> None:
        """Write one record and ring the bell.

        Parameters
        ----------
        msg_type
            Jupyter message type.
        content
            The message's content, a JSON object on one line.

        Raises
        ------
        OSError
            When the file cannot be written (a full disk): what is published must not be lost unnoticed.
        """
        name = CALL.get() or self.call
        call = f'"{name}"' if name else "null"
        with self._lock:
            if self._numbered:
                self._n += 1
            head = f'{{"n":{self._n},"t":{time.time():.6f},"type":"{msg_type}","call":{call},"content":'
            line = b"".join((b"\n" if self._torn else b"", head.encode(), content, b"}\n"))
            self._torn = True
            written = os.write(self._file, line)
            while written < len(line):
                written += os.write(self._file, line[written:])
            self._torn = False
        self._ring()

    def insist(self, msg_type: str, content: bytes) -> None:
        """Append a record, as often as it has to be tried until the disk has space for it.

        For what nobody could be told of otherwise: how a call has ended, and what was written below Python.

        Parameters
        ----------
        msg_type, content
            As for `append`.
        """
        while True:
            try:
                self.append(msg_type, content)
            except OSError as error:
                if error.errno not in _DISK_FULL:
                    raise
                time.sleep(RETRY_SECONDS)
            else:
                return

    def _ring(self) -> None:
        if self._bell >= 0:
            with suppress(BlockingIOError):  # the pipe is full of rings already
                os.write(self._bell, b"!")

    def _in_child(self) -> None:
        # nothing is held over a fork: whoever held it in the parent is not in the child, and a handler may fork
        self._lock = threading.Lock()
        self._numbered, self._n = False, 0
