"""What came of a scenario: how much was tried, and what of it was lost, doubled or out of order."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import msgspec
from msgspec import Struct

_MOST_PROBLEMS = 20
"""How many problems are told of; the rest is counted."""


class Outcome(Struct):
    """Counts, and in words what was wrong."""

    name: str
    seed: int
    trials: int = 0
    events: int = 0
    """Events, and lines of output, that were looked at."""
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    """Places where a later one came before an earlier one."""
    problems: list[str] = msgspec.field(default_factory=list)
    """What else was wrong, and where anything was lost, doubled or out of order."""
    notes: dict[str, float] = msgspec.field(default_factory=dict)
    """What was measured besides, or how often the scenario met what."""

    @property
    def sound(self) -> bool:
        """True when nothing was wrong."""
        return not (self.lost or self.doubled or self.disordered or self.problems)

    def compare(self, what: str, expected: Sequence[int], seen: Sequence[int]) -> None:
        """Count what is missing, what is there twice, and what is out of order.

        Parameters
        ----------
        what
            For the reader: of which trial, and where it was seen.
        expected
            Ascending numbers, all different.
        seen
            What came in their place, in its order.
        """
        counted = Counter(seen)
        lost = [number for number in expected if number not in counted]
        doubled = [number for number, times in counted.items() if times > 1]
        known = set(expected)
        strange = [number for number in counted if number not in known]
        disordered = sum(1 for before, after in pairwise(seen) if after < before)
        self.events += len(expected)
        self.lost += len(lost)
        self.doubled += sum(counted[number] - 1 for number in doubled)
        self.disordered += disordered
        for kind, numbers in (("lost", lost), ("doubled", doubled), ("never sent", strange)):
            if numbers:
                self.wrong(f"{what}: {len(numbers)} of {len(expected)} {kind}, the first is {numbers[0]}")
        if disordered:
            self.wrong(f"{what}: {disordered} out of order")

    def check(self, holds: bool, what: str) -> bool:
        """Note what is wrong unless something holds; gives whether it does."""
        if not holds:
            self.wrong(what)
        return holds

    def wrong(self, what: str) -> None:
        """Note what is wrong."""
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(what)
        else:
            self.notes["further problems"] = self.notes.get("further problems", 0) + 1

    def count(self, what: str, times: float = 1) -> None:
        """Note that the scenario met something."""
        self.notes[what] = self.notes.get(what, 0) + times

    def most(self, what: str, value: float) -> None:
        """Note the largest of some values."""
        self.notes[what] = max(self.notes.get(what, value), value)
