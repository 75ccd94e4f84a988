"""Last words of a kernel: the end of its output, and how its process ended, as text for users."""

import time
from collections import deque
from contextlib import suppress
from pathlib import Path

import msgspec

from oet_kernel.bounds import read_end
from oet_kernel.kernel_manager.exit_status import Ending
from oet_kernel.protocol import OUTPUT_FILE
from oet_kernel.system.processes import describe_exit

_LINES = 20
_BYTES = 64 << 10
_FATAL = "Fatal Python error: "
"""Beginning of faulthandler's report, in the output of a script that has enabled it for its standard error."""


class LastWords:
    """End of the output of one kernel.

    Parameters
    ----------
    folder
        The kernel's private folder, with the output of its process outside the journal.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._output: deque[bytes] = deque()
        self._bytes = 0

    def keep(self, content: bytes) -> None:
        """Keep the end of the output, in the pieces that arrived: faulthandler writes word by word.

        Parameters
        ----------
        content
            Content of a message of the type ``stream``.
        """
        self._output.append(content)
        self._bytes += len(content)
        while self._bytes - len(self._output[0]) > _BYTES:
            self._bytes -= len(self._output.popleft())

    def lines(self) -> list[str]:
        """Return the end of the script's output, and of the process's output outside the journal."""
        said = []
        text = "".join(_text(content) for content in self._output)
        fatal = text.find(_FATAL)
        lines = text.splitlines()[-_LINES:] if fatal < 0 else text[fatal:].splitlines()
        if lines:
            said += ["Last output:", *lines]
        written = ""
        with suppress(OSError):  # missing, or no file any more
            written = read_end(self._folder / OUTPUT_FILE, _BYTES).decode(errors="replace")
        fatal = written.rfind(_FATAL)  # Python 3.14 adds the C stack behind Python's
        errors = (written[-4096:] if fatal < 0 else written[fatal:]).strip()
        if errors:
            said += ["Last words of the process:", errors]
        return said


def describe_end(ending: Ending | None, at: float | None, *, unwatched: bool) -> str:
    """Return a sentence on the end of a kernel's process.

    Parameters
    ----------
    ending
        Exit status; None if unknown.
    at
        Time of the end in Unix seconds.
    unwatched
        Whether it ended while no service ran.
    """
    clock = time.strftime("%H:%M:%S", time.gmtime(at))
    if ending is not None:
        how = f"The kernel process ended with {describe_exit(ending.status)} at {clock} UTC"
    elif unwatched:
        how = "The kernel process ended"
    else:
        how = f"The kernel process ended with {describe_exit(None)} at {clock} UTC"
    return f"{how}, while no service watched it." if unwatched else f"{how}."


def _text(stream: bytes) -> str:
    try:
        return str(msgspec.json.decode(stream).get("text", ""))
    except Exception:  # a script may forge it
        return ""
