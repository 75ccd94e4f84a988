"""Packages for kernels in other environments: links to those that the kernel needs and the environment lacks.

Two folders complement an environment's own packages. ``last`` follows these on ``sys.path`` and holds all packages that
the kernel needs. ``first`` precedes them and holds only the packages that the environment has in a version with which
the kernel cannot run, for example an old ipykernel pinned by its requirements.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from msgspec import Struct
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

_PACKAGE = Path(__file__).parents[1]
_NAME = "oet-kernel"
_NEEDED = ("ipykernel", "ipython", "jupyter-client", "msgspec", "pypubsub", "pyzmq", "tornado", "traitlets")
"""Distributions that the kernel's process imports, without their dependencies."""
_FOR_NOTEBOOKS = ("papermill",)
"""Further distributions that it imports to write arguments in the language of another kernel."""
_NOT_NEEDED = frozenset({"debugpy"})
"""Distributions that are left out of kernels: the debugger of ipykernel."""


class GivesWay(Struct, frozen=True):
    """Distribution of an environment that the service's replaces in kernels."""

    name: str
    version: str
    """Version in the environment."""
    ours: str
    """Version in the service's installation."""
    needed: str
    """Versions that the kernel needs."""

    def __str__(self) -> str:
        return f"{self.name} {self.version} is replaced by {self.ours}: kernels need {self.needed}"


class Paths(Struct, frozen=True):
    """Folders that are added to ``sys.path`` for the kernels of an environment."""

    first: Path
    last: Path
    notebooks: Path
    """Folder that is added when a notebook in another language needs it."""


def paths_for(python: Path) -> Paths:
    """Return the folders of packages for the kernels of an environment, existing or not.

    Parameters
    ----------
    python
        Interpreter of the environment.
    """
    place = python.parents[1] / f"oet-kernel-{_installation()}"
    return Paths(place / "first", place / "last", place / "notebooks")


def provide(python: Path) -> list[GivesWay]:
    """Create the folders for the kernels of an environment, unless they exist; blocks on files.

    Folders of another version of the service are kept, for the kernels that it has left running.

    Parameters
    ----------
    python
        Interpreter of the environment.

    Returns
    -------
    list of GivesWay
        Distributions of the environment that the service's replace in its kernels.
    """
    place = paths_for(python).last.parent
    conflicts = list(_conflicts(_versions(python)))
    if place.is_dir():
        return conflicts
    fresh = Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=place.parent))
    try:
        needed, notebooks = _closure(_NEEDED), _closure(_FOR_NOTEBOOKS)
        _link(fresh / "last", needed.values())
        (fresh / "last" / _PACKAGE.name).symlink_to(_PACKAGE)
        _link(fresh / "first", (needed[canonicalize_name(one.name)] for one in conflicts))
        _link(fresh / "notebooks", (one for name, one in notebooks.items() if name not in needed))
        fresh.chmod(0o755)
        with suppress(OSError):  # another process has just created it
            fresh.rename(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return conflicts


def _versions(python: Path) -> dict[str, str]:
    """Return the versions of an environment's distributions by their canonical names."""
    folder = python.parents[1] / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    found: dict[str, str] = {}
    for one in distributions(path=[str(folder)]):
        with suppress(Exception):  # broken metadata
            found[canonicalize_name(one.metadata["Name"])] = one.version
    return found


def _conflicts(versions: dict[str, str]) -> Iterator[GivesWay]:
    needs = _needs()
    for name, one in _closure(_NEEDED).items():
        version = versions.get(name)
        if version is not None and not needs[name].contains(version, prereleases=True):
            yield GivesWay(one.metadata["Name"], version, one.version, str(needs[name]))


@cache
def _closure(roots: tuple[str, ...]) -> dict[str, Distribution]:
    """Return the given distributions and their dependencies by canonical name, from the service's own installation."""
    found: dict[str, Distribution] = {}
    queue = [canonicalize_name(name) for name in roots]
    while queue:
        name = queue.pop()
        if name in found or name in _NOT_NEEDED:
            continue
        with suppress(PackageNotFoundError):
            found[name] = distribution(name)
            queue += [canonicalize_name(one.name) for one in _requirements(found[name])]
    return found


@cache
def _needs() -> dict[str, SpecifierSet]:
    """Return the versions that this package and the kernel's distributions require of each other."""
    needed = _closure(_NEEDED)
    needs = dict.fromkeys(needed, SpecifierSet())
    with suppress(PackageNotFoundError):
        ours = _requirements(distribution(_NAME))
        for one in [*ours, *(one for dist in needed.values() for one in _requirements(dist))]:
            if (name := canonicalize_name(one.name)) in needs:
                needs[name] &= one.specifier
    return needs


def _requirements(one: Distribution) -> list[Requirement]:
    found = [Requirement(text) for text in one.requires or ()]
    return [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]


@cache
def _installation() -> str:
    """Return a name for the linked packages, which differs for each installation of the service."""
    parts = [sys.version, str(_PACKAGE)]
    for roots in (_NEEDED, _FOR_NOTEBOOKS):
        parts += [f"{name} {one.version} {one.locate_file('')}" for name, one in sorted(_closure(roots).items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _link(folder: Path, needed: Iterable[Distribution]) -> None:
    """Create a folder of links to the modules and metadata of distributions."""
    folder.mkdir()
    for one in needed:
        for name in _top_level(one):
            source = Path(str(one.locate_file(name)))
            if source.exists() and not (folder / name).is_symlink():
                (folder / name).symlink_to(os.path.abspath(source))


def _top_level(one: Distribution) -> set[str]:
    """Return the names of a distribution's top-level files and folders."""
    listed = {file.parts[0] for file in one.files or () if file.parts}
    if not listed:  # a package of the system without a list of files
        text = one.read_text("top_level.txt") or one.metadata["Name"].replace("-", "_")
        listed = {name + suffix for name in text.split() for suffix in ("", ".py")}
    return {name for name in listed if name not in ("..", "/", "__pycache__") and not name.endswith(".pth")}
