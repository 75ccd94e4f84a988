"""The collector: a process that journals what kernels write to their descriptors 1 and 2.

The collector is a separate process because a pipe holds 64 KiB: compiled code that writes more without releasing the
GIL would wait for ever for a reader in its own process. A fork server has one collector for all its kernels; a kernel
that is started plainly has its own.

A kernel registers by one message on a socket (SOCK_SEQPACKET): the path of its folder, with these descriptors: reading
ends of the pipes of standard output and standard error, a socket for requests, a socket for the texts that attached
clients are shown, and a pidfd. On the request socket::

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
import signal
import socket
import sys
import termios
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

import msgspec

from oet_kernel.kernel.journal import DISK_FULL, RETRY_SECONDS, Journal
from oet_kernel.protocol import COLLECTED, COLLECTOR_NAME

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


def start_collector(*, detached: bool = False) -> tuple[socket.socket, int]:
    """Fork a collector; return the socket for registrations, and the pid of the child, once it has its name.

    Parameters
    ----------
    detached
        True for a collector that is not a child of the caller, which then neither waits for it nor counts it.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        if detached and os.fork():
            os._exit(0)
        _be_collector(theirs)
    theirs.close()
    if detached:
        os.waitpid(pid, 0)
    ours.recv(1)  # empty where the collector has ended already
    return ours, pid


def _be_collector(registrations: socket.socket) -> NoReturn:
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)  # the collector ends with its last kernel
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in [int(name) for name in os.listdir("/proc/self/fd")]:
            if descriptor not in (2, registrations.fileno()):
                with suppress(OSError):
                    os.close(descriptor)
        with suppress(OSError):
            Path("/proc/self/comm").write_text(COLLECTOR_NAME)
        registrations.send(b"1")
        Collector(registrations).run()
        os._exit(0)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(1)


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


class Collector:
    """Journals the output of all kernels that register.

    Parameters
    ----------
    registrations
        Socket on which kernels register.
    """

    def __init__(self, registrations: socket.socket) -> None:
        self._registrations = registrations
        self._poll = select.epoll()
        self._actions: dict[int, Callable[[int], None]] = {}
        self._first: set[int] = set()
        """Descriptors of request sockets: a request is handled ahead of output that was written after it."""
        self._answers: list[Callable[[], None]] = []
        """Requests to complete once the output in the pipes was read, in the order in which it arrived."""
        self._kernels: set[_Kernel] = set()
        self._scratch, self._to_scratch = os.pipe()
        self.watch(registrations.fileno(), self._register)

    def run(self) -> None:
        """Collect until no kernel is left and none can come."""
        while self._actions or self._kernels:
            full = [kernel for kernel in self._kernels if kernel.paused]
            ready = self._poll.poll(RETRY_SECONDS if full else None)
            for descriptor, events in sorted(ready, key=lambda one: one[0] not in self._first):
                action = self._actions.get(descriptor)
                if action is not None:  # the number may belong to a new descriptor, with nothing to read
                    action(events)
            answers, self._answers = self._answers, []
            for answer in answers:
                answer()
            for kernel in self._kernels.intersection(full):  # without those that have ended meanwhile
                kernel.resume()

    def watch(
        self, descriptor: int, action: Callable[[int], None], events: int = select.EPOLLIN, *, first: bool = False
    ) -> None:
        """Call `action`, with the events, whenever a descriptor is ready; no-op where it is watched already.

        Parameters
        ----------
        descriptor
            Stays open until it is unwatched.
        action
            Must not block.
        events
            Mask of epoll.
        first
            Whether it is served ahead of other ready descriptors.
        """
        if descriptor not in self._actions:
            self._actions[descriptor] = action
            self._poll.register(descriptor, events)
            if first:
                self._first.add(descriptor)

    def later(self, answer: Callable[[], None]) -> None:
        """Call `answer` once all descriptors that are ready now were served."""
        self._answers.append(answer)

    def again(self, descriptor: int, events: int) -> None:
        """Watch a partly read descriptor again; other ready descriptors are served first."""
        if descriptor in self._actions:
            self._poll.modify(descriptor, events)

    def unwatch(self, descriptor: int) -> None:
        """Forget a descriptor; no-op where it is not watched."""
        self._first.discard(descriptor)
        if self._actions.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def forget(self, kernel: "_Kernel") -> None:
        """Forget a kernel whose output is journaled to the end."""
        self._kernels.discard(kernel)

    def _register(self, events: int) -> None:
        try:
            folder, descriptors, _, _ = socket.recv_fds(self._registrations, 4096, 8, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        if not folder:
            self.unwatch(self._registrations.fileno())
            return
        try:
            self._kernels.add(_Kernel(self, Path(os.fsdecode(folder)), *descriptors))
        except Exception:  # its folder is gone
            traceback.print_exc(file=sys.__stderr__)
            for descriptor in descriptors:
                self.unwatch(descriptor)
                os.close(descriptor)

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


class _Kernel:
    """A kernel that has registered."""

    def __init__(
        self, collector: Collector, folder: Path, out: int, err: int, requests: int, shown: int, process: int
    ) -> None:
        self._collector = collector
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
        collector.watch(process, self._end)

    def _watch_pipes(self) -> None:
        for pipe in self._pipes:
            self._collector.watch(pipe.descriptor, partial(self._ready, pipe), _EDGE)

    def _watch_requests(self, descriptor: int) -> None:
        requests = socket.socket(fileno=descriptor)
        self._requests.append(requests)
        self._collector.watch(descriptor, partial(self._answer, requests), first=True)

    def _ready(self, pipe: _Pipe, events: int) -> None:
        if waiting(pipe.descriptor):
            self._take(pipe)
            if waiting(pipe.descriptor):
                self._collector.again(pipe.descriptor, _EDGE)
        elif events & select.EPOLLHUP:
            self._collector.unwatch(pipe.descriptor)  # all writing ends are closed

    def _take(self, pipe: _Pipe) -> int:
        """Journal a chunk of a pipe's content; return its length in bytes."""
        data = self._collector.look(pipe.descriptor)
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
                    self._collector.unwatch(one.descriptor)
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
            self._collector.unwatch(requests.fileno())
            self._requests.remove(requests)
            requests.close()
        elif not descriptors:
            request = msgspec.json.decode(data, type=Request)
            if request.number:
                self._collector.later(partial(self._fulfil, requests, request))
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
            self._collector.watch(self._shown.fileno(), self._send_shown, select.EPOLLOUT)
            return
        except OSError:  # the kernel has ended
            self._to_show.clear()
        self._collector.unwatch(self._shown.fileno())

    def _end(self, events: int = 0) -> None:
        """Journal the rest of the process's output, and release the pipe that marks its end."""
        self._over = True
        self._collector.unwatch(self._process)
        self._drain()
        self._complete()
        if self.paused:
            return
        for pipe in self._pipes:
            self._collector.unwatch(pipe.descriptor)
            os.close(pipe.descriptor)
        for one in (*self._requests, self._shown):
            self._collector.unwatch(one.fileno())
            one.close()
        os.close(self._process)
        self._journal.close()
        os.close(self._held)
        self._collector.forget(self)
