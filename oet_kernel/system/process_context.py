"""Context that a process inherits from its parent, and its changes since the start of a warm kernel."""

import os
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from msgspec import Struct

from oet_kernel.protocol import Changes
from oet_kernel.system.children import inherited

_AT_START = (
    *("PYTHON", "LD_", "GLIBC_", "MALLOC_", "LANG", "LC_", "HOME", "IPYTHON"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO_", "BLIS_", "NUMEXPR_"),
)
"""Beginnings of environment variables that a program or its libraries read once, when they are loaded."""
_LIMITS = sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")})


class Bounds(Struct, frozen=True):
    """Inherited limits of a process; a process without privileges cannot undo all of them."""

    umask: str
    niceness: int
    limits: tuple[tuple[int, int], ...]
    """Soft and hard limit of each resource."""

    @classmethod
    def now(cls) -> Self:
        """Return the bounds of this process."""
        # os.umask() would change it for a moment in all threads
        status = Path("/proc/self/status").read_text()
        umask = status.partition("Umask:")[2].split()[0]
        return cls(umask, os.getpriority(os.PRIO_PROCESS, 0), tuple(resource.getrlimit(limit) for limit in _LIMITS))


class Surroundings(Struct, frozen=True):
    """Environment variables, working folder and bounds of a process."""

    environment: dict[str, str]
    folder: str
    bounds: Bounds

    @classmethod
    def now(cls, python: Path | None = None) -> Self:
        """Return the surroundings of this process, for a script in an environment.

        Parameters
        ----------
        python
            Interpreter of the environment; None for the service's own.
        """
        return cls(activated(inherited(), python), os.getcwd(), Bounds.now())

    def changes(self, before: "Surroundings") -> Changes:
        """Return the changes that turn `before` into these surroundings."""
        changed = {name: value for name, value in self.environment.items() if before.environment.get(name) != value}
        gone = before.environment.keys() - self.environment.keys()
        folder = None if self.folder == before.folder else self.folder
        return Changes({**changed, **dict.fromkeys(gone)}, folder, self.bounds != before.bounds)


def need_start(changes: Changes) -> bool:
    """Return whether changes take effect only in a new process."""
    return changes.bounds or any(at_start(changes.environment))


def activated(environment: dict[str, str], python: Path | None) -> dict[str, str]:
    """Return environment variables as set by the ``activate`` of a virtual environment.

    Parameters
    ----------
    environment
        Environment variables before.
    python
        Interpreter of the virtual environment; nothing changes if it is None, or not in a virtual environment.
    """
    if python is None or not (python.parents[1] / "pyvenv.cfg").is_file():
        return environment
    folder = python.parents[1]
    programs = environment.get("PATH", os.defpath).split(os.pathsep)
    if before := environment.get("VIRTUAL_ENV"):
        programs = [one for one in programs if one != os.path.join(before, "bin")]
    kept = {name: value for name, value in environment.items() if name not in ("PYTHONHOME", "VIRTUAL_ENV_PROMPT")}
    return {**kept, "VIRTUAL_ENV": str(folder), "PATH": os.pathsep.join([str(folder / "bin"), *programs])}


def different_at_start(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Return the names of variables that differ between two environments and are read only when a program starts."""
    return sorted(name for name in {*at_start(one), *at_start(other)} if one.get(name) != other.get(name))


def at_start(names: Iterable[str]) -> list[str]:
    """Return the names of environment variables that are read only when a program starts."""
    return [name for name in names if name.startswith(_AT_START)]
