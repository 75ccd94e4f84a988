"""What a kernel imports in an environment that lacks it: links to the packages that it needs, and to nothing else.

Two folders beside an environment's own packages. ``last`` stands behind these on ``sys.path`` and holds all that the
kernel needs. ``first`` stands before them and holds only what the environment has in a version that the kernel cannot
run with, as where its requirements pin an old ipykernel.
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
"""Distributions that the kernel's process imports, besides what these need."""
_FOR_NOTEBOOKS = ("papermill",)
"""What it imports, besides, to write arguments in the language of another kernel."""
_NOT_NEEDED = frozenset({"debugpy"})
"""ipykernel's debugger is left out of kernels."""


class GivesWay(Struct, frozen=True):
    """A distribution of an environment in whose place the kernel has the service's."""

    name: str
    version: str
    """The environment's."""
    ours: str
    """The service's version."""
    needed: str
    """What the kernel needs."""

    def __str__(self) -> str:
        return f"{self.name} {self.version} gives way to {self.ours}: kernels need {self.needed}"


class Paths(Struct, frozen=True):
    """What is added to ``sys.path`` for the kernels of an environment."""

    first: Path
    last: Path
    notebooks: Path
    """Added when a notebook in another language needs it."""


def paths_for(python: Path) -> Paths:
    """Return where the packages for the kernels of an environment are, once they were provided.

    Parameters
    ----------
    python
        Its interpreter.
    """
    place = python.parents[1] / f"oet-kernel-{_installation()}"
    return Paths(place / "first", place / "last", place / "notebooks")


def provide(python: Path) -> list[GivesWay]:
    """Make the folders for the kernels of an environment, unless they are there; it reads and writes files.

    Those that another version of the service has made stay, for the kernels that it has left at work.

    Parameters
    ----------
    python
        Its interpreter.

    Returns
    -------
    list of GivesWay
        What its kernels have from the service in place of the environment's own.
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
        with suppress(OSError):  # another has just made it
            fresh.rename(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return conflicts


def _versions(python: Path) -> dict[str, str]:
    """Return the versions of an environment's distributions by their canonical names."""
    folder = python.parents[1] / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    found: dict[str, str] = {}
    for one in distributions(path=[str(folder)]):
        with suppress(Exception):  # metadata that are broken
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
    """Return distributions by canonical name: these, and all that they need; of the service's own installation."""
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
    """Return the versions that this package and the kernel's distributions need of each other."""
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
    """Return a name for what is linked to: it is another where the service's installation is."""
    parts = [sys.version, str(_PACKAGE)]
    for roots in (_NEEDED, _FOR_NOTEBOOKS):
        parts += [f"{name} {one.version} {one.locate_file('')}" for name, one in sorted(_closure(roots).items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _link(folder: Path, needed: Iterable[Distribution]) -> None:
    """Make a folder of links to the modules and metadata of distributions."""
    folder.mkdir()
    for one in needed:
        for name in _top_level(one):
            source = Path(str(one.locate_file(name)))
            if source.exists() and not (folder / name).is_symlink():
                (folder / name).symlink_to(os.path.abspath(source))


def _top_level(one: Distribution) -> set[str]:
    """Name the files and folders that a distribution has put beside those of others."""
    listed = {file.parts[0] for file in one.files or () if file.parts}
    if not listed:  # a system's package, which keeps no list
        text = one.read_text("top_level.txt") or one.metadata["Name"].replace("-", "_")
        listed = {name + suffix for name in text.split() for suffix in ("", ".py")}
    return {name for name in listed if name not in ("..", "/", "__pycache__") and not name.endswith(".pth")}
