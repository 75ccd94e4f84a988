"""The journal of a kernel: every message it publishes, appended to a file before it is sent anywhere else.

ZeroMQ drops messages without a reader and loses messages in transit when a process dies; a file does neither. The
service reads the file from the offset it has reached, so messages that were written before a crash, of the kernel or of
the service, are found afterwards. A named pipe beside the file, the *bell*, wakes the service: one byte per record, and
a full pipe needs no further ringing.

A record is one line of JSON::

    {"n": 7, "t": 1601463545.57, "type": "oet_event", "call": "main", "content": {...}}

`n` counts the process's messages from 1 (0 in a forked child and in the collector of its output); the order is that of
the file. `t` is the time in Unix seconds, `type` the Jupyter message type, `call` the function that was called last, or
``console`` for code that an attached client has typed. A line is UTF-8 whatever a script has written.

A record is written by one system call, which the file's mode (append) makes atomic among threads and processes. So
there is no lock: a signal handler, a finaliser or a trace function may append during another append, may wait for a
thread that does, may fork or raise. A partly written record is written again, on a line of its own; readers skip torn
lines.

A script that writes faster than the service reads is slowed, once the service is far behind: a stop is complete only
when all that was written before it is read. Nothing is slowed while no service runs, or by a slow listener.
"""

import errno
import itertools
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path

import msgspec

from oet_kernel.bounds import EVENT_BYTES, NAME_CHARACTERS, OutOfBounds, encodable, read_file
from oet_kernel.protocol import BELL, JOURNAL, LIFELINE, READ_OFFSET

RETRY_SECONDS = 0.5
"""Seconds before a write that found the disk full is tried again."""
MOST_UNREAD = 8 << 20
"""Bytes that the service may be behind before the kernel is slowed: some tens of thousands of events."""
PACE_BYTES = 64 << 10
"""Bytes between two looks at how far the service is."""
PACE_SECONDS = 0.1
"""Seconds that a write of the kernel takes longer, once per `PACE_BYTES`, while the service is too far behind."""
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Error numbers of a full disk or an exceeded quota, which pass when there is space again."""
CALL: ContextVar[str | None] = ContextVar("oet_call", default=None)
"""Name of the current context's call where it is not the function that was called last; None where it is."""


class Journal:
    """Appends records; from any thread, in a forked child, and during another append (signal handlers).

    Parameters
    ----------
    folder
        The kernel's private folder. The bell is created there by the reader; without a bell, nothing is rung.
    numbered
        False for a process that writes to the journal of another process.
    """

    def __init__(self, folder: Path, *, numbered: bool = True) -> None:
        self.call: str | None = None
        self._numbers: Iterator[int] = itertools.count(1) if numbered else itertools.repeat(0)
        self._folder = folder
        self._unpaced = 0
        """Bytes that were written since the last look at how far the service is."""
        self._torn = False
        """True while the last line is incomplete."""
        self._file = os.open(folder / JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            # read-write, so that it opens and stays usable while nobody reads
            self._bell = os.open(folder / BELL, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            self._bell = -1
        if numbered:
            os.register_at_fork(after_in_child=self._in_child)

    def append(self, msg_type: str, content: bytes) -> None:
        """Write one record and ring the bell; takes a moment longer while the service is far behind.

        Parameters
        ----------
        msg_type
            Jupyter message type.
        content
            The message's content, a JSON object on one line.

        Raises
        ------
        OSError
            When the file cannot be written (a full disk): a message must not be lost unnoticed.
        OutOfBounds
            When the content is longer than readers accept.
        """
        self._append(msg_type, content)
        self._unpaced += len(content)
        if self._unpaced > PACE_BYTES:
            self._unpaced = 0
            if self._unread() > MOST_UNREAD:
                time.sleep(PACE_SECONDS)

    def _append(self, msg_type: str, content: bytes) -> None:
        if len(content) > EVENT_BYTES:
            raise OutOfBounds(f"A message of {len(content):,} bytes is too large; {EVENT_BYTES:,} are allowed")
        name = CALL.get() or self.call
        call = f'"{name}"' if name else "null"
        if not msg_type.isidentifier():
            msg_type = msgspec.json.encode(encodable(msg_type[:NAME_CHARACTERS])).decode()[1:-1]
        if not content.isascii():
            content = content.decode("utf-8", "replace").encode()
        head = f'{{"n":{next(self._numbers)},"t":{time.time():.6f},"type":"{msg_type}","call":{call},"content":'
        self._write(b"".join((head.encode(), content, b"}\n")))
        self._ring()

    def _write(self, line: bytes) -> None:
        whole = False
        while not whole:
            torn = self._torn
            written = os.write(self._file, b"\n" + line if torn else line)
            whole = written == len(line) + torn
            self._torn = not whole

    def insist(self, msg_type: str, content: bytes) -> None:
        """Append a record, retrying until the disk has space for it.

        For reports without a recipient for an exception: how a call has ended.

        Parameters
        ----------
        msg_type, content
            As for `append`.
        """
        while True:
            try:
                self._append(msg_type, content)
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise
                time.sleep(RETRY_SECONDS)
            else:
                return

    def _unread(self) -> int:
        """Return the number of bytes that the service has not read yet; 0 while no service runs."""
        try:
            # fails without a reader: a service that has ended
            os.close(os.open(self._folder / LIFELINE, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            noted = read_file(self._folder / READ_OFFSET, 8)
            return os.fstat(self._file).st_size - int.from_bytes(noted, "little")
        except (OSError, OutOfBounds):
            return 0

    def close(self) -> None:
        """Close the files."""
        os.close(self._file)
        if self._bell >= 0:
            os.close(self._bell)

    def _ring(self) -> None:
        if self._bell >= 0:
            with suppress(BlockingIOError):  # full: the reader wakes anyway
                os.write(self._bell, b"!")

    def _in_child(self) -> None:
        self._numbers = itertools.repeat(0)
