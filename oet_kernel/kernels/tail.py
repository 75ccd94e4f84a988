"""Reads a kernel's journal as it grows."""

import ctypes
import logging
import os
from pathlib import Path

import msgspec

from oet_kernel.events.mapping import Record
from oet_kernel.kernel.journal import BELL, JOURNAL

log = logging.getLogger(__name__)

_decoder = msgspec.json.Decoder(Record)
_KEEP_AND_PUNCH = 0x1 | 0x2  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
_PUNCH_BYTES = 16 << 20


class JournalTail:
    """The journal in a kernel's folder, from the beginning; makes the bell.

    Parameters
    ----------
    folder
        The kernel's private folder.
    """

    def __init__(self, folder: Path) -> None:
        os.mkfifo(folder / BELL, 0o600)
        # read-write: a bell whose last writer is gone would be readable for ever
        self.bell = os.open(folder / BELL, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._file = os.open(folder / JOURNAL, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._offset = 0
        self._punched = 0

    def hush(self) -> None:
        """Take the rings off the bell; to be done before reading, so that none is missed."""
        try:
            while len(os.read(self.bell, 1 << 16)) == 1 << 16:
                pass
        except BlockingIOError:
            pass

    def read(self, most: int = 1 << 20) -> list[Record]:
        """Take the next whole records.

        Parameters
        ----------
        most
            About how many bytes to read; more, when one record is longer.

        Returns
        -------
        list of Record
            Empty when there are no more.
        """
        chunk = os.pread(self._file, most, self._offset)
        end = chunk.rfind(b"\n") + 1
        while not end and len(chunk) == most:
            most *= 4
            chunk = os.pread(self._file, most, self._offset)
            end = chunk.rfind(b"\n") + 1
        self._offset += end
        if self._offset - self._punched > _PUNCH_BYTES:
            self._release()
        return _decode(chunk[:end])

    def _release(self) -> None:
        """Give the disk back what was read; the file keeps its length, so that offsets stay as they are."""
        libc = ctypes.CDLL(None, use_errno=True)
        libc.fallocate(
            self._file,
            _KEEP_AND_PUNCH,
            ctypes.c_int64(self._punched),
            ctypes.c_int64(self._offset - self._punched),
        )  # a file system that cannot do this keeps the bytes until the folder goes
        self._punched = self._offset

    def close(self) -> None:
        """Close the files; the folder stays."""
        os.close(self.bell)
        os.close(self._file)


def _decode(lines: bytes) -> list[Record]:
    try:
        return _decoder.decode_lines(lines)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return [record for line in lines.splitlines() if (record := _decode_line(line)) is not None]


def _decode_line(line: bytes) -> Record | None:
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if line.strip():
            log.warning("A kernel's journal has a line that is no record, left out: %r", line[:200])
        return None
