"""Text of outputs: shortening to beginning and end, and resolving of lines that rewrite themselves. Pure."""

from collections.abc import Callable
from io import StringIO

_LINE = 1024
"""Characters of an unfinished line that are kept unchanged; a longer line is resolved as on a terminal."""


class Text:
    """Text that can be shortened to its beginning and its end.

    Parameters
    ----------
    text
        Initial text.
    """

    def __init__(self, text: str = "") -> None:
        self._head = ""
        """Beginning of a shortened text."""
        self._tail = _buffer(text)
        self.left_out = 0
        """Number of characters removed between the beginning and the end."""

    def __len__(self) -> int:
        return len(self._head) + self._tail.tell()

    def write(self, text: str) -> None:
        """Append text."""
        self._tail.write(text)

    def cut(self, size: int) -> None:
        """Shorten the text, half of it from the beginning and half from the end, at line ends where some are near.

        Parameters
        ----------
        size
            Maximum number of characters to keep.
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
            Returns a notice for the number of characters left out.
        """
        return self._head + (notice(self.left_out) if self.left_out else "") + self._tail.getvalue()


class StreamText:
    """Text of a stream as shown on a terminal: a line that rewrites itself appears in its last form."""

    def __init__(self) -> None:
        self._whole = Text()
        self._line = _buffer()
        """Unfinished line."""
        self._longest = _LINE

    def __len__(self) -> int:
        return len(self._whole) + self._line.tell()

    @property
    def left_out(self) -> int:
        """Number of characters that were not kept."""
        return self._whole.left_out

    def write(self, text: str) -> None:
        """Append written text."""
        lines, end, rest = text.rpartition("\n")
        if end:
            self._whole.write(rewritten(self._line.getvalue() + lines + end))
            self._line = _buffer()
        self._line.write(rest)
        if self._line.tell() > self._longest:
            self._line = _buffer(_seen(self._line.getvalue()))
            self._longest = _LINE + 2 * self._line.tell()

    def take(self, *, whole: bool = False) -> str:
        """Return and remove the finished lines.

        Parameters
        ----------
        whole
            Whether to include the unfinished line.
        """
        taken = self._whole.shown(str)
        self._whole = Text()
        if whole:
            taken += _seen(self._line.getvalue()).rstrip("\r\b")
            self._line = _buffer()
        return taken

    def cut(self, size: int) -> None:
        """Shorten the text to a number of characters, of its beginning and its end."""
        if len(self) <= size:
            return
        if self._line.tell() > size // 4:
            self._whole.write(_seen(self._line.getvalue()))
            self._line, self._longest = _buffer(), _LINE
        self._whole.cut(size - self._line.tell())

    def shown(self, notice: Callable[[int], str]) -> str:
        """Return the text as shown on a terminal."""
        return self._whole.shown(notice) + _seen(self._line.getvalue()).rstrip("\b")


def rewritten(text: str) -> str:
    """Return lines as shown on a terminal: text after a carriage return replaces the text before it.

    A backspace moves back by one character. JupyterLab, and ``coalesce_streams`` of nbclient and nbconvert, treat
    carriage returns in the same way.

    Parameters
    ----------
    text
        Whole lines.
    """
    if "\r" not in text and "\b" not in text:
        return text
    return "\n".join(_seen(line).rstrip("\b") for line in text.split("\n"))


def settled(text: str) -> str:
    """Return text as shown on a terminal when nothing more is written.

    Parameters
    ----------
    text
        Lines; the last one may be unfinished.
    """
    return "\n".join(line.rstrip("\r") for line in rewritten(text).split("\n"))


def _seen(line: str) -> str:
    """Return a line without overwritten text; the position for further overwriting is kept."""
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
    buffer = StringIO(newline="")  # line ends are kept as written
    buffer.write(text)
    return buffer
