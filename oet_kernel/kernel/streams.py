"""The standard streams of a script: text files on descriptors 1 and 2, which are pipes to the collector.

Whatever writes to a descriptor (print, ``os.write``, compiled code, a subprocess, a forked child) goes the same way, so
that order and redirection are those of a plain process.
"""

import errno
import fcntl
import io
import os
import select
import socket
import sys
import termios
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from oet_kernel.kernel.collector import Collector, Request
from oet_kernel.kernel.journal import CALL, Journal, encodable
from oet_kernel.kernel.last_words import keep

_ANSWER_SECONDS = 30.0
"""Deadline of a collector's answer: one that is frozen holds up the order of what is told, and nothing else."""
_TAKE_OVER_SECONDS = 5.0
"""Longest wait for another thread that takes over."""
_NONE_LEFT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_EMPTY = bytes(4)
_ERRORS = {"stdout": "surrogateescape", "stderr": "backslashreplace"}
"""How characters that have no UTF-8 form are written: as in a plain process without a locale."""


class OutputPipes:
    """The pipes behind descriptors 1 and 2 of this process, and the way to their collector.

    There is no lock: each thread has a request socket of its own, so that a signal handler may synchronise amid another
    synchronisation, and may wait for a thread that does.

    Parameters
    ----------
    folder
        The kernel's private folder.
    registrations
        Where the collector takes kernels; None to collect in a thread of this process.
    """

    def __init__(self, folder: Path, registrations: socket.socket | None) -> None:
        self._folder = folder
        self._pid = os.getpid()
        self._call: str | None = None
        self._attached = False
        self._local = threading.local()
        self._written: list[int] = []
        """When the pipes had last been written to at the end of a step, in nanoseconds."""
        self.generation = 0
        """Which collector it is that reads: counted from 1."""
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
        descriptors = [*self._ends, theirs.fileno(), to_show.fileno(), pidfd]
        socket.send_fds(registrations, [os.fsencode(self._folder)], descriptors)
        os.close(pidfd)
        for one in (theirs, to_show, registrations):
            one.close()
        self._requests, self.shown = _kept(requests), _kept(shown)
        self.shown.setblocking(False)
        self.generation += 1
        self._ask()  # it has the pipes, and says so to the service, before anything is written

    def _collect_here(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        threading.Thread(target=Collector(theirs).run, name="oet-output", daemon=True).start()
        return ours

    @property
    def call(self) -> str | None:
        """The function that was called last; what is written belongs to it."""
        return self._call

    @call.setter
    def call(self, name: str | None) -> None:
        self._call = name
        self._ask(wait=self.waits(0) or self.waits(1))

    @property
    def attached(self) -> bool:
        """Whether the collector hands texts back for attached clients, on the socket `shown`."""
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
            True at the end of a step: the beginning of a character waits no longer for its rest.
        """
        if os.getpid() != self._pid:
            return
        written = self._written
        if whole:
            self._written = [os.fstat(end).st_mtime_ns for end in self._ends]
        if self.waits(0) or self.waits(1) or self._written != written:
            self._ask(whole=whole)

    def settle(self, index: int) -> None:
        """Wait until what the other stream has been written before is in the journal, ahead of what is written now.

        Parameters
        ----------
        index
            Of the stream that is about to be written to: 0 for standard output, 1 for standard error.
        """
        if os.getpid() == self._pid and self.waits(1 - index):
            self._ask()

    def waits(self, index: int) -> bool:
        """Return whether a pipe holds bytes that are not in the journal."""
        return fcntl.ioctl(self._ends[index], termios.FIONREAD, _EMPTY) != _EMPTY

    def _ask(self, *, whole: bool = False, wait: bool = True) -> None:
        """Send the collector a request; wait for its answer, unless there is nothing that it has to journal first."""
        generation = self.generation
        with suppress(TimeoutError):
            while os.getpid() == self._pid:
                try:
                    channel = self._channel()
                except OSError as error:
                    if error.errno in _NONE_LEFT:
                        return  # what follows may be told ahead of what was written
                    channel = None
                if channel is not None and channel.ask(self._call, self._attached, whole, wait):
                    return
                self.take_over(generation)
                if generation == self.generation:
                    return  # this has interrupted who takes over
                generation = self.generation

    def _channel(self) -> "_Channel":
        local = self._local
        if getattr(local, "generation", None) != self.generation:
            if threading.current_thread() is threading.main_thread():
                requests = self._requests
            else:
                requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                socket.send_fds(self._requests, [b"further"], [theirs.fileno()])
                theirs.close()
            local.channel, local.generation = _Channel(requests), self.generation
        channel: _Channel = local.channel
        return channel

    def take_over(self, generation: int) -> None:
        """Collect in a thread of this process: the collector has ended.

        Parameters
        ----------
        generation
            Which collector it was; no-op when another has come since.
        """
        me = threading.get_ident()
        # it may have interrupted who is at it, or hold up a thread that such a one waits for
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
        # a descendant that lives on must not keep a pipe open that nobody reads
        for descriptor in self._ends:
            os.close(descriptor)
        for one in (self._requests, self.shown):
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
            When it does not answer.
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


class Descriptor(io.FileIO):
    """Standard output or error as bytes, unbuffered as under ``python -u``.

    There is no `io.BufferedWriter` above it, which a signal handler that prints would find locked.

    Parameters
    ----------
    index
        0 for standard output, 1 for standard error.
    name
        Its name: ``<stdout>``.
    pipes
        What settles the order among the two.
    """

    name: Any

    def __init__(self, index: int, name: str, pipes: OutputPipes) -> None:
        super().__init__(index + 1, "w", closefd=False)
        self.name = name
        self._index = index
        self._pipes = pipes

    @property
    def raw(self) -> "Descriptor":
        """The unbuffered file: this one."""
        return self

    def write(self, data: Any, /) -> int:
        """Write all of `data`; wait where a script has made the descriptor non-blocking.

        Parameters
        ----------
        data
            Bytes-like.

        Returns
        -------
        int
            Number of bytes.
        """
        view = memoryview(data).cast("B")
        if not self.closed:
            self._pipes.settle(self._index)
        written = super().write(view) or 0
        while written < len(view):
            written += super().write(view[written:]) or 0
            if written < len(view):
                select.select([], [self.fileno()], [])
        return written


class ScriptStream(io.TextIOWrapper):
    """Standard output or error as text; what is typed in a console passes by the descriptor, since it has its own call.

    Parameters
    ----------
    index
        0 for standard output, 1 for standard error.
    pipes
        The pipes.
    console
        Takes what a console writes.
    """

    def __init__(self, index: int, pipes: OutputPipes, console: "ConsoleText") -> None:
        short = ("stdout", "stderr")[index]
        super().__init__(
            Descriptor(index, f"<{short}>", pipes),
            encoding="utf-8",
            errors=_ERRORS[short],
            newline="\n",
            line_buffering=True,
        )
        vars(self)["mode"] = "w"  # as Python gives its own streams
        self._console = console
        self._short = short

    def write(self, text: str, /) -> int:
        """Write text, whole lines at once.

        Parameters
        ----------
        text
            The text.

        Returns
        -------
        int
            Number of characters.
        """
        if CALL.get() is None or not isinstance(text, str) or self.closed:
            return super().write(text)
        self._console.write(self._short, text)
        return len(text)

    def flush(self) -> None:
        """Write what stands after the last line end."""
        super().flush()
        self._console.flush()


class ConsoleText:
    """What is written by what guests have typed: journaled under the call of its context, line by line.

    Parameters
    ----------
    journal
        Where to.
    pipes
        What the script has written before goes ahead.
    show
        Shows attached clients the content of a stream message.
    """

    def __init__(self, journal: Journal, pipes: OutputPipes, show: Any) -> None:
        self._journal = journal
        self._pipes = pipes
        self._show = show
        self._unfinished: dict[tuple[int, str], str] = {}

    def write(self, name: str, text: str) -> None:
        """Journal the lines that a text completes.

        Parameters
        ----------
        name
            Of the stream.
        text
            The text.
        """
        key = (threading.get_ident(), name)
        whole, end, rest = (self._unfinished.pop(key, "") + text).rpartition("\n")
        if rest:
            self._unfinished[key] = rest
        self._tell(name, whole + end)

    def flush(self) -> None:
        """Journal the calling thread's unfinished lines as they are."""
        for name in ("stdout", "stderr") if self._unfinished else ():
            self._tell(name, self._unfinished.pop((threading.get_ident(), name), ""))

    def _tell(self, name: str, text: str) -> None:
        if text:
            self._pipes.synchronise()
            content = {"name": name, "text": encodable(text)}
            self._journal.append("stream", msgspec.json.encode(content))
            self._show(content)


class FlushingSys:
    """`sys` as modules of ipykernel see it: its streams can be flushed whatever a script has made of its own."""

    def __init__(self) -> None:
        self.stdout = self.stderr = self

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)

    def flush(self) -> None:
        """Flush the streams that a script has now."""
        flush_streams()


def flush_streams() -> None:
    """Flush standard output and error, and what a script has put in their place, as far as they can be flushed."""
    for name in ("stdout", "stderr"):
        streams = {id(stream): stream for stream in (getattr(sys, name, None), getattr(sys, f"__{name}__", None))}
        for stream in streams.values():
            with suppress(Exception):
                stream.flush()  # type: ignore[union-attr]


def _kept(one: socket.socket) -> socket.socket:
    """Move a socket out of the way of a script's descriptors."""
    moved = socket.socket(fileno=keep(one.fileno()))
    one.close()
    return moved
