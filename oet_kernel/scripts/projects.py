"""Packages that a repository declares for its scripts, read from its files in the order of installers."""

import configparser
import platform
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from oet_kernel.scripts.tools import ScriptSourceError

_REQUIREMENTS = "requirements.txt"
_NOT_READ = ("environment.yml", "environment.yaml", "Pipfile", "poetry.lock", "pylock.toml", "uv.lock")
"""Files of other tools, which are mentioned where no other file declares packages."""
_BUILD_SYSTEM = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'


class Declared(Struct, frozen=True, kw_only=True):
    """Packages to install for a repository."""

    project: bool = False
    """Whether to install the repository itself, with its dependencies."""
    dependencies: tuple[str, ...] = ()
    """Requirements of a project that is not a package."""
    requirements: bool = False
    """Whether to install the packages in ``requirements.txt``."""
    requires_python: str | None = None
    """Supported versions of Python, as a version specifier; None for any."""
    note: str | None = None
    """Message for the log about missing declarations; None for none."""
    settings: dict[str, str] = field(default_factory=dict)
    """Texts of files to add to the sources, by name, without which installers refuse them."""


def declared(folder: Path) -> Declared:
    """Read the declarations of a repository.

    A ``pyproject.toml`` that only configures tools declares nothing. Of a project without a build system and without a
    package of its name, as ``uv init`` creates for scripts, only the dependencies are installed.

    Parameters
    ----------
    folder
        Folder with the repository's files.

    Raises
    ------
    ScriptSourceError
        When ``pyproject.toml`` cannot be read.
    """
    pyproject = _pyproject(folder / "pyproject.toml")
    project = pyproject.get("project")
    project = project if isinstance(project, dict) else None
    setup = _setup(folder / "setup.cfg")
    requires = project.get("requires-python") if project else setup.get("options", "python_requires", fallback=None)
    requires = requires if isinstance(requires, str) else None
    has_setup = (folder / "setup.py").is_file() or setup.has_section("metadata")
    if project is not None and "build-system" not in pyproject and not has_setup and _is_no_package(folder, project):
        listed = project.get("dependencies", [])
        names = tuple(one for one in listed if isinstance(one, str)) if isinstance(listed, list) else ()
        return Declared(dependencies=names, requires_python=requires)
    if project is not None or "build-system" in pyproject or has_setup:
        missing = not pyproject and not (folder / "setup.py").is_file()
        return Declared(
            project=True,
            requires_python=requires,
            settings={"pyproject.toml": _BUILD_SYSTEM} if missing else {},
        )
    if (folder / _REQUIREMENTS).is_file():
        return Declared(requirements=True)
    others = [name for name in _NOT_READ if (folder / name).is_file()]
    why = f" ({', '.join(others)} {'is' if len(others) == 1 else 'are'} not read)" if others else ""
    return Declared(
        note="Nothing is installed: the repository has no pyproject.toml with [project] or [build-system], "
        f"no setup.py, no setup.cfg with [metadata] and no {_REQUIREMENTS}{why}"
    )


def check_python(what: Declared) -> None:
    """Refuse a project that does not support this version of Python.

    Raises
    ------
    ScriptSourceError
        With the supported versions.
    """
    if what.requires_python is None:
        return
    try:
        runs = SpecifierSet(what.requires_python).contains(platform.python_version(), prereleases=True)
    except InvalidSpecifier:
        return  # the installer reports it
    if not runs:
        raise ScriptSourceError(
            f"The repository needs Python {what.requires_python} (requires-python), and the service runs on Python "
            f"{platform.python_version()}; start the service with a matching Python"
        )


def _is_no_package(folder: Path, project: dict[str, Any]) -> bool:
    if "dependencies" in project.get("dynamic", ()):
        return False
    name = canonicalize_name(str(project.get("name", ""))).replace("-", "_")
    return not any((folder / one).exists() for one in ("src", name, f"{name}.py"))


def _pyproject(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScriptSourceError(f"{path.name} of the repository is not valid TOML: {error}") from None


def _setup(path: Path) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None, strict=False)
    with suppress(configparser.Error, UnicodeDecodeError):  # setuptools reads the file too, and reports the error
        found.read(path, encoding="utf-8")
    return found
