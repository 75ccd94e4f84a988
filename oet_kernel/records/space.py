"""The room that the outputs of a record share: when it is used up, each output keeps its beginning and its end.

What takes most is shortened first, whenever it came: a long output at the beginning takes no room from a short one at
the end. Figures and other contents that cannot be cut are left out, the largest first, and of those about as large the
ones in the middle of their cell. Of very many outputs of a cell the first and the last are kept.
"""

from collections.abc import Sequence
from typing import Protocol

COST = 256
"""Characters that an output takes besides its content, about."""
_LEAST = 256
"""Characters that an output of text keeps at least."""
_FEWEST = 2
"""Outputs that a cell keeps at least: the first and the last."""
_AFTER = 3 / 4
"""How much of the limit is used after outputs were shortened."""
_UNCUT = 8
"""The part of the limit that is for what is never shortened, one in so many."""


class Output(Protocol):
    """One output of a cell."""

    @property
    def text(self) -> int:
        """Characters that can be shortened."""

    @property
    def content(self) -> int:
        """Characters that can be left out only as a whole."""

    def cut(self, size: int) -> None:
        """Keep the beginning and the end of its text."""

    def strip(self) -> None:
        """Leave out all but its text."""


class Cell(Protocol):
    """The outputs of a cell."""

    @property
    def outputs(self) -> Sequence[Output]:
        """Those that it has kept, in order."""

    def thin(self, count: int) -> None:
        """Keep the first and the last outputs."""


class Space:
    """How much room outputs take together.

    Parameters
    ----------
    limit
        Characters of output in all.
    """

    def __init__(self, limit: int) -> None:
        self.used = 0
        """Characters that outputs take, `COST` for each included."""
        self.cells: list[Cell] = []
        """The cells that share it."""
        self._limit = limit
        self._uncut = 0
        self._full = limit
        """Characters beyond which outputs are shortened."""

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
        """Note that outputs have grown or shrunk; shorten them where they take too much together.

        Parameters
        ----------
        by
            Characters.
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
        # many cells may need more than there is; what they say is not to be looked through for each further word
        self._full = max(self._limit - self._uncut, self.used + self.used // 4)

    def _strip(self, room: int) -> None:
        """Leave out contents that cannot be cut, as long as they take more than half of the room, and all of it."""
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
    """Return the size to which the largest are to be shortened so that all fit.

    Parameters
    ----------
    sizes
        What they take.
    room
        What there is.

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
