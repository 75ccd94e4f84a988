"""What a figure is, and how it is told."""

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import msgspec
from tabulate import tabulate


class Target(msgspec.Struct, frozen=True):
    """What a figure has to reach."""

    ratio: float | None = None
    """How many times better than the reference it must be; 1/3 for «at most three times as long»."""
    aim: float | None = None
    """The figure itself, in its unit."""


class Figure(msgspec.Struct):
    """One row of the table."""

    name: str
    unit: str
    reference: str
    """What stands beside it."""
    target: Target
    more_is_better: bool
    ours: list[float]
    theirs: list[float]
    percentile: float | None = None
    """None for the median, else which one is told (0 to 100)."""

    @property
    def value(self) -> float:
        """Give our figure."""
        return self._of(self.ours)

    @property
    def beside(self) -> float | None:
        """Give the reference's."""
        return self._of(self.theirs) if self.theirs else None

    def _of(self, values: list[float]) -> float:
        if self.percentile is None:
            return median(values)
        return sorted(values)[min(len(values) - 1, int(len(values) * self.percentile / 100))]

    @property
    def best(self) -> float:
        """Give the least disturbed of our measurements."""
        return max(self.ours) if self.more_is_better else min(self.ours)

    @property
    def ratio(self) -> float | None:
        """Tell how many times better than the reference ours is."""
        if not self.beside or not self.value:
            return None
        return self.value / self.beside if self.more_is_better else self.beside / self.value

    @property
    def missed(self) -> list[str]:
        """List what it does not reach."""
        missed = []
        if self.target.ratio is not None and (self.ratio is None or self.ratio < self.target.ratio):
            missed.append("ratio")
        if self.target.aim is not None and (
            self.value < self.target.aim if self.more_is_better else self.value > self.target.aim
        ):
            missed.append("aim")
        return missed


def interleave(rounds: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Measure two things in turns, so that what disturbs the machine disturbs both."""
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def rows(figures: list[Figure]) -> Iterator[dict[str, Any]]:
    """Give the rows of the table."""
    for figure in figures:
        sign = ">" if figure.more_is_better else "<"
        aims = [f"{figure.target.ratio:.3g} times"] if figure.target.ratio is not None else []
        aims += [f"{sign} {_short(figure.target.aim)}"] if figure.target.aim is not None else []
        yield {
            "figure": figure.name,
            "unit": figure.unit,
            "measured": _short(figure.value),
            "best": _short(figure.best),
            "reference": figure.reference,
            "its value": "-" if figure.beside is None else _short(figure.beside),
            "times better": "-" if figure.ratio is None else f"{figure.ratio:.3g}",
            "to reach": ", ".join(aims),
            "reached": "no: " + ", ".join(figure.missed) if figure.missed else "yes",
        }


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(figures: list[Figure], style: str) -> str:
    """Tabulate figures."""
    return str(tabulate(rows(figures), headers="keys", tablefmt=style, disable_numparse=True))
