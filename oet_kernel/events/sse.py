"""Server-sent events: framing for the service, decoding for clients and tests.

The frames are those of the original: no space after the colons, no ``event:`` line unless requested, so that a
browser's ``onmessage`` gets every event. Decoding follows the WHATWG standard (HTML, section 9.2.6).
"""

import codecs
import re

from msgspec import Struct

_LINE_END = re.compile(r"\r\n|\n|\r")
_SEPARATORS = re.compile("\x85|\u2028|\u2029".encode())
"""Line ends of ``str.splitlines``, and of clients that use it, which JSON does not escape."""
_ESCAPES = {mark.encode(): f"\\u{ord(mark):04x}".encode() for mark in "\x85\u2028\u2029"}


def frame(data: bytes, event_id: int | None = None, event: str | None = None) -> bytes:
    """Return the frame of one event.

    Its data are one line also for clients that split text as ``str.splitlines`` does, contrary to the standard.

    Parameters
    ----------
    data
        JSON on one line.
    event_id
        Id that a client sends back as ``Last-Event-ID``; None for no id.
    event
        Name of the event, if it is not for ``onmessage``; otherwise None.
    """
    head = f"event:{event}\n".encode() if event else b""
    tail = end_of_frame(event_id) if event_id is not None else b"\n\n"
    return b"".join((head, BEGINNING, one_line(data), tail))


BEGINNING = b"data:"
"""Beginning of an event that is sent in pieces; `one_line` of each piece and `end_of_frame` follow."""


def one_line(data: bytes) -> bytes:
    """Return JSON, or a piece of it, with all line separators escaped."""
    return data if data.isascii() else _SEPARATORS.sub(lambda found: _ESCAPES[found[0]], data)


def end_of_frame(event_id: int) -> bytes:
    """Return the end of the frame of an event with this id."""
    return b"\nid:%d\n\n" % event_id


def whole_characters(piece: bytes) -> bytes:
    """Return a piece of UTF-8 without an incomplete character at its end."""
    for back in range(1, min(4, len(piece)) + 1):
        byte = piece[-back]
        if byte & 0xC0 != 0x80:  # the first byte of a character; it tells the length
            length = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return piece[:-back] if len(piece) - back > 0 and length > back else piece
    return piece


def comment(text: str) -> bytes:
    """Return the frame of a comment, which clients ignore: a heartbeat.

    No empty line follows: many clients take it for the end of an event, and deliver one without data.

    Parameters
    ----------
    text
        Text of one line.
    """
    return f":{text}\n".encode()


def position(event_id: int) -> bytes:
    """Return the frame with the position at which a stream begins: no event, but the id to send back before the first.

    It is only for clients that request it: many deliver it as an event without data.

    Parameters
    ----------
    event_id
        Number of the last event before the stream.
    """
    return b"id:%d\n\n" % event_id


class Message(Struct, frozen=True):
    """Decoded event."""

    data: str
    event: str = "message"
    id: str | None = None
    """Newest id in the stream; None before the first."""


class Decoder:
    """Decoder of a stream, whose bytes may be cut anywhere; each byte is read once, however long a line is."""

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._fresh = True
        self._after_return = False
        self._unfinished: list[str] = []
        self._data: list[str] = []
        self._event = ""
        self._id: str | None = None
        self.last_id: str | None = None
        """Id to send back as ``Last-Event-ID``, that of the newest complete frame; None before the first."""

    def feed(self, chunk: bytes | str) -> list[Message]:
        """Decode bytes, or text that is decoded already, and return the messages that they complete.

        Parameters
        ----------
        chunk
            Received bytes or text.
        """
        text = chunk if isinstance(chunk, str) else self._text.decode(chunk)
        if not text:
            return []
        if self._fresh:
            text, self._fresh = text.removeprefix("\ufeff"), False
        if self._after_return:  # the line ended with the carriage return: the line feed is not another line
            text = text.removeprefix("\n")
        self._after_return = text.endswith("\r")
        first, *others = _LINE_END.split(text)
        self._unfinished.append(first)
        messages = []
        for rest in others:
            message = self._line("".join(self._unfinished))
            self._unfinished = [rest]
            if message is not None:
                messages.append(message)
        return messages

    def _line(self, line: str) -> Message | None:
        if not line:
            data, event = self._data, self._event
            self.last_id = self._id
            self._data, self._event = [], ""
            return Message("\n".join(data), event or "message", self._id) if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
        return None
