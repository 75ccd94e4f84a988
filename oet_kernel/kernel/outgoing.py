"""What leaves the kernel: journaled first, sent over ZeroMQ only when somebody is attached.

`JournalingIOPubThread` and `LineStream` stand in for ipykernel's own classes; `Publisher` sends the message types of
this project. A kernel started by hand, without a journal, behaves as any IPython kernel does.
"""

import array
import codecs
import fcntl
import os
import select
import sys
import termios
import threading
from typing import Any

import msgspec
from ipykernel.iostream import IOPubThread, OutStream
from jupyter_client.session import DELIM, Session

from oet_kernel.kernel.journal import Journal, encodable

_NOT_JOURNALED = frozenset({"status", "stream", "iopub_welcome", "shutdown_reply"})
"""Busy and idle say nothing a script said; streams are journaled line by line as they are written."""
_BELOW = 0


class _Header(msgspec.Struct):
    msg_type: str


_header = msgspec.json.Decoder(_Header)


def _with_buffers(content: bytes, buffers: list[bytes]) -> bytes:
    """Put the binary values of a widget into a message's content, which alone is journaled, as base64."""
    if not buffers or b'"buffer_paths"' not in content:
        return content
    return msgspec.json.encode({**msgspec.json.decode(content, type=dict[str, Any]), "buffers": buffers})


class JournalingIOPubThread(IOPubThread):
    """Sends IOPub messages, after they were journaled, to whoever has subscribed."""

    journal: Journal | None = None
    subscriptions = 0
    """How many different subscriptions the socket has (XPUB reports each new and each gone one)."""

    @property
    def attached(self) -> bool:
        """True when a message on ZeroMQ would reach somebody, or when there is no journal to reach them by."""
        return self.subscriptions > 0 or self.journal is None

    def _handle_subscription(self, frames: list[bytes]) -> None:
        for frame in frames:
            self.subscriptions += 1 if frame[0] == 1 else -1
        super()._handle_subscription(frames)

    def _handle_pipe_msg(self, msg: list[Any]) -> None:
        # from a forked child, which has journaled it itself
        if msg[0] == self._pipe_uuid:
            super().send_multipart(msg[1:])

    def send_multipart(self, msg: list[Any], *args: Any, **kwargs: Any) -> None:
        """Journal a serialized message, then schedule its sending.

        Parameters
        ----------
        msg
            Frames: topic, delimiter, signature, header, parent, metadata, content, buffers.
        """
        if self.journal is not None:
            frames = [bytes(frame) for frame in msg]
            first = frames.index(DELIM)
            msg_type = _header.decode(frames[first + 2]).msg_type
            if msg_type not in _NOT_JOURNALED:
                self.journal.append(msg_type, _with_buffers(frames[first + 5], frames[first + 6 :]))
        if self.attached:
            super().send_multipart(msg, *args, **kwargs)


class LineStream(OutStream):
    """Standard output or error of a script: whole lines are journaled as they are written.

    What is written below Python, to the file descriptor (a C library, a subprocess), comes through a pipe that a thread
    reads, as in ipykernel; but whoever writes, or synchronises, first takes what stands in the pipe, so that it comes
    where it belongs.
    """

    def __init__(
        self,
        session: Session,
        pub_thread: JournalingIOPubThread,
        name: str,
        *,
        watchfd: bool = True,
        **kwargs: Any,
    ) -> None:
        self._unfinished: dict[int, str] = {}
        """The line that each thread has begun, by its id; `_BELOW` for what comes from below Python."""
        self._line_lock = threading.RLock()
        """Held while text is taken, so that what was read from the pipe is journaled before anything else."""
        os.register_at_fork(after_in_child=self._in_child)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        # "force", or ipykernel would not watch in a process that pytest started
        super().__init__(session, pub_thread, name, watchfd="force" if watchfd else False, **kwargs)

    def write(self, string: str) -> int:
        """Journal the lines that `string` completes; send it to attached clients.

        Parameters
        ----------
        string
            Text; what stands after its last line end waits for the rest, or for `flush`.

        Returns
        -------
        int
            Number of characters.
        """
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string)}")
        thread: JournalingIOPubThread | None = self.pub_thread
        if thread is None:
            raise ValueError("I/O operation on closed file")
        with self._line_lock:
            self._drain()
            self._take(threading.get_ident(), string)
        if thread.attached:
            super().write(string)
        return len(string)

    def flush(self) -> None:
        """Journal the calling thread's unfinished line as it is; send what attached clients have not got."""
        self._flush_lines()

    def _flush_lines(self, *, insist: bool = False) -> None:
        thread: JournalingIOPubThread | None = self.pub_thread
        if thread is None:
            return
        if thread.journal is not None:
            with self._line_lock:
                for source in (threading.get_ident(), _BELOW):
                    self._journal(self._unfinished.pop(source, ""), insist)
        if thread.attached:
            super().flush()

    def _take(self, source: int, text: str) -> None:
        """Journal the lines that `text` completes; lines of different threads, and from below Python, do not mix."""
        if self.pub_thread.journal is not None:
            with self._line_lock:
                whole, end, rest = (self._unfinished.pop(source, "") + text).rpartition("\n")
                if rest:
                    self._unfinished[source] = rest
                # nobody could be told what a thread of ours, reading what was written below Python, has met
                self._journal(whole + end, insist=source == _BELOW)

    def _journal(self, text: str, insist: bool) -> None:
        if text:
            content = {"name": self.name, "text": encodable(text)}
            journal = self.pub_thread.journal
            (journal.insist if insist else journal.append)("stream", msgspec.json.encode(content))

    def synchronise(self) -> None:
        """Journal all that was written so far, above and below Python, unfinished lines of all threads as they are."""
        with self._line_lock:
            self._drain()
            for source in list(self._unfinished):
                if source != threading.get_ident():
                    self._journal(self._unfinished.pop(source), insist=True)
        self._flush_lines(insist=True)

    def _drain(self) -> None:
        """Take what stands in the pipe; to be called with the lock held."""
        # a pipe has one reader: a forked child that took what the parent is about to take would wait for more
        if self._fid is not None and self._is_master_process() and (waiting := _waiting(self._fid)):
            self._write_below(self._decoder.decode(os.read(self._fid, waiting)))

    def _watch_pipe_fd(self) -> None:
        pipe = select.poll()
        pipe.register(self._fid, select.POLLIN)
        while True:
            ((_, what),) = pipe.poll()
            with self._line_lock:
                if not self._should_watch or (what & select.POLLHUP and not _waiting(self._fid)):
                    return
                self._drain()

    def _in_child(self) -> None:
        """Have locks that nobody holds: a thread that held one in the parent is not there to release it.

        Lines that other threads have begun are the parent's to end.
        """
        self._line_lock, self._buffer_lock = threading.RLock(), threading.RLock()
        own = threading.get_ident()
        self._unfinished = {own: self._unfinished[own]} if own in self._unfinished else {}

    def _write_below(self, text: str) -> None:
        self._take(_BELOW, text)
        if self.pub_thread.attached:
            super().write(text)


def _waiting(pipe: int) -> int:
    """Tell how many bytes stand in a pipe."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


class Publisher:
    """Sends messages of this project's own types.

    Parameters
    ----------
    session
        The kernel's session.
    thread
        The kernel's IOPub thread, with or without a journal.
    """

    def __init__(self, session: Session, thread: JournalingIOPubThread) -> None:
        self._session = session
        self._thread = thread

    @property
    def call(self) -> str | None:
        """The function that was called last; journaled with every record."""
        return self._thread.journal.call if self._thread.journal else None

    @call.setter
    def call(self, name: str | None) -> None:
        if self._thread.journal:
            self._thread.journal.call = name

    def send(self, msg_type: str, content: bytes, *, insist: bool = False) -> None:
        """Publish a message.

        Parameters
        ----------
        msg_type
            Jupyter message type.
        content
            A JSON object on one line.
        insist
            Wait for space where the disk is full, instead of raising.
        """
        journal = self._thread.journal
        if journal is not None:
            (journal.insist if insist else journal.append)(msg_type, content)
        if self._thread.attached:
            self.show(msg_type, msgspec.json.decode(content))

    def show(self, msg_type: str, content: dict[str, Any], parent: dict[str, Any] | None = None) -> None:
        """Send a message to attached clients alone: it is not journaled.

        Parameters
        ----------
        msg_type
            Jupyter message type.
        content
            Its content.
        parent
            The request that it belongs to.
        """
        message = self._session.msg(msg_type, content, parent=parent)
        frames = self._session.serialize(message, ident=msg_type.encode())
        IOPubThread.send_multipart(self._thread, frames)

    def synchronise(self) -> None:
        """Have all output so far in the journal, in front of what is sent next."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, LineStream):
                stream.synchronise()
