"""Server-sent events on the wire: framing for the service, decoding for clients and tests.

The frames are those of the original: no space after the colons, no ``event:`` line unless one is asked for, so that a
browser's ``onmessage`` gets every event. Decoding follows the WHATWG standard (HTML, section 9.2.6).
"""

import codecs
import re

from msgspec import Struct

_LINE_END = re.compile(r"\r\n|\n|\r")
_SEPARATORS = re.compile("\x85|\u2028|\u2029".encode())
"""Line ends of ``str.splitlines``, and of clients that use it, which JSON leaves as they are."""
_ESCAPES = {mark.encode(): f"\\u{ord(mark):04x}".encode() for mark in "\x85\u2028\u2029"}


def frame(data: bytes, event_id: int | None = None, event: str | None = None) -> bytes:
    """Frame one event.

    Its data stay one line for clients that split text as ``str.splitlines`` does, and not as the standard says.

    Parameters
    ----------
    data
        JSON on one line.
    event_id
        What a client sends back as ``Last-Event-ID``.
    event
        Name of the event, for those that are not for ``onmessage``.
    """
    head = f"event:{event}\n".encode() if event else b""
    tail = end_of_frame(event_id) if event_id is not None else b"\n\n"
    return b"".join((head, BEGINNING, one_line(data), tail))


BEGINNING = b"data:"
"""What an event begins with that is sent in pieces; `one_line` of each of them follows, and `end_of_frame`."""


def one_line(data: bytes) -> bytes:
    """Return JSON, or a piece of it, as no client takes it for several lines."""
    return data if data.isascii() else _SEPARATORS.sub(lambda found: _ESCAPES[found[0]], data)


def end_of_frame(event_id: int) -> bytes:
    """Return the end of an event that has this id."""
    return b"\nid:%d\n\n" % event_id


def whole_characters(piece: bytes) -> bytes:
    """Return a piece of UTF-8 without the character at its end that is cut, if there is one."""
    for back in range(1, min(4, len(piece)) + 1):
        byte = piece[-back]
        if byte & 0xC0 != 0x80:  # the first byte of a character; it tells how many there are
            length = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return piece[:-back] if len(piece) - back > 0 and length > back else piece
    return piece


def comment(text: str) -> bytes:
    """Frame a comment, which no client shows: a sign of life.

    No empty line follows: many clients take each for the end of an event, and hand on one without data.

    Parameters
    ----------
    text
        One line.
    """
    return f":{text}\n".encode()


def position(event_id: int) -> bytes:
    """Frame the place at which a stream begins: no event, but what a client sends back that has heard none.

    It is for clients that have asked for it: many hand it on as an event without data.

    Parameters
    ----------
    event_id
        Number of the last event before the stream.
    """
    return b"id:%d\n\n" % event_id


class Message(Struct, frozen=True):
    """A decoded event."""

    data: str
    event: str = "message"
    id: str | None = None
    """Newest id that the stream has given; None before the first."""


class Decoder:
    """Turns the bytes of a stream, cut anywhere, into messages; each byte is looked at once, however long a line is."""

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._fresh = True
        self._after_return = False
        self._unfinished: list[str] = []
        self._data: list[str] = []
        self._event = ""
        self._id: str | None = None
        self.last_id: str | None = None
        """What to send back as ``Last-Event-ID``: the id of the newest frame that is whole; None before the first."""

    def feed(self, chunk: bytes | str) -> list[Message]:
        """Take bytes, or text that was decoded elsewhere, and give the messages that they complete.

        Parameters
        ----------
        chunk
            Whatever has arrived.
        """
        text = chunk if isinstance(chunk, str) else self._text.decode(chunk)
        if not text:
            return []
        if self._fresh:
            text, self._fresh = text.removeprefix("\ufeff"), False
        if self._after_return:  # the line ended with the carriage return: its line feed is not a line of its own
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
