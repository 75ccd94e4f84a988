"""Findings of ``oet doctor``, and the checks that lead to them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, ParamSpec

from msgspec import Struct

from oet_kernel.state.layout import Layout

P = ParamSpec("P")

RECOVER = "see docs/how-to/recover.md"
"""Remedy for damage that no command repairs."""


class Finding(Struct, frozen=True, kw_only=True):
    """Result of one check, as it is shown."""

    about: str
    """Subject of the check: folder, lock, disk, database, kernels, procedures, fork servers, leftovers."""
    text: str
    """Description of the finding."""
    problem: bool = False
    remedy: str | None = None
    """Action to take; None if none is needed."""
    mended: bool = False


class Observation(Struct, frozen=True):
    """Result of one check, before anything is repaired."""

    about: str
    """Subject of the check, as in `Finding`."""
    text: str
    remedy: str | None = None
    """Action to take; None if none is needed."""
    mend: Callable[[], object] | None = None
    """Repairs it, while no service works in the folder; raises `OSError` if it cannot. None if nothing can."""
    problem: bool = False


def problem(about: str, text: str, remedy: str, mend: Callable[[], object] | None = None) -> Observation:
    """Return an observation that is a problem until it is repaired."""
    return Observation(about, text, remedy, mend, problem=True)


class Site(Struct):
    """State folder that is examined."""

    paths: Layout
    """Paths in the folder."""
    served: bool = False
    """True if a service, or another doctor, holds the lock."""

    @property
    def folder(self) -> Path:
        """The state folder."""
        return self.paths.folder


class Checks(Generic[P]):
    """Checks of one subject, run in the order in which they stand in their module.

    Each is a generator of observations. An observation is repaired before the check goes on, so a later check sees the
    folder as it is then.
    """

    def __init__(self) -> None:
        self._checks: list[Callable[P, Iterator[Observation]]] = []

    def add(self, check: Callable[P, Iterator[Observation]]) -> Callable[P, Iterator[Observation]]:
        """Add a check; used as a decorator."""
        self._checks.append(check)
        return check

    def run(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[Observation]:
        """Run all checks, and return their observations as they are made."""
        for check in self._checks:
            yield from check(*args, **kwargs)
