"""Reader of a kernel's journal, which follows it as it grows."""

import asyncio
import ctypes
import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from oet_kernel.bounds import RECORD_BYTES
from oet_kernel.protocol import BELL, COLLECTED, JOURNAL, LIFELINE, READ_OFFSET, UNREADABLE, Record

_decoder = msgspec.json.Decoder(Record)
_BEGINNING = b'{"n":'
_NO_RECORD = (msgspec.DecodeError, UnicodeError, RecursionError)
_KEEP_AND_PUNCH = 0x1 | 0x2  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
_PUNCH_BYTES = 16 << 20
_NOTE_BYTES = 1 << 20
"""Bytes after which the kernel is told how much was read."""
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
"""Mode of opening a file, in which a named pipe in its place is not waited for."""
_SHOWN_BYTES = 1 << 16
"""Bytes of an overlong line that are set aside: its beginning."""
_BEGINNINGS = 16
"""Number of places in a torn line that are tried as the beginning of a record."""


class JournalReader:
    """Reader of the journal in a kernel's folder; creates journal, bell and lifeline where they are missing.

    Parameters
    ----------
    folder
        The kernel's private folder.
    offset
        Offset in bytes to begin at: the end of a record.
    """

    def __init__(self, folder: Path, offset: int = 0) -> None:
        # read-write: a pipe whose last writer is gone would be readable for ever
        self.bell = _open_pipe(folder / BELL)
        self._lifeline = _open_pipe(folder / LIFELINE)
        os.utime(self._lifeline)
        self._file = os.open(folder / JOURNAL, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.offset = offset
        """Offset in bytes behind the records that were read."""
        self.behind = False
        """True while more of an overlong line must be skipped, although `read` returned no record."""
        self._passing = False
        """True while the end of an overlong line was not reached."""
        self._folder = folder
        self._noted = 0
        self._note()
        self._punched = 0
        self._listening = False
        self._rung: asyncio.Future[None] | None = None

    async def rung(self) -> None:
        """Wait until the bell has rung since the previous wait."""
        loop = asyncio.get_running_loop()
        if not self._listening:
            self._listening = True
            loop.add_reader(self.bell, self._on_bell, loop)
        self._rung = loop.create_future()
        await self._rung

    def _on_bell(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._rung is None or self._rung.done():
            # no waiter: each record would wake a service that is behind; it finds the rings at its next wait
            loop.remove_reader(self.bell)
            self._listening = False
        else:
            self.hush()  # before the journal is read, so that no record is missed
            self._rung.set_result(None)

    def hush(self) -> None:
        """Empty the bell's pipe."""
        try:
            while len(os.read(self.bell, 1 << 16)) == 1 << 16:
                pass
        except BlockingIOError:
            pass

    def read(self, most: int = 1 << 20) -> list[Record]:
        """Read the next whole records; the disk space of those read before is freed.

        Parameters
        ----------
        most
            Number of bytes to read, about; more for a longer record. A record beyond `RECORD_BYTES` is skipped.

        Returns
        -------
        list of Record
            Empty when there are no more; an invalid record is replaced by one of the type `UNREADABLE`.
        """
        records: list[Record] = []
        while not records:  # nothing but empty lines is not the end
            if self.offset - self._punched > _PUNCH_BYTES:
                self._release()
            chunk = os.pread(self._file, most, self.offset)
            if self._passing:
                chunk = self._pass(chunk)
                if self.behind:
                    break
            end = chunk.rfind(b"\n") + 1
            while not end and len(chunk) >= most and most < RECORD_BYTES:
                most = min(4 * most, RECORD_BYTES)
                chunk = os.pread(self._file, most, self.offset)
                end = chunk.rfind(b"\n") + 1
            if not end and len(chunk) >= RECORD_BYTES:
                self._passing, end = True, len(chunk)
                records = [_unreadable(chunk[:_SHOWN_BYTES])]
            elif end:
                records = _decode(chunk[:end])
            else:
                break
            self.offset += end
        if self.offset - self._noted >= _NOTE_BYTES:
            self._note()
        return records

    def _note(self) -> None:
        """Note how much was read, for the kernel, which is slowed where that is too little."""
        self._noted = self.offset
        with suppress(OSError):  # as on a full disk
            note = os.open(self._folder / READ_OFFSET, _WRITE, 0o600)
            with open(note, "wb", buffering=0) as file:
                file.write(self.offset.to_bytes(8, "little"))

    def _pass(self, chunk: bytes) -> bytes:
        """Remove the rest of an overlong line from the beginning of a chunk."""
        end = chunk.find(b"\n") + 1
        self._passing = not end
        self.behind = self._passing and bool(chunk)
        self.offset += end or len(chunk)
        return chunk[end:] if end else b""

    def ring(self) -> None:
        """Ring the bell: wake the waiter of `rung`."""
        with suppress(BlockingIOError):
            os.write(self.bell, b"!")

    async def collected(self, deadline: float) -> bool:
        """Wait until the collector has journaled all output of an ended kernel.

        Parameters
        ----------
        deadline
            Seconds.

        Returns
        -------
        bool
            True when it has, or never began; False after the deadline.
        """
        try:
            held = os.open(self._folder / COLLECTED, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # the kernel ended before it had a collector
            return True
        loop = asyncio.get_running_loop()
        released = asyncio.Event()
        try:
            while True:
                try:
                    os.read(held, 1)
                    return True
                except BlockingIOError:
                    loop.add_reader(held, released.set)
                    await asyncio.wait_for(released.wait(), deadline)
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(held)
            os.close(held)

    def told_ready(self) -> bool:
        """Return whether the kernel had announced that it takes requests before the reader's offset."""
        head = os.pread(self._file, min(self.offset, 1 << 16), 0)
        return head[:1] == b"\0" or b'"type":"oet_kernel"' in head  # its disk space was freed, long after that

    def last_written(self) -> float:
        """Return the time of the last write to the journal, in Unix seconds."""
        return os.fstat(self._file).st_mtime

    def _release(self) -> None:
        """Free the disk space of the records that were read; the file keeps its length, so offsets stay valid."""
        libc = ctypes.CDLL(None, use_errno=True)
        libc.fallocate(
            self._file,
            _KEEP_AND_PUNCH,
            ctypes.c_int64(self._punched),
            ctypes.c_int64(self.offset - self._punched),
        )  # on file systems without this call the space is freed with the folder
        self._punched = self.offset

    def close(self) -> None:
        """Close the files; the folder stays."""
        if self.bell >= 0:
            if self._listening:
                asyncio.get_running_loop().remove_reader(self.bell)
            for descriptor in (self.bell, self._lifeline, self._file):
                os.close(descriptor)
            self.bell = -1


def _open_pipe(path: Path) -> int:
    with suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def _decode(lines: bytes) -> list[Record]:
    try:
        return _decoder.decode_lines(lines)
    except _NO_RECORD:
        return [record for line in lines.split(b"\n") if line.strip(b"\0 ") for record in (_decode_line(line),)]


def _decode_line(line: bytes) -> Record:
    # after a process that ended within a line, or a full disk, the next record continues the torn line
    begin = line.find(_BEGINNING)
    for _ in range(_BEGINNINGS):
        if begin < 0:
            break
        with suppress(*_NO_RECORD):
            return _decoder.decode(line[begin:])
        begin = line.find(_BEGINNING, begin + 1)
    return _unreadable(line)


def _unreadable(line: bytes) -> Record:
    return Record(0, time.time(), UNREADABLE, None, msgspec.Raw(line))
