"""What a process takes over from whoever starts it, and how a kernel that was started before gets what is true now."""

import os
from collections.abc import Iterable
from typing import Self

from msgspec import Struct

_AT_START = ("PYTHON", "LD_", "OMP_", "MKL_", "OPENBLAS_", "MALLOC_")
"""Beginnings of the environment variables that a program or its libraries read once, when they are loaded."""


class Changes(Struct, frozen=True):
    """What is different now."""

    environment: dict[str, str | None] = {}
    """Environment variables; None for one that is gone."""
    folder: str | None = None
    """Working folder; None when it is the same."""

    @property
    def need_start(self) -> bool:
        """True when only a process that is started anew would follow them."""
        return any(at_start(self.environment))


class Surroundings(Struct, frozen=True):
    """Environment variables and working folder."""

    environment: dict[str, str]
    folder: str

    @classmethod
    def now(cls) -> Self:
        """Take those of this process."""
        return cls(dict(os.environ), os.getcwd())

    def changes(self, before: "Surroundings") -> Changes:
        """Tell what must be set where `before` was true, for these to be true."""
        changed = {name: value for name, value in self.environment.items() if before.environment.get(name) != value}
        gone = before.environment.keys() - self.environment.keys()
        folder = None if self.folder == before.folder else self.folder
        return Changes({**changed, **dict.fromkeys(gone)}, folder)


def same_at_start(one: dict[str, str], other: dict[str, str]) -> bool:
    """Tell whether two environments agree in all that is read only when a program starts."""
    return all(one.get(name) == other.get(name) for name in {*at_start(one), *at_start(other)})


def at_start(names: Iterable[str]) -> list[str]:
    """Give those names of environment variables that are read only when a program starts."""
    return [name for name in names if name.startswith(_AT_START)]
