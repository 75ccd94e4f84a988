"""Bounds of data from scripts, kernels and clients, the same for sending, receiving, reading and storing.

A value in these bounds is accepted by msgspec, by SQLite and by the JSON readers of clients. Larger data are refused
at their origin, or cut. The checks cost next to nothing for small JSON, and are linear in the length of any other.
"""

import errno
import os
import re
import stat
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

from oet_kernel.printable import has_controls

DEPTH = 100
"""Levels of arrays and objects; JSON in Python is limited to 1,000 levels less the frames of the caller."""
EVENT_BYTES = 16 << 20
"""Bytes of JSON of one event, and of the content of one message of a kernel."""
RECORD_BYTES = EVENT_BYTES + (64 << 10)
"""Bytes of a line in a kernel's journal: a message with its envelope."""
ITEMS = 1_000_000
"""Number of values in one event: each takes up to 100 bytes of memory when decoded."""
MESSAGE_BYTES = 2 << 20
"""Bytes of the content of a kernel's message about the end of a call, with its stack trace."""
NOTE_BYTES = 16 << 10
"""Bytes of the content of any other message of this project, except events."""
TRACE_CHARACTERS = 250_000
"""Characters of the stack trace of a procedure."""
STREAM_BYTES = 1 << 20
"""Bytes of JSON of one piece of a script's output."""
ARGUMENT_BYTES = 1 << 20
"""Bytes of JSON of the arguments of one call."""
REQUEST_DEPTH = DEPTH - 10
"""Levels of the body of a request; events and summaries hold its values some levels deeper."""
SCRIPT_BYTES = 64 << 20
"""Bytes of a script's or notebook's file."""
URI_CHARACTERS = 4096
"""Characters of the URI of a script: the longest path of Linux."""
REPOSITORY_CHARACTERS = 2048
"""Characters of the address of a git repository."""
NAME_CHARACTERS = 250
"""Characters of the name of a branch, a commit, a kernelspec, a checkpoint, an activity, a scheduling block."""
PATTERN_CHARACTERS = 500
"""Characters of a pattern of checkpoints' names."""
TOPIC_CHARACTERS = 200
"""Characters of the topic of an event."""
PAGE_BYTES = 4 << 20
"""Bytes of events or procedures that are read at once; a larger one is read alone."""
TOPICS = 100
"""Number of topics in one filter, and of topics that one script listens to."""
INTEGER_BITS = 4096
"""Bits of an integer: 1,234 digits, where Python and msgspec read 4,300."""

_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(one for one in range(256) if one not in _STEPS)
_CHUNK = 1 << 16
_PIECE = 1 << 20
_TOPIC = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


class OutOfBounds(ValueError):
    """A value exceeds a bound; the message names the bound."""


def check_json(data: bytes, most: int = EVENT_BYTES, depth: int = DEPTH) -> None:
    """Check the length, the depth and the number of values of a JSON text, without decoding it.

    Parameters
    ----------
    data
        JSON in UTF-8.
    most
        Maximum size in bytes.
    depth
        Maximum number of levels.

    Raises
    ------
    OutOfBounds
        ``has 20,971,532 bytes of JSON and 16,777,216 are allowed``.
    """
    size = len(data)
    if size > ITEMS or size > most:
        _check_size(data, most)
    if size > depth and data.count(b"[") + data.count(b"{") > depth:
        _check_depth(data, depth)


def _check_size(data: bytes, most: int) -> None:
    if len(data) > most:
        raise OutOfBounds(f"has {len(data):,} bytes of JSON and {most:,} are allowed")
    if len(data) > ITEMS and data.count(b",") >= ITEMS and (count := _without_texts(data).count(b",")) >= ITEMS:
        raise OutOfBounds(f"has {count:,} values and {ITEMS:,} are allowed; publish less, or in pieces")


def _check_depth(data: bytes, depth: int) -> None:
    if not _is_shallow(_without_texts(data), depth):
        raise OutOfBounds(f"nests more than {depth} levels deep")


def _without_texts(data: bytes) -> bytes:
    """Return JSON without the text between quotation marks."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(data.split(b'"')[::2])


def _is_shallow(marks: bytes, depth: int) -> bool:
    """Return whether JSON without its texts has at most this number of levels."""
    brackets, level = marks.translate(None, _NO_BRACKETS), 0
    for begin in range(0, len(brackets), _CHUNK):
        levels = list(accumulate(map(_STEPS.__getitem__, brackets[begin : begin + _CHUNK]), initial=level))
        if max(levels) > depth:
            return False
        level = levels[-1]
    return True


def read_json(data: bytes, most: int = EVENT_BYTES, depth: int = DEPTH) -> Any:
    """Decode JSON from outside the service.

    Parameters
    ----------
    data
        JSON in UTF-8.
    most
        Maximum size in bytes.
    depth
        Maximum number of levels.

    Raises
    ------
    OutOfBounds
        When the JSON exceeds a bound, or has a number that not every reader accepts (``1e999``, 5,000 digits).
    msgspec.DecodeError
        When the text is not JSON.
    """
    msgspec, decode = _reader()
    size = len(data)
    if size > ITEMS or size > most:
        _check_size(data, most)
    try:
        value = decode(data)
    except msgspec.ValidationError as error:  # well-formed, except for a number
        raise OutOfBounds(f"has a number that is out of range: {error}") from None
    except UnicodeError as error:
        raise msgspec.DecodeError(str(error)) from None
    except RecursionError:
        raise OutOfBounds(f"nests more than {depth} levels deep") from None
    if size > depth and data.count(b"[") + data.count(b"{") > depth:
        _check_depth(data, depth)
    return value


@cache
def _reader() -> tuple[Any, Callable[[bytes], Any]]:
    import msgspec  # a script that runs by hand imports `oet_kernel.api` without msgspec

    return msgspec, msgspec.json.Decoder().decode


def check_text(text: str, what: str, most: int) -> str:
    """Return a text if it is short enough.

    Parameters
    ----------
    text
        Any text.
    what
        Noun for the error message, ``a URI``.
    most
        Maximum number of characters.

    Raises
    ------
    OutOfBounds
        ``a URI of 5000 characters is too long; 4096 are allowed``.
    """
    if len(text) > most:
        raise OutOfBounds(f"{what} of {len(text)} characters is too long; {most} are allowed")
    return text


def shortened(text: str, most: int) -> str:
    """Return a text, or its beginning and its end with a notice between them if it is too long.

    Parameters
    ----------
    text
        Any text.
    most
        Number of characters that are kept.
    """
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def encodable(text: str) -> str:
    """Return a text with lone surrogates, which have no UTF-8 form, replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@lru_cache(4096)
def check_topic(topic: str) -> str:
    """Return a topic if it can be published.

    Parameters
    ----------
    topic
        Topic as published.

    Raises
    ------
    OutOfBounds
        When the topic is too long, empty, or has blanks or control characters.
    """
    check_text(topic, f"the topic {topic[:40]!r}...", TOPIC_CHARACTERS)
    if not _TOPIC.fullmatch(topic) or has_controls(topic):
        raise OutOfBounds(
            f"the topic {topic!r} is not valid: a topic is words joined by dots, such as user.script.announce"
        )
    return topic


def read_up_to(file: BinaryIO, most: int) -> bytes:
    """Read a file to its end, or to a number of bytes; memory is allocated only as bytes arrive.

    Parameters
    ----------
    file
        File open for reading.
    most
        Maximum number of bytes.
    """
    pieces, size = [], 0
    while size < most and (piece := file.read(min(_PIECE, most - size))):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def read_file(path: Path, most: int) -> bytes:
    """Read a regular file; anything else at the path (a named pipe, a device) is refused without waiting.

    Parameters
    ----------
    path
        Path of the file.
    most
        Maximum size in bytes.

    Raises
    ------
    OSError
        When the path cannot be read, or is not a regular file.
    OutOfBounds
        When the file is larger.
    """
    with _open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = b"" if size > most else read_up_to(file, most + 1)
    if max(size, len(data)) > most:
        raise OutOfBounds(f"{path} has {max(size, len(data)):,} bytes and {most:,} are allowed")
    return data


def read_end(path: Path, most: int) -> bytes:
    """Read the end of a regular file; otherwise like `read_file`.

    Parameters
    ----------
    path
        Path of the file.
    most
        Number of bytes to read; fewer if the file is smaller.

    Raises
    ------
    OSError
        When the path cannot be read, or is not a regular file.
    """
    with _open_regular(path) as file:
        file.seek(max(os.fstat(file.fileno()).st_size - most, 0))
        return read_up_to(file, most)


def _open_regular(path: Path) -> BinaryIO:
    descriptor = os.open(os.fspath(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path} is not a regular file")
    except BaseException:
        os.close(descriptor)
        raise
    return open(descriptor, "rb")
