"""Text of outputs: its beginning and its end where it is too long, and lines that rewrite themselves once; pure."""

from collections.abc import Callable
from io import StringIO

_LINE = 1024
"""Characters of an unfinished line that are kept as they came; a longer one is read as a terminal reads it."""


class Text:
    """Text that can be cut: its beginning and its end stay.

    Parameters
    ----------
    text
        What it begins with.
    """

    def __init__(self, text: str = "") -> None:
        self._head = ""
        """The beginning, of one that was cut."""
        self._tail = _buffer(text)
        self.left_out = 0
        """Characters between the beginning and the end that were not kept."""

    def __len__(self) -> int:
        return len(self._head) + self._tail.tell()

    def write(self, text: str) -> None:
        """Add text."""
        self._tail.write(text)

    def cut(self, size: int) -> None:
        """Keep so many characters, half of the beginning and half of the end, cut at ends of lines where some are near.

        Parameters
        ----------
        size
            Characters that are kept, at most.
        """
        before = len(self)
        if before <= size:
            return
        tail = self._tail.getvalue()
        first = size - size // 2
        if not self.left_out:
            self._head, tail = tail[:first], tail[first:]
        head = self._head[:first]
        head = head[: head.rfind("\n", first // 2) + 1 or first]
        begin = max(len(tail) - (size - len(head)), 0)
        begin = tail.find("\n", begin, begin + size // 4) + 1 or begin
        self._head, self._tail = head, _buffer(tail[begin:])
        self.left_out += before - len(self)

    def shown(self, notice: Callable[[int], str]) -> str:
        """Return the text.

        Parameters
        ----------
        notice
            Says that so many characters were left out.
        """
        return self._head + (notice(self.left_out) if self.left_out else "") + self._tail.getvalue()


class StreamText:
    """What was written to a stream, as one sees it: a line that rewrites itself is the last that it showed."""

    def __init__(self) -> None:
        self._whole = Text()
        self._line = _buffer()
        """The line that is not finished."""
        self._longest = _LINE

    def __len__(self) -> int:
        return len(self._whole) + self._line.tell()

    @property
    def left_out(self) -> int:
        """Characters that were not kept."""
        return self._whole.left_out

    def write(self, text: str) -> None:
        """Add what was written."""
        lines, end, rest = text.rpartition("\n")
        if end:
            self._whole.write(rewritten(self._line.getvalue() + lines + end))
            self._line = _buffer()
        self._line.write(rest)
        if self._line.tell() > self._longest:
            self._line = _buffer(_seen(self._line.getvalue()))
            self._longest = _LINE + 2 * self._line.tell()

    def take(self, *, whole: bool = False) -> str:
        """Return the finished lines, and keep them no longer.

        Parameters
        ----------
        whole
            Also the line that is not finished.
        """
        taken = self._whole.shown(str)
        self._whole = Text()
        if whole:
            taken += _seen(self._line.getvalue()).rstrip("\r\b")
            self._line = _buffer()
        return taken

    def cut(self, size: int) -> None:
        """Keep so many characters, of the beginning and of the end."""
        if len(self) <= size:
            return
        if self._line.tell() > size // 4:
            self._whole.write(_seen(self._line.getvalue()))
            self._line, self._longest = _buffer(), _LINE
        self._whole.cut(size - self._line.tell())

    def shown(self, notice: Callable[[int], str]) -> str:
        """Return what one sees."""
        return self._whole.shown(notice) + _seen(self._line.getvalue()).rstrip("\b")


def rewritten(text: str) -> str:
    """Return lines as a terminal shows them: what follows on a carriage return takes the place of what was before.

    A backspace goes back by a character. JupyterLab, and ``coalesce_streams`` of nbclient and nbconvert, do the same
    with carriage returns.

    Parameters
    ----------
    text
        Whole lines.
    """
    if "\r" not in text and "\b" not in text:
        return text
    return "\n".join(_seen(line).rstrip("\b") for line in text.split("\n"))


def settled(text: str) -> str:
    """Return text as a terminal shows it when nothing more is written to it.

    Parameters
    ----------
    text
        Lines; the last one may be unfinished.
    """
    return "\n".join(line.rstrip("\r") for line in rewritten(text).split("\n"))


def _seen(line: str) -> str:
    """Return a line without what it has overwritten; where it is to be overwritten next stays as it was."""
    text = line.rstrip("\r")
    end = "\r" if len(text) < len(line) else ""
    text = text.rpartition("\r")[2]
    if "\b" in text:
        shown: list[str] = []
        at = 0
        for character in text:
            if character == "\b":
                at = max(at - 1, 0)
            else:
                shown[at : at + 1] = character
                at += 1
        text = "".join(shown) + "\b" * (len(shown) - at)
    return text + end


def _buffer(text: str = "") -> StringIO:
    buffer = StringIO(newline="")  # line ends stay as they were written
    buffer.write(text)
    return buffer
