"""The standard streams of a script: text files on descriptors 1 and 2, which are pipes to the collector.

All writes to a descriptor (print, ``os.write``, compiled code, a subprocess, a forked child) take the same way, so that
order and redirection are those of a plain process.
"""

import codecs
import io
import select
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from oet_kernel.bounds import STREAM_BYTES, encodable
from oet_kernel.kernel.collected import STREAMS
from oet_kernel.kernel.journal import CALL, Journal
from oet_kernel.kernel.pipes import OutputPipes

PIECE = STREAM_BYTES // 6
"""Largest number of characters in one message; a control character takes six bytes of JSON."""
_ESCAPE = "surrogateescape-or-replace"
_ERRORS = {"stdout": _ESCAPE, "stderr": "backslashreplace"}
"""Error handlers for lone surrogates: as in a plain process without a locale, except that none is refused."""


def _escape_or_replace(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return b"".join(
        bytes([ord(one) - 0xDC00]) if 0xDC80 <= ord(one) <= 0xDCFF else "\ufffd".encode() for one in characters
    ), error.end


codecs.register_error(_ESCAPE, _escape_or_replace)


class Descriptor(io.FileIO):
    """Standard output or error as bytes, unbuffered as under ``python -u``.

    There is no `io.BufferedWriter` above it, whose lock a printing signal handler could find held.

    Parameters
    ----------
    index
        0 for standard output, 1 for standard error.
    name
        Name of the stream: ``<stdout>``.
    pipes
        Pipes of both streams, which keep their order.
    """

    name: Any

    def __init__(self, index: int, name: str, pipes: OutputPipes) -> None:
        super().__init__(index + 1, "w", closefd=False)
        self.name = name
        self._index = index
        self._pipes = pipes

    @property
    def raw(self) -> "Descriptor":
        """The unbuffered file: this object."""
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
            Number of bytes written: all of them.
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
    """Standard output or error as text; output of typed code bypasses the descriptor, since it has its own call.

    Parameters
    ----------
    index
        0 for standard output, 1 for standard error.
    pipes
        Pipes behind both streams.
    console
        Receives the output of typed code.
    """

    def __init__(self, index: int, pipes: OutputPipes, console: "ConsoleText") -> None:
        short = STREAMS[index]
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
        """Write the text after the last line end."""
        super().flush()
        self._console.flush()


class ConsoleText:
    """Output of code that guests have typed: journaled under the call of its context, line by line.

    Parameters
    ----------
    journal
        Journal of the kernel.
    pipes
        Pipes of the script's output, whose earlier content is journaled first.
    show
        Shows attached clients the content of a stream message.
    """

    def __init__(self, journal: Journal, pipes: OutputPipes, show: Callable[[dict[str, str]], None]) -> None:
        self._journal = journal
        self._pipes = pipes
        self._show = show
        self._unfinished: dict[tuple[int, str], str] = {}

    def write(self, name: str, text: str) -> None:
        """Journal the lines that a text completes.

        Parameters
        ----------
        name
            Name of the stream.
        text
            Written text, with or without line ends.
        """
        key = (threading.get_ident(), name)
        whole, end, rest = (self._unfinished.pop(key, "") + text).rpartition("\n")
        if rest:
            self._unfinished[key] = rest
        self._tell(name, whole + end)

    def flush(self) -> None:
        """Journal the calling thread's unfinished lines as they are."""
        for name in STREAMS if self._unfinished else ():
            self._tell(name, self._unfinished.pop((threading.get_ident(), name), ""))

    def _tell(self, name: str, text: str) -> None:
        if text:
            self._pipes.synchronise()
        for begin in range(0, len(text), PIECE):
            content = {"name": name, "text": encodable(text[begin : begin + PIECE])}
            self._journal.append("stream", msgspec.json.encode(content))
            self._show(content)


class FlushingSys:
    """`sys` as seen by modules of ipykernel: its streams can be flushed even if a script has replaced its own."""

    def __init__(self) -> None:
        self.stdout = self.stderr = self

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)

    def flush(self) -> None:
        """Flush the script's current streams."""
        flush_streams()


def flush_streams() -> None:
    """Flush standard output and error, and the script's replacements, as far as they can be flushed."""
    for name in STREAMS:
        streams = {id(stream): stream for stream in (getattr(sys, name, None), getattr(sys, f"__{name}__", None))}
        for stream in streams.values():
            with suppress(Exception):
                stream.flush()  # type: ignore[union-attr]
