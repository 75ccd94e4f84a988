"""Installers, which create virtual environments and install into them: uv, or the standard library's venv and pip."""

import ast
import os
import sys
from abc import ABC, abstractmethod
from pathlib import Path

from oet_kernel.scripts.tools import run

_UV_FOR_PIP = {
    "cert": "SSL_CERT_FILE",
    "constraint": "UV_CONSTRAINT",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "index-url": "UV_DEFAULT_INDEX",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
}
"""Environment variables of uv by the equivalent setting of pip; a value may be a list, separated by spaces."""
_SCOPES = ("global", "install", ":env:")
"""Sections of pip's configuration, by increasing precedence."""


class Installer(ABC):
    """Creates a virtual environment and installs into it.

    Parameters
    ----------
    python
        Interpreter of the environment.
    """

    name: str

    def __init__(self, python: Path) -> None:
        self._python = str(python)

    @abstractmethod
    def venv(self, folder: Path) -> list[str]:
        """Return the command that creates an empty environment."""

    @property
    @abstractmethod
    def install(self) -> list[str]:
        """Command that installs the packages appended to it."""

    @abstractmethod
    async def settings(self) -> dict[str, str]:
        """Return environment variables for the installer, besides those of the service."""


class Pip(Installer):
    """The service's own pip, which need not be in the environment."""

    name = "pip"

    def venv(self, folder: Path) -> list[str]:
        """Return the command that creates an empty environment."""
        return [sys.executable, "-P", "-m", "venv", "--without-pip", str(folder)]

    @property
    def install(self) -> list[str]:
        """Command that installs the packages appended to it."""
        # -P: pip must not import from its working folder, the repository
        return [sys.executable, "-P", "-m", "pip", "--python", self._python, "install", "--no-input"]

    async def settings(self) -> dict[str, str]:
        """Return no variables: pip reads its own configuration."""
        return {}


class Uv(Installer):
    """Astral's uv: the same result several times faster, from a cache that environments share.

    Parameters
    ----------
    program
        Path of the program.
    python
        Interpreter of the environment.
    """

    name = "uv"

    def __init__(self, program: str, python: Path) -> None:
        super().__init__(python)
        self._program = program

    def venv(self, folder: Path) -> list[str]:
        """Return the command that creates an empty environment."""
        return [self._program, "venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)]

    @property
    def install(self) -> list[str]:
        """Command that installs the packages appended to it."""
        return [self._program, "pip", "install", "--no-progress", "--python", self._python]

    async def settings(self) -> dict[str, str]:
        """Return the service's pip configuration as variables of uv; uv's own variables take precedence."""
        ran = await run([sys.executable, "-P", "-m", "pip", "config", "list"], keep_output=True)
        found: dict[str, str] = {}
        for scope in _SCOPES:
            for line in ran.output.decode(errors="replace").splitlines():
                key, _, value = line.partition("=")
                variable = _UV_FOR_PIP.get(key.removeprefix(f"{scope}."))
                if key.startswith(f"{scope}.") and variable is not None:
                    found[variable] = " ".join(str(ast.literal_eval(value)).split())
        if "UV_FIND_LINKS" in found:
            found["UV_FIND_LINKS"] = found["UV_FIND_LINKS"].replace(" ", ",")
        # as pip does: the best version of all indexes, not all versions of the first that has one
        defaults = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_PYTHON_DOWNLOADS": "never", **found}
        return {name: value for name, value in defaults.items() if name not in os.environ}


def pip(python: Path) -> Installer:
    """Create the pip installer for an environment with this interpreter."""
    return Pip(python)


def uv(program: str, python: Path) -> Installer:
    """Create the uv installer for an environment with this interpreter."""
    return Uv(program, python)
