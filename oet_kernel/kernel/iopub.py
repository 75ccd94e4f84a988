"""Messages that the kernel publishes: journaled first, sent over ZeroMQ only when a client is attached.

`JournalingIOPubThread` replaces ipykernel's own class; `Publisher` sends the message types of this project. A kernel
that was started by hand, without a journal, behaves like any IPython kernel.
"""

import os
import threading
from collections.abc import Callable
from typing import Any

import msgspec
from ipykernel.iostream import IOPubThread
from jupyter_client.session import DELIM, Session

from oet_kernel.bounds import EVENT_BYTES, STREAM_BYTES, OutOfBounds, check_json, encodable
from oet_kernel.kernel.collected import STREAMS
from oet_kernel.kernel.journal import Journal
from oet_kernel.kernel.pipes import OutputPipes
from oet_kernel.kernel.streams import PIECE, flush_streams
from oet_kernel.protocol import Message

_NOT_JOURNALED = frozenset({"status", "stream", "iopub_welcome", "shutdown_reply"})
"""Messages without information from a script (busy, idle), and streams, which the collector journals."""


class _Header(msgspec.Struct):
    msg_type: str


_header = msgspec.json.Decoder(_Header)


def _with_buffers(content: bytes, buffers: list[bytes]) -> bytes:
    """Return a message's content with a widget's binary values as base64, since only the content is journaled."""
    if not buffers or b'"buffer_paths"' not in content:
        return content
    if (size := sum(map(len, buffers))) > EVENT_BYTES // 4 * 3:
        raise OutOfBounds(f"has {size:,} bytes of binary values and {EVENT_BYTES // 4 * 3:,} are allowed")
    return msgspec.json.encode({**msgspec.json.decode(content, type=dict[str, Any]), "buffers": buffers})


def _bounded(msg_type: str, content: bytes, buffers: list[bytes]) -> list[tuple[str, bytes]]:
    """Return a Jupyter message as it is journaled: output in pieces, a notice in place of too large a message."""
    if msg_type == "stream" and len(content) > STREAM_BYTES:
        said = msgspec.json.decode(content, type=dict[str, Any])
        text = str(said.get("text"))
        pieces = [text[begin : begin + PIECE] for begin in range(0, len(text), PIECE)]
        return [(msg_type, msgspec.json.encode({**said, "text": encodable(piece)})) for piece in pieces]
    try:
        check_json(content)
        content = _with_buffers(content, buffers)
        check_json(content)
    except OutOfBounds as error:
        text = f"[a message of type {msg_type:.40} {error}; it is left out]\n"
        return [("stream", msgspec.json.encode({"name": "stderr", "text": encodable(text)}))]
    return [(msg_type, content)]


class JournalingIOPubThread(IOPubThread):
    """Journals IOPub messages, then sends them to the subscribers."""

    journal: Journal | None = None
    pipes: OutputPipes | None = None
    """Set only with a journal."""
    subscriptions = 0
    """Number of different subscriptions of the socket (XPUB reports each added and each removed one)."""
    parent: Callable[[], dict[str, Any]]
    """Returns the request that output belongs to."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._relaying = threading.Lock()
        self._watched = -1

    @property
    def attached(self) -> bool:
        """True when the socket has subscribers, or when there is no journal."""
        return self.subscriptions > 0 or self.journal is None

    def _handle_subscription(self, frames: list[bytes]) -> None:
        for frame in frames:
            self.subscriptions += 1 if frame[0] == 1 else -1
        if self.pipes is not None:
            self.pipes.attached = self.subscriptions > 0
        super()._handle_subscription(frames)

    def watch_output(self, pipes: OutputPipes) -> None:
        """Show attached clients the texts that the collector returns, and detect its end.

        Parameters
        ----------
        pipes
            Pipes of the script's output, with the socket of the collector.
        """
        self.pipes = pipes
        self.io_loop.add_callback(self._watch)

    def _watch(self) -> None:
        if self.pipes is not None and os.getpid() == self._master_pid:
            if self._watched >= 0:
                self.io_loop.remove_handler(self._watched)
            self._watched = self.pipes.shown.fileno()
            self.io_loop.add_handler(self._watched, lambda *_: self.relay(), self.io_loop.READ)

    def relay(self) -> None:
        """Send attached clients the texts that the collector has returned."""
        # another thread, or the interrupted code in this one, relays already
        if self.pipes is None or not self._relaying.acquire(blocking=False):
            return
        generation = self.pipes.generation
        try:
            while text := self.pipes.shown.recv(1 << 18):
                content = {"name": STREAMS[text[0] - ord("0")], "text": text[1:].decode()}
                message = self.session.msg("stream", content, parent=self.parent())
                super().send_multipart(self.session.serialize(message, ident=b"stream"))
        except BlockingIOError:
            return
        except OSError:
            pass
        finally:
            self._relaying.release()
        self.pipes.take_over(generation)  # the collector has ended
        self.io_loop.add_callback(self._watch)  # called from any thread

    def _handle_pipe_msg(self, msg: list[Any]) -> None:
        # from a forked child, which has journaled the message itself
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
            journaled = msg_type not in _NOT_JOURNALED
            if self.pipes is not None and (journaled or self.attached):
                self.pipes.synchronise()
            if journaled:
                for kind, content in _bounded(msg_type, frames[first + 5], frames[first + 6 :]):
                    self.journal.append(kind, content)
            if self.attached:
                self.relay()
        if self.attached:
            super().send_multipart(msg, *args, **kwargs)


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
        """Name of the function that was called last, which is journaled with every record; None before the first."""
        return self._thread.journal.call if self._thread.journal else None

    @call.setter
    def call(self, name: str | None) -> None:
        if self._thread.journal:
            self._thread.journal.call = name
        if self._thread.pipes:
            self._thread.pipes.call = name

    def send(self, msg_type: str, content: bytes, *, insist: bool = False) -> None:
        """Publish a message.

        Parameters
        ----------
        msg_type
            Jupyter message type.
        content
            A JSON object on one line.
        insist
            True to wait for space on a full disk, instead of raising.

        Raises
        ------
        OutOfBounds
            When the content of a message of this project exceeds the bounds; one of Jupyter's is cut.
        """
        parts = [(msg_type, content)]
        if msg_type.startswith("oet_"):
            check_json(content)
        else:
            parts = _bounded(msg_type, content, [])
        journal = self._thread.journal
        if self._thread.pipes is not None:
            self._thread.pipes.synchronise()
        if journal is not None:
            for kind, part in parts:
                (journal.insist if insist else journal.append)(kind, part)
        if self._thread.attached:
            self.show(msg_type, msgspec.json.decode(content))

    def say(self, message: Message, *, insist: bool = False) -> None:
        """Publish a message of this project; otherwise like `send`."""
        self.send(message.msg_type, msgspec.json.encode(message), insist=insist)

    def show(self, msg_type: str, content: dict[str, Any], parent: dict[str, Any] | None = None) -> None:
        """Send a message to attached clients only, without journaling it.

        Parameters
        ----------
        msg_type
            Jupyter message type.
        content
            Content of the message.
        parent
            Request that the message belongs to; None for none.
        """
        message = self._session.msg(msg_type, content, parent=parent)
        frames = self._session.serialize(message, ident=msg_type.encode())
        IOPubThread.send_multipart(self._thread, frames)

    def synchronise(self) -> None:
        """Flush all output so far into the journal, ahead of the next message."""
        flush_streams()
        if self._thread.pipes is not None:
            self._thread.pipes.synchronise(whole=True)
