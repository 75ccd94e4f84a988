"""The pipes behind the standard streams of a script, and the kernel's connection to the collector that reads them."""

import errno
import fcntl
import os
import socket
import termios
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from oet_kernel.kernel.collected import Request
from oet_kernel.kernel.collector import Collector
from oet_kernel.kernel.last_words import keep

_ANSWER_SECONDS = 30.0
"""Deadline in seconds of a collector's answer; after it, messages may be journaled ahead of earlier output."""
_TAKE_OVER_SECONDS = 5.0
"""Longest wait in seconds for another thread that takes over."""
_NONE_LEFT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_EMPTY = bytes(4)


class OutputPipes:
    """The pipes behind descriptors 1 and 2 of this process, and the connection to their collector.

    There is no lock: each thread has a request socket of its own, so that a signal handler may synchronise during
    another synchronisation, and may wait for a thread that does.

    Parameters
    ----------
    folder
        The kernel's private folder.
    registrations
        Socket on which the collector registers kernels; None to collect in a thread of this process.
    """

    def __init__(self, folder: Path, registrations: socket.socket | None) -> None:
        self._folder = folder
        self._pid = os.getpid()
        self._call: str | None = None
        self._attached = False
        self._local = threading.local()
        self._written: list[int] = []
        """Times of the last writes to the pipes at the end of a step, in nanoseconds of a coarse clock."""
        self._parted = False
        """True while output was read since then that may end within a character."""
        self.generation = 0
        """Number of the current collector, from 1."""
        self._taking_over = threading.Lock()
        self._taker = 0
        self._ends: list[int] = []
        for number in (1, 2):
            reading, writing = os.pipe()
            os.dup2(writing, number)
            os.close(writing)
            self._ends.append(keep(reading))
            os.close(reading)
        if registrations is None or not self._registered(registrations):
            self._register(self._collect_here())
        os.register_at_fork(after_in_child=self._in_child)

    def _registered(self, registrations: socket.socket) -> bool:
        try:
            self._register(registrations)
        except OSError:  # the collector has ended
            return False
        return True

    def _register(self, registrations: socket.socket) -> None:
        requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        shown, to_show = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pidfd = os.pidfd_open(self._pid)
        try:
            descriptors = [*self._ends, theirs.fileno(), to_show.fileno(), pidfd]
            socket.send_fds(registrations, [os.fsencode(self._folder)], descriptors)
        finally:
            os.close(pidfd)
            for one in (theirs, to_show, registrations):
                one.close()
        self._requests, self.shown = _kept(requests), _kept(shown)
        self.shown.setblocking(False)
        self.generation += 1
        self._ask()  # before any write, the collector has the pipes and the service can see it

    def _collect_here(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        threading.Thread(target=Collector(theirs).run, name="oet-output", daemon=True).start()
        return ours

    @property
    def call(self) -> str | None:
        """Name of the function that was called last, to which output belongs; None before the first."""
        return self._call

    @call.setter
    def call(self, name: str | None) -> None:
        self._call = name
        self._ask(wait=self.waits(0) or self.waits(1))

    @property
    def attached(self) -> bool:
        """Whether the collector returns texts for attached clients, on the socket `shown`."""
        return self._attached

    @attached.setter
    def attached(self, attached: bool) -> None:
        if attached != self._attached:
            self._attached = attached
            self._ask()

    def synchronise(self, *, whole: bool = False) -> None:
        """Wait until all bytes that were written so far are in the journal; no-op in a forked child.

        Parameters
        ----------
        whole
            True at the end of a step: an incomplete character is journaled without waiting for its rest.
        """
        if os.getpid() != self._pid:
            return
        written = self._written
        if whole:
            with suppress(OSError):
                self._written = [os.fstat(end).st_mtime_ns for end in self._ends]
        if self.waits(0) or self.waits(1) or self._written != written or (whole and self._parted):
            self._ask(whole=whole)

    def settle(self, index: int) -> None:
        """Wait until earlier output of the other stream is in the journal, ahead of the next write.

        Parameters
        ----------
        index
            Stream that is about to be written to: 0 for standard output, 1 for standard error.
        """
        if os.getpid() == self._pid and self.waits(1 - index):
            self._ask()

    def waits(self, index: int) -> bool:
        """Return whether a pipe holds bytes that are not in the journal; False where a script has closed it."""
        try:
            return fcntl.ioctl(self._ends[index], termios.FIONREAD, _EMPTY) != _EMPTY
        except OSError:
            return False

    def _ask(self, *, whole: bool = False, wait: bool = True) -> None:
        """Send the collector a request; wait for its answer, unless `wait` is False: nothing to journal first."""
        self._parted = not whole
        generation = self.generation
        with suppress(TimeoutError):
            while os.getpid() == self._pid:
                try:
                    channel = self._channel()
                except OSError as error:
                    if error.errno in _NONE_LEFT:
                        return  # the next messages may precede earlier output
                    channel = None
                if channel is not None and channel.ask(self._call, self._attached, whole, wait):
                    return
                self.take_over(generation)
                if generation == self.generation:
                    return  # this code has interrupted the takeover
                generation = self.generation

    def _channel(self) -> "_Channel":
        local = self._local
        if getattr(local, "generation", None) != self.generation:
            if threading.get_ident() == threading.main_thread().ident:
                requests = self._requests
            else:
                requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                socket.send_fds(self._requests, [b"further"], [theirs.fileno()])
                theirs.close()
            local.channel, local.generation = _Channel(requests), self.generation
        channel: _Channel = local.channel
        return channel

    def take_over(self, generation: int) -> None:
        """Collect in a thread of this process, after the end of the collector.

        Parameters
        ----------
        generation
            Number of the collector that has ended; no-op when another one has replaced it.
        """
        me = threading.get_ident()
        # this code may have interrupted the takeover, or block a thread that the takeover waits for
        if self._taker == me or not self._taking_over.acquire(timeout=_TAKE_OVER_SECONDS):
            return
        self._taker = me
        try:
            if os.getpid() == self._pid and generation == self.generation:
                self._register(self._collect_here())
        finally:
            self._taker = 0
            self._taking_over.release()

    def _in_child(self) -> None:
        # a surviving descendant must not keep the pipes' reading ends open
        ends, self._ends = self._ends, []  # closed already for a child of the child
        for descriptor in ends:
            with suppress(OSError):
                os.close(descriptor)
        for one in (self._requests, self.shown):
            with suppress(OSError):
                one.close()


class _Channel:
    """One thread's request socket."""

    def __init__(self, requests: socket.socket) -> None:
        requests.settimeout(_ANSWER_SECONDS)
        self._requests = requests
        self._sent = self._answered = 0
        self._depth = 0

    def ask(self, call: str | None, attached: bool, whole: bool, wait: bool) -> bool:
        """Send a request and wait for its answer; a signal handler may do so meanwhile.

        Returns
        -------
        bool
            False when the collector has ended.

        Raises
        ------
        TimeoutError
            When the collector does not answer in time.
        """
        self._depth += 1
        try:
            number = self._send(call, attached, whole, wait)
            while self._answered < number:
                answer = self._requests.recv(64)
                if not answer:
                    return False
                self._answered = max(self._answered, int(answer))
            return True
        except TimeoutError:
            raise
        except OSError:
            return False
        finally:
            self._depth -= 1
            if self._depth:  # the answer that the interrupted call waits for may have been received here
                with suppress(OSError):
                    self._send(call, attached, False, True)

    def _send(self, call: str | None, attached: bool, whole: bool, wait: bool) -> int:
        self._sent += wait
        number = self._sent if wait else 0
        self._requests.send(msgspec.json.encode(Request(number, call, attached, whole)))
        return number


def _kept(one: socket.socket) -> socket.socket:
    """Move a socket to a high descriptor, out of the range that scripts use."""
    moved = socket.socket(fileno=keep(one.fileno()))
    one.close()
    return moved
