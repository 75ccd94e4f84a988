"""ScriptSources: where the service gets scripts, and the environments they ask for."""

import asyncio
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from msgspec import Struct

from oet_kernel.models import GitScript, Script
from oet_kernel.scripts import git
from oet_kernel.scripts.environments import Environment, Environments
from oet_kernel.scripts.filesystem import resolve
from oet_kernel.scripts.git import GitScripts
from oet_kernel.scripts.sharing import Log


class Fetched(Struct, frozen=True):
    """A script's file, and where it comes from."""

    path: Path
    commit: str | None = None
    """Full hash of the commit it was taken from; None for a file of this machine."""


class ScriptSources:
    """Scripts by their URIs.

    Parameters
    ----------
    state_folder
        The service's folder; checkouts and environments are kept below it.
    roots
        Folders that files may come from; empty for any.
    git_deadline
        Seconds that a git command may take.
    environment_deadline
        Seconds that the building of an environment may take.
    keep
        How many checkouts, and how many environments, are kept besides those in use.
    """

    def __init__(
        self, state_folder: Path, roots: Sequence[Path], git_deadline: float, environment_deadline: float, keep: int
    ) -> None:
        self._roots = roots
        self._git = GitScripts(state_folder / "checkouts", git_deadline)
        self._environments = Environments(state_folder / "environments", environment_deadline)
        self._keep = keep

    def check(self, script: Script) -> None:
        """Refuse at once what can be refused without looking.

        Parameters
        ----------
        script
            What somebody wants to run.

        Raises
        ------
        OetError
            What is wrong with it, or why it is not allowed.
        """
        if isinstance(script, GitScript):
            git.check(script.script_uri, script.git_args)
        else:
            resolve(script.script_uri, self._roots)

    async def fetch(self, script: Script, log: Log) -> Fetched:
        """Get a script's file.

        Parameters
        ----------
        script
            Checked before.
        log
            Takes a line about each step that takes long.

        Raises
        ------
        ScriptSourceError
            When it cannot be had.
        """
        if not isinstance(script, GitScript):
            return Fetched(resolve(script.script_uri, self._roots))
        checkout = await self._git.checkout(script.git_args, log)
        return Fetched(git.locate(checkout, script.script_uri), checkout.commit)

    async def environment(self, script: GitScript, log: Log) -> tuple[Fetched, Environment]:
        """Get a script's file and the environment that its repository declares.

        Parameters
        ----------
        script
            Checked before.
        log
            Takes the lines of what builds the environment, as they come.

        Raises
        ------
        ScriptSourceError
            When one of them cannot be had.
        """
        checkout = await self._git.checkout(script.git_args, log)
        environment = await self._environments.build(checkout, log)
        return Fetched(git.locate(checkout, script.script_uri), checkout.commit), environment

    async def retain(self, in_use: Collection[Path]) -> None:
        """Remove the checkouts and environments that were used longest ago, but for the newest few.

        Parameters
        ----------
        in_use
            Paths in the checkouts that procedures work with; these, and their environments, stay.
        """
        names = {
            path.relative_to(self._git.folder).parts[0] for path in in_use if path.is_relative_to(self._git.folder)
        }
        await asyncio.to_thread(self._remove_old, names)

    def _remove_old(self, in_use: Collection[str]) -> None:
        for folder in (self._git.folder, self._environments.folder):
            places = [place for place in folder.glob("*") if place.is_dir() and place.name not in in_use]
            places.sort(key=lambda place: place.stat().st_mtime, reverse=True)
            for place in places[self._keep :]:
                shutil.rmtree(place, ignore_errors=True)
