"""The space that the outputs of a record share: when it is full, each output keeps its beginning and its end.

The longest outputs are shortened first, whatever their position: a long output at the beginning takes no room from a
short one at the end. Figures and other content that cannot be cut are left out, the largest first, and among those of
similar size the ones in the middle of their cell. Of very many outputs of a cell the first and the last are kept.
"""

from collections.abc import Sequence
from typing import Protocol

COST = 256
"""Approximate number of characters that an output takes besides its content."""
_LEAST = 256
"""Smallest number of characters that a text output keeps."""
_FEWEST = 2
"""Smallest number of outputs that a cell keeps: the first and the last."""
_AFTER = 3 / 4
"""Fraction of the limit that is used after outputs were shortened."""
_UNCUT = 8
"""Divisor of the limit for the part that is reserved for content that is never shortened."""


class Output(Protocol):
    """One output of a cell."""

    @property
    def text(self) -> int:
        """Number of characters that can be shortened."""

    @property
    def content(self) -> int:
        """Number of characters that can be left out only as a whole."""

    def cut(self, size: int) -> None:
        """Shorten the text to `size` characters: its beginning and its end."""

    def strip(self) -> None:
        """Remove all content except the text."""


class Cell(Protocol):
    """The outputs of a cell."""

    @property
    def outputs(self) -> Sequence[Output]:
        """Outputs that are kept, in order."""

    def thin(self, count: int) -> None:
        """Reduce the outputs to `count`: the first and the last."""


class Space:
    """The shared space of outputs.

    Parameters
    ----------
    limit
        Total number of characters of output.
    """

    def __init__(self, limit: int) -> None:
        self.used = 0
        """Number of characters that outputs take, with `COST` for each output."""
        self.cells: list[Cell] = []
        """Cells that share the space."""
        self._limit = limit
        self._uncut = 0
        self._full = limit
        """Number of characters beyond which outputs are shortened."""

    def take(self, size: int) -> bool:
        """Reserve room for content that is never shortened; return False where there is not enough.

        Parameters
        ----------
        size
            Length of the content in characters.
        """
        if self._uncut + size > self._limit // _UNCUT:
            return False
        self._uncut += size
        self._full = max(self._full - size, 0)
        return True

    def change(self, by: int) -> None:
        """Record that outputs have grown or shrunk; shorten them where they exceed the space together.

        Parameters
        ----------
        by
            Number of characters; negative where they have shrunk.
        """
        self.used += by
        if self.used > self._full:
            self._shorten()

    def _shorten(self) -> None:
        room = int((self._limit - self._uncut) * _AFTER)
        self._strip(room)
        outputs = self._outputs
        content = sum(one.content for one in outputs)
        if len(outputs) * (COST + _LEAST) > room - content:
            counts = [len(cell.outputs) for cell in self.cells]
            fewest = max(level(counts, (room - content) // (COST + _LEAST)), _FEWEST)
            for cell in self.cells:
                cell.thin(fewest)
            outputs = self._outputs
            content = sum(one.content for one in outputs)
        size = max(level([one.text for one in outputs], room - content - COST * len(outputs)), _LEAST)
        for one in outputs:
            one.cut(size)
        self.used = sum(COST + one.text + one.content for one in outputs)
        # many cells may need more than the space; outputs must not be scanned again for each further word
        self._full = max(self._limit - self._uncut, self.used + self.used // 4)

    def _strip(self, room: int) -> None:
        """Remove content that cannot be cut, while it takes more than half of the room, and all outputs exceed it."""
        found = []
        for cell in self.cells:
            last = len(cell.outputs) - 1
            found += [(one, min(at, last - at)) for at, one in enumerate(cell.outputs)]
        content = sum(one.content for one, _ in found)
        most = max(room // 2, room - sum(COST + one.text for one, _ in found))
        middle = len(found) // 2
        order = sorted(
            (-one.content.bit_length(), -inside, abs(at - middle), at)
            for at, (one, inside) in enumerate(found)
            if one.content
        )
        for *_, at in order:
            if content <= most:
                break
            one = found[at][0]
            before = one.content
            one.strip()
            content -= before - one.content

    @property
    def _outputs(self) -> list[Output]:
        return [one for cell in self.cells for one in cell.outputs]


def level(sizes: Sequence[int], room: int) -> int:
    """Return the size to which the largest outputs must be shortened so that all fit.

    Parameters
    ----------
    sizes
        Sizes of the outputs.
    room
        Available total.

    Returns
    -------
    int
        The largest ``n`` for which ``sum(min(size, n) for size in sizes)`` is at most the room; the largest size
        where all fit.
    """
    left = max(room, 0)
    ordered = sorted(sizes)
    for at, size in enumerate(ordered):
        share = left // (len(ordered) - at)
        if size > share:
            return share
        left -= size
    return ordered[-1] if ordered else 0
