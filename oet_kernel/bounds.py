"""The bounds of what a script, a kernel or a client may hand over, the same wherever it is sent, heard, read or kept.

A value in these bounds is taken by msgspec, by SQLite and by the JSON readers of clients. What exceeds them is refused
where it arises, or cut. The checks cost next to nothing for small JSON, and are linear in the length of any other.
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
"""Levels of arrays and objects; readers and writers of JSON in Python end at 1,000 less the frames of the caller."""
EVENT_BYTES = 16 << 20
"""JSON of one event, and content of one message of a kernel."""
RECORD_BYTES = EVENT_BYTES + (64 << 10)
"""Line of a kernel's journal: a message with what stands around it."""
ITEMS = 1_000_000
"""Values in one event: each takes up to 100 bytes of memory where it is read."""
MESSAGE_BYTES = 2 << 20
"""Content of a message by which a kernel says how a call has ended, its stack trace with it."""
NOTE_BYTES = 16 << 10
"""Content of any other message of this project's own, but for events."""
TRACE_CHARACTERS = 250_000
"""Stack trace of a procedure."""
STREAM_BYTES = 1 << 20
"""JSON of one piece of a script's output."""
ARGUMENT_BYTES = 1 << 20
"""JSON of the arguments of one call."""
REQUEST_DEPTH = DEPTH - 10
"""Levels of the body of a request; events and summaries hold what it says, some levels deeper."""
SCRIPT_BYTES = 64 << 20
"""File of a script or a notebook."""
URI_CHARACTERS = 4096
"""URI of a script: the longest path that Linux knows."""
REPOSITORY_CHARACTERS = 2048
"""Address of a git repository."""
NAME_CHARACTERS = 250
"""Name of a branch, a commit, a kernelspec, a checkpoint, an activity, a scheduling block."""
PATTERN_CHARACTERS = 500
"""Pattern of the names of checkpoints."""
TOPIC_CHARACTERS = 200
"""Topic of an event."""
PAGE_BYTES = 4 << 20
"""Events, or procedures, that are read at once; one that is larger comes alone."""
TOPICS = 100
"""Topics in one filter, and topics that one script listens to."""
INTEGER_BITS = 4096
"""Bits of an integer: 1,234 digits, where Python and msgspec read 4,300."""

_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(one for one in range(256) if one not in _STEPS)
_CHUNK = 1 << 16
_PIECE = 1 << 20
_TOPIC = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


class OutOfBounds(ValueError):
    """A value exceeds a bound; the message says which."""


def check_json(data: bytes, most: int = EVENT_BYTES, depth: int = DEPTH) -> None:
    """Check the length, the depth and the number of values of a JSON text; what it says is not read.

    Parameters
    ----------
    data
        JSON in UTF-8.
    most
        Bytes that it may have.
    depth
        Levels that it may have.

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
    """Return JSON without what stands between quotation marks."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(data.split(b'"')[::2])


def _is_shallow(marks: bytes, depth: int) -> bool:
    """Return whether JSON without its texts has no more levels than that."""
    brackets, level = marks.translate(None, _NO_BRACKETS), 0
    for begin in range(0, len(brackets), _CHUNK):
        levels = list(accumulate(map(_STEPS.__getitem__, brackets[begin : begin + _CHUNK]), initial=level))
        if max(levels) > depth:
            return False
        level = levels[-1]
    return True


def read_json(data: bytes, most: int = EVENT_BYTES, depth: int = DEPTH) -> Any:
    """Read JSON of somebody else's.

    Parameters
    ----------
    data
        JSON in UTF-8.
    most
        Bytes that it may have.
    depth
        Levels that it may have.

    Raises
    ------
    OutOfBounds
        When it exceeds a bound, or has a number that not every reader takes (``1e999``, 5,000 digits).
    msgspec.DecodeError
        When it is not JSON.
    """
    msgspec, decode = _reader()
    size = len(data)
    if size > ITEMS or size > most:
        _check_size(data, most)
    try:
        value = decode(data)
    except msgspec.ValidationError as error:  # well-formed, but for a number
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
    import msgspec  # a script that imports `oet_kernel.api` by hand needs none of it

    return msgspec, msgspec.json.Decoder().decode


def check_text(text: str, what: str, most: int) -> str:
    """Return a text that is short enough.

    Parameters
    ----------
    text
        Any text.
    what
        What it is, ``a URI``.
    most
        Characters that it may have.

    Raises
    ------
    OutOfBounds
        ``a URI of 5000 characters is too long; 4096 are allowed``.
    """
    if len(text) > most:
        raise OutOfBounds(f"{what} of {len(text)} characters is too long; {most} are allowed")
    return text


def shortened(text: str, most: int) -> str:
    """Return a text, or its beginning and its end with a notice between them where it is too long.

    Parameters
    ----------
    text
        Any text.
    most
        Characters that are kept.
    """
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def encodable(text: str) -> str:
    """Replace lone surrogates, which have no UTF-8 form."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@lru_cache(4096)
def check_topic(topic: str) -> str:
    """Return a topic that can go out.

    Parameters
    ----------
    topic
        As it was published.

    Raises
    ------
    OutOfBounds
        When it is too long, empty, or has blanks or control characters.
    """
    check_text(topic, f"the topic {topic[:40]!r}...", TOPIC_CHARACTERS)
    if not _TOPIC.fullmatch(topic) or has_controls(topic):
        raise OutOfBounds(f"the topic {topic!r} is not words joined by dots, user.script.announce")
    return topic


def read_up_to(file: BinaryIO, most: int) -> bytes:
    """Read a file to its end, or to so many bytes, for which no memory is taken before they are there.

    Parameters
    ----------
    file
        Open for reading.
    most
        Bytes.
    """
    pieces, size = [], 0
    while size < most and (piece := file.read(min(_PIECE, most - size))):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def read_file(path: Path, most: int) -> bytes:
    """Read a regular file; what stands in its place (a named pipe, a device) is not waited for.

    Parameters
    ----------
    path
        The file.
    most
        Bytes that it may have.

    Raises
    ------
    OSError
        When it cannot be read, or is no regular file.
    OutOfBounds
        When it is larger.
    """
    descriptor = os.open(os.fspath(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path} is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            data = b"" if found.st_size > most else read_up_to(file, most + 1)
    finally:
        os.close(descriptor)
    if max(found.st_size, len(data)) > most:
        raise OutOfBounds(f"{path} has {max(found.st_size, len(data)):,} bytes and {most:,} are allowed")
    return data
