"""Execution of the programs that fetch and build (git, pip, uv): passes their lines on, and ends them."""

import asyncio
import os
import re
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field

from oet_kernel.scripts.single_flight import Log
from oet_kernel.system.children import inherited
from oet_kernel.system.processes import exit_of, signal_group

_LONGEST_LINE = 2000
"""Characters of a line that are kept."""
_MOST_OUTPUT = 64 << 20
"""Bytes of standard output that are kept, where the caller requests it."""
_LAST_LINES = 20
_ERROR_LINES = 20
_ERROR = re.compile(r"\b(error|fatal|failed|cannot|could not|conflict|no solution)\b", re.IGNORECASE)
_GRACE = 2.0
"""Grace period in seconds between SIGTERM and SIGKILL, in which a program removes incomplete files."""
_LINGERING = 1.0
"""Seconds to read on after a program's end, while one of its children holds the output open."""


class ScriptSourceError(Exception):
    """A repository or an environment is not available; the text contains the tool's own message."""


class Said:
    """The lines of a program that show why it has failed: lines that mention an error, and the last ones."""

    def __init__(self) -> None:
        self._count = 0
        self._errors: dict[int, str] = {}
        self._last: deque[tuple[int, str]] = deque(maxlen=_LAST_LINES)

    def add(self, line: str) -> None:
        """Add a line."""
        self._count += 1
        self._last.append((self._count, line))
        if len(self._errors) < _ERROR_LINES and _ERROR.search(line):
            self._errors[self._count] = line

    @property
    def lines(self) -> list[str]:
        """The lines, in order, with ``...`` where some are left out."""
        kept = {**self._errors, **dict(self._last)}
        said: list[str] = []
        before = 0
        for number in sorted(kept):
            said += ["..."] * (number > before + 1) + [kept[number]]
            before = number
        return said


class Ran(Struct):
    """Exit status and output of a program."""

    status: int
    output: bytes = b""
    """Standard output, where the caller has requested it."""
    said: Said = field(default_factory=Said)


async def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    log: Log = lambda line: None,
    keep_output: bool = False,
    public: Callable[[str], str] = str,
) -> Ran:
    """Run a program to its end; a cancellation ends it, with all its children.

    Parameters
    ----------
    command
        The program and its arguments, which all users of the machine can read.
    environment
        All environment variables of the program; None for those of any child process.
    folder
        Working folder; None for the service's own.
    log
        Called with each line as it arrives.
    keep_output
        Whether standard output is returned, and only standard error is read as lines.
    public
        Removes secrets from a line.
    """
    said, output = Said(), bytearray()

    def take(line: str) -> None:
        line = public(line)[:_LONGEST_LINE]
        said.add(line)
        log(line)

    lines, lines_in = await _pipe()
    kept, kept_in = await _pipe() if keep_output else (lines, lines_in)
    try:
        process = subprocess.Popen(  # noqa: ASYNC220 - does not wait
            command,
            cwd=folder,
            env=inherited() if environment is None else environment,
            stdin=subprocess.DEVNULL,
            stdout=kept_in,
            stderr=lines_in,
            start_new_session=True,
        )
    except BaseException:
        lines[1].close()
        kept[1].close()
        raise
    finally:
        for descriptor in {lines_in, kept_in}:
            os.close(descriptor)
    readers = [asyncio.create_task(_lines(lines[0], take))]  # noqa: TID251 - awaited below
    if keep_output:
        readers.append(asyncio.create_task(_collect(kept[0], output)))  # noqa: TID251 - awaited below
    try:
        status = await exit_of(process)
        # a child that goes on, such as a master connection of ssh's, may hold the output open
        await asyncio.wait(readers, timeout=_LINGERING)
    except BaseException:
        await _end(process)
        raise
    finally:
        for reader in readers:
            reader.cancel()
        lines[1].close()
        kept[1].close()
    return Ran(status, bytes(output), said)


async def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program: SIGTERM, so that it removes its locks, then SIGKILL for it and its children."""
    signal_group(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(_GRACE):
            await exit_of(process)
    except TimeoutError:
        pass
    finally:
        signal_group(process.pid, signal.SIGKILL)
        if process.returncode is None:
            await exit_of(process)


async def _pipe() -> tuple[tuple[asyncio.StreamReader, asyncio.ReadTransport], int]:
    """Create a pipe: its reading end for the event loop, its writing end for a child."""
    read, write = os.pipe()
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader),
        open(read, "rb", buffering=0),  # noqa: ASYNC230, SIM115
    )
    return (reader, transport), write


async def _collect(stream: asyncio.StreamReader, output: bytearray) -> None:
    while chunk := await stream.read(1 << 16):
        if len(output) < _MOST_OUTPUT:
            output += chunk


async def _lines(stream: asyncio.StreamReader, take: Callable[[str], None]) -> None:
    """Pass on lines as they arrive; an endless line is cut, and a carriage return (progress display) ends a line."""
    begun = b""
    while chunk := await stream.read(1 << 16):
        *whole, begun = re.split(rb"[\r\n]+", begun + chunk)
        begun = begun[: 4 * _LONGEST_LINE]
        for line in whole:
            if line:
                take(line.decode(errors="replace").rstrip())
    if begun:
        take(begun.decode(errors="replace").rstrip())
