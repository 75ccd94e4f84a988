"""Environments for scripts: a virtual environment for each commit, with the packages that its repository declares."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from msgspec import Struct

from oet_kernel.scripts.addresses import public_text
from oet_kernel.scripts.installers import Installer, pip, uv
from oet_kernel.scripts.single_flight import Log, Shared
from oet_kernel.scripts.tools import ScriptSourceError, run
from oet_kernel.system.children import inherited
from oet_kernel.system.process_tree import kill_tree
from oet_kernel.system.processes import MARK, marked
from oet_kernel.system.threads import SCRIPTS

BUILT = "oet-environment-is-complete"
"""File that marks a complete environment."""
SOURCE = "source"
"""Folder in an environment with the files it was built from, which editable installs (``-e .``) refer to."""
_SERVICES_OWN = ("OET_", "VIRTUAL_ENV", "PYTHONHOME", "__PYVENV_LAUNCHER__")
"""Prefixes of the service's own environment variables, which builds do not get."""

Source = Callable[[Path, Log], Awaitable[None]]


class Environment(Struct, frozen=True):
    """A virtual environment in which scripts run."""

    folder: Path
    python: Path
    """Path of the environment's interpreter."""


class Environments:
    """Virtual environments in a folder, each built once.

    Parameters
    ----------
    folder
        Folder of the environments.
    deadline
        Seconds that a build may take.
    uv
        Whether uv is used where it is installed, in place of pip.
    """

    def __init__(self, folder: Path, deadline: float, *, uv: bool = True) -> None:
        self.folder = folder
        self._deadline = deadline
        self._uv = uv
        self._shared: Shared[Environment] = Shared()

    async def build(self, name: str, commit: str, source: Source, log: Log) -> Environment:
        """Return the environment of a commit, building it where there is none yet.

        The environment contains the project itself where the repository has one, else the packages of its
        ``requirements.txt``, else nothing.

        Parameters
        ----------
        name
            Name of the environment, unique for repository and commit.
        commit
            Full hash.
        source
            Writes the commit's files into a folder.
        log
            Called with each line of the building tools, as it arrives.

        Raises
        ------
        ScriptSourceError
            When the build fails; with the lines of the tool that failed.
        """
        environment = await self._shared.get(name, lambda tell: self._build(name, commit, source, tell), log)
        from oet_kernel.system.packages import provide  # few scripts have an environment

        for one in await SCRIPTS.run(provide, environment.python):
            log(f"In the environment, {one}")
        return environment

    async def _build(self, name: str, commit: str, source: Source, log: Log) -> Environment:
        place = self.folder / name
        environment = Environment(place, place / "bin" / "python")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (place / BUILT).exists():
            await SCRIPTS.run(_clear, place)
            try:
                async with asyncio.timeout(self._deadline):
                    await self._install(environment, commit, source, log)
                (place / BUILT).touch()
            except TimeoutError:
                raise ScriptSourceError(
                    f"The environment of commit {commit[:12]} was not built within {self._deadline:g} s; "
                    "raise OetApp.environment_seconds"
                ) from None
            finally:
                if not (place / BUILT).exists():
                    await SCRIPTS.run(shutil.rmtree, place, True)
        os.utime(place)
        return environment

    async def _install(self, environment: Environment, commit: str, source: Source, log: Log) -> None:
        from oet_kernel.scripts.projects import check_python, declared

        found = shutil.which("uv") if self._uv else None
        installer = uv(found, environment.python) if found else pip(environment.python)
        log(f"Building an environment for commit {commit[:12]} with {installer.name}")
        variables = _variables(environment.folder)
        await _run(installer, "venv", installer.venv(environment.folder), variables, log)
        folder = environment.folder / SOURCE
        await source(folder, log)
        what = await SCRIPTS.run(declared, folder)
        check_python(what)
        if what.note is not None:
            log(what.note)
        for name, text in what.settings.items():
            (folder / name).write_text(text)
        words: list[str] = []
        if what.project:
            words = ["."]
        elif what.requirements:
            words = ["-r", "requirements.txt"]
        elif what.dependencies:
            listed = environment.folder / "dependencies.txt"
            listed.write_text("\n".join(what.dependencies))
            words = ["-r", str(listed)]
        if words:
            variables |= await installer.settings()
            await _run(installer, installer.name, [*installer.install, *words], variables, log, folder)


async def _run(
    installer: Installer,
    name: str,
    command: list[str],
    variables: Mapping[str, str],
    log: Log,
    folder: Path | None = None,
) -> None:
    ran = await run(command, environment=variables, folder=folder, log=log, public=public_text)
    if ran.status != 0:
        raise ScriptSourceError("\n".join([f"{name} failed with exit code {ran.status}:", *ran.said.lines]))


def _variables(place: Path) -> dict[str, str]:
    """Return the environment variables of a build; by the mark its processes are found if the service dies."""
    return {**inherited(without=_SERVICES_OWN), MARK: str(place), "NO_COLOR": "1"}


def _clear(place: Path) -> None:
    """Remove an incomplete environment, after killing the processes that still build it."""
    if place.exists():
        for pid in marked(str(place)).get(str(place), []):
            kill_tree(pid)
        shutil.rmtree(place, ignore_errors=True)
