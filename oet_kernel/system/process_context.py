"""What a process takes over from whoever starts it, and how a kernel that was started before gets what is true now."""

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
"""Beginnings of the environment variables that a program or its libraries read once, when they are loaded."""
_LIMITS = sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")})


class Bounds(Struct, frozen=True):
    """What the system grants a process, and it hands on; a process without privilege cannot take all of it back."""

    umask: str
    niceness: int
    limits: tuple[tuple[int, int], ...]
    """Soft and hard limit of each resource."""

    @classmethod
    def now(cls) -> Self:
        """Take those of this process."""
        # os.umask() would change it, in all threads, for a moment
        status = Path("/proc/self/status").read_text()
        umask = status.partition("Umask:")[2].split()[0]
        return cls(umask, os.getpriority(os.PRIO_PROCESS, 0), tuple(resource.getrlimit(limit) for limit in _LIMITS))


class Surroundings(Struct, frozen=True):
    """Environment variables, working folder and bounds."""

    environment: dict[str, str]
    folder: str
    bounds: Bounds

    @classmethod
    def now(cls, python: Path | None = None) -> Self:
        """Take those of this process, for a script in an environment.

        Parameters
        ----------
        python
            The environment's interpreter; None for the service's own.
        """
        return cls(activated(inherited(), python), os.getcwd(), Bounds.now())

    def changes(self, before: "Surroundings") -> Changes:
        """Tell what must be set where `before` was true, for these to be true."""
        changed = {name: value for name, value in self.environment.items() if before.environment.get(name) != value}
        gone = before.environment.keys() - self.environment.keys()
        folder = None if self.folder == before.folder else self.folder
        return Changes({**changed, **dict.fromkeys(gone)}, folder, self.bounds != before.bounds)


def need_start(changes: Changes) -> bool:
    """Return whether only a process that is started anew would follow changes."""
    return changes.bounds or any(at_start(changes.environment))


def activated(environment: dict[str, str], python: Path | None) -> dict[str, str]:
    """Return environment variables as the ``activate`` of a virtual environment leaves them.

    Parameters
    ----------
    environment
        Those before.
    python
        Interpreter of the virtual environment; nothing changes where it is None, or of no virtual environment.
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
    """Name the variables in which two environments differ, of those that are read only when a program starts."""
    return sorted(name for name in {*at_start(one), *at_start(other)} if one.get(name) != other.get(name))


def at_start(names: Iterable[str]) -> list[str]:
    """Give those names of environment variables that are read only when a program starts."""
    return [name for name in names if name.startswith(_AT_START)]
