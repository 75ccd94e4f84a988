"""Output of one kernel, as its collector reads it.

On its request socket a kernel asks::

    -> [n, "main", true, false]  journal the content of the pipes; then set the call that later output belongs to,
                                 and whether clients are attached; whether this was the end of a step
    <- n                         done

Further threads of a kernel send request sockets of their own in a message on its first one: so they share no lock.

The bytes in a pipe are read without removing them, journaled, and only then removed. So all bytes of an empty pipe are
in the journal, and bytes that a collector has not journaled when it dies remain for the next reader.
"""

import array
import codecs
import ctypes
import errno
import fcntl
import os
import select
import socket
import sys
import termios
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from oet_kernel.kernel.journal import DISK_FULL, Journal
from oet_kernel.kernel.readiness import Readiness
from oet_kernel.protocol import COLLECTED

STREAMS = ("stdout", "stderr")
"""Names of the streams, by the index with which texts for attached clients begin."""
_CHUNK = 64 << 10
_SHOWN_CHARACTERS = 8 << 10
_MOST_TO_SHOW = 1000
"""Texts of about `_SHOWN_CHARACTERS` that are kept for slow clients; the journal has them all."""
_SPLICE_F_NONBLOCK = 2
_EDGE = select.EPOLLIN | select.EPOLLET
"""Edge-triggered, so that pipes are reported in the order in which they were written to."""
_libc = ctypes.CDLL(None, use_errno=True)


class Request(msgspec.Struct, array_like=True):
    """A kernel's request to its collector."""

    number: int
    """Number of the answer; 0 where the kernel does not wait for one, since the pipes were empty."""
    call: str | None
    """Call that later output belongs to; None outside of calls."""
    attached: bool
    """Whether clients are attached, to which output is shown."""
    whole: bool
    """Whether the step has ended, so that no further bytes can complete a partial character."""


def waiting(pipe: int) -> int:
    """Return the number of unread bytes in a pipe.

    Parameters
    ----------
    pipe
        Descriptor of either end.
    """
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


class ScratchPipe:
    """A pipe into which the content of other pipes is copied, to read it without removing it."""

    def __init__(self) -> None:
        self._scratch, self._to_scratch = os.pipe()

    def look(self, pipe: int) -> bytes:
        """Return the content of a pipe, `_CHUNK` bytes at most, without removing it."""
        count = _libc.tee(pipe, self._to_scratch, ctypes.c_size_t(_CHUNK), _SPLICE_F_NONBLOCK)
        if count < 0:
            number = ctypes.get_errno()
            if number == errno.EAGAIN:
                return b""
            raise OSError(number, os.strerror(number))
        parts = []
        while count > 0:
            parts.append(os.read(self._scratch, count))
            count -= len(parts[-1])
        return b"".join(parts)


class _Pipe:
    """The pipe of one of a kernel's streams."""

    def __init__(self, descriptor: int, index: int) -> None:
        self.descriptor = descriptor
        self.index = index
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")


class CollectedKernel:
    """A kernel that has registered: its pipes, its requests, and what is to be shown to its clients.

    Parameters
    ----------
    readiness
        Watches the descriptors.
    scratch
        Reads the pipes.
    ended
        Called when the output is journaled to the end.
    folder
        Folder of the kernel.
    out, err
        Reading ends of the pipes of standard output and standard error; owned from here on, as are those below.
    requests, shown, process
        Sockets for requests and for shown texts, and a pidfd.
    """

    def __init__(
        self,
        readiness: Readiness,
        scratch: ScratchPipe,
        ended: "Callable[[CollectedKernel], None]",
        folder: Path,
        out: int,
        err: int,
        requests: int,
        shown: int,
        process: int,
    ) -> None:
        self._readiness = readiness
        self._scratch = scratch
        self._ended = ended
        self._journal = Journal(folder, numbered=False)
        with suppress(FileExistsError):
            os.mkfifo(folder / COLLECTED, 0o600)
        self._held = os.open(folder / COLLECTED, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        # last, since nothing can fail any more: sockets own and close their descriptors
        self._pipes = [_Pipe(out, 0), _Pipe(err, 1)]
        self._requests: list[socket.socket] = []
        self._shown = socket.socket(fileno=shown)
        self._shown.setblocking(False)
        self._to_show: deque[bytearray] = deque()
        self._process = process
        self._attached = False
        self._over = False
        self.paused = False
        """True while the disk has no space for the content of the pipes."""
        self._watch_pipes()
        self._watch_requests(requests)
        readiness.watch(process, self._end)

    def _watch_pipes(self) -> None:
        for pipe in self._pipes:
            self._readiness.watch(pipe.descriptor, partial(self._ready, pipe), _EDGE)

    def _watch_requests(self, descriptor: int) -> None:
        requests = socket.socket(fileno=descriptor)
        self._requests.append(requests)
        self._readiness.watch(descriptor, partial(self._answer, requests), first=True)

    def _ready(self, pipe: _Pipe, events: int) -> None:
        if waiting(pipe.descriptor):
            self._take(pipe)
            if waiting(pipe.descriptor):
                self._readiness.again(pipe.descriptor, _EDGE)
        elif events & select.EPOLLHUP:
            self._readiness.unwatch(pipe.descriptor)  # all writing ends are closed

    def _take(self, pipe: _Pipe) -> int:
        """Journal a chunk of a pipe's content; return its length in bytes."""
        data = self._scratch.look(pipe.descriptor)
        before = pipe.decoder.getstate()
        text = pipe.decoder.decode(data)
        if not self._journaled(pipe, text):
            pipe.decoder.setstate(before)
            return 0
        left = len(data)
        while left:
            left -= len(os.read(pipe.descriptor, left))
        return len(data)

    def _journaled(self, pipe: _Pipe, text: str) -> bool:
        """Journal a text and show it to attached clients; False where the disk is full."""
        if not text:
            return True
        try:
            self._journal.append("stream", msgspec.json.encode({"name": STREAMS[pipe.index], "text": text}))
        except OSError as error:
            if error.errno in DISK_FULL:
                self.paused = True
                for one in self._pipes:
                    self._readiness.unwatch(one.descriptor)
                return False
            traceback.print_exc(file=sys.__stderr__)
        if self._attached:
            self._show(pipe.index, text)
        return True

    def resume(self) -> None:
        """Retry after a full disk."""
        self.paused = False
        if self._over:
            self._end()
        else:
            self._watch_pipes()

    def _drain(self) -> None:
        """Journal the current content of the pipes."""
        for pipe in self._pipes:
            left = waiting(pipe.descriptor)
            while left > 0 and (taken := self._take(pipe)):
                left -= taken

    def _complete(self) -> None:
        """Journal bytes of a character that stays incomplete."""
        for pipe in self._pipes:
            before = pipe.decoder.getstate()
            if not self._journaled(pipe, pipe.decoder.decode(b"", final=True)):
                pipe.decoder.setstate(before)

    def _answer(self, requests: socket.socket, events: int) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(requests, 4096, 1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            self._watch_requests(descriptor)
        if not data:
            self._readiness.unwatch(requests.fileno())
            self._requests.remove(requests)
            requests.close()
        elif not descriptors:
            request = msgspec.json.decode(data, type=Request)
            if request.number:
                self._readiness.later(partial(self._fulfil, requests, request))
            else:
                self._journal.call, self._attached = request.call, request.attached

    def _fulfil(self, requests: socket.socket, request: Request) -> None:
        if self._over:
            return
        self._drain()
        if request.whole:
            self._complete()
        self._journal.call, self._attached = request.call, request.attached
        with suppress(OSError):  # the kernel has ended, which its pidfd tells
            requests.send(b"%d" % request.number, socket.MSG_DONTWAIT)

    def _show(self, index: int, text: str) -> None:
        mark, start = b"%d" % index, 0
        while start < len(text):
            end = start + _SHOWN_CHARACTERS
            if end < len(text):
                end = text.rfind("\n", start, end) + 1 or end
            part = text[start:end].encode()
            if self._to_show and self._to_show[-1][:1] == mark and len(self._to_show[-1]) < _SHOWN_CHARACTERS:
                self._to_show[-1] += part
            else:
                self._to_show.append(bytearray(mark + part))
            start = end
        while len(self._to_show) > _MOST_TO_SHOW:
            self._to_show.popleft()
        self._send_shown()

    def _send_shown(self, events: int = 0) -> None:
        try:
            while self._to_show:
                self._shown.send(self._to_show[0])
                self._to_show.popleft()
        except BlockingIOError:
            self._readiness.watch(self._shown.fileno(), self._send_shown, select.EPOLLOUT)
            return
        except OSError:  # the kernel has ended
            self._to_show.clear()
        self._readiness.unwatch(self._shown.fileno())

    def _end(self, events: int = 0) -> None:
        """Journal the rest of the process's output, and release the pipe that marks its end."""
        self._over = True
        self._readiness.unwatch(self._process)
        self._drain()
        self._complete()
        if self.paused:
            return
        for pipe in self._pipes:
            self._readiness.unwatch(pipe.descriptor)
            os.close(pipe.descriptor)
        for one in (*self._requests, self._shown):
            self._readiness.unwatch(one.fileno())
            one.close()
        os.close(self._process)
        self._journal.close()
        os.close(self._held)
        self._ended(self)
