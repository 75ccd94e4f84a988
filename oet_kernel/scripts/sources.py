"""ScriptSources: fetches scripts for the service, and builds the environments that they request."""

import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from urllib.parse import unquote

from msgspec import Struct
from msgspec.structs import replace

from oet_kernel.errors import MalformedRequest, ScriptNotAllowed
from oet_kernel.models import GitScript, Script
from oet_kernel.printable import has_controls
from oet_kernel.scripts import git
from oet_kernel.scripts.addresses import Address, name_of, parse
from oet_kernel.scripts.environments import Environments
from oet_kernel.scripts.filesystem import resolve
from oet_kernel.scripts.git import GitScripts, Version
from oet_kernel.scripts.notebook import SUFFIX
from oet_kernel.scripts.single_flight import Log
from oet_kernel.state.layout import CHECKOUTS, ENVIRONMENTS, REPOSITORIES
from oet_kernel.system.threads import SCRIPTS

_USES = "uses"
"""File beside a checkout that names the environment and the copies of repositories that it needs, one per line."""


class Fetched(Struct, frozen=True):
    """A script's file, with its commit and environment."""

    path: Path
    commit: str | None = None
    """Full hash of the commit that contains the script; None for a local file."""
    python: Path | None = None
    """Interpreter of the requested environment; None for the service's own."""


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
        Seconds that the build of an environment may take.
    keep
        Number of checkouts, of environments and of copies of repositories that are kept besides those in use.
    uv
        Whether environments are built by uv where it is installed.
    repositories
        Addresses that git scripts may come from, or beginnings of them that end with a whole part of the path. Where
        this is empty, any repository is allowed without `roots`, and only those in one of the roots with them.
    """

    def __init__(
        self,
        state_folder: Path,
        roots: Sequence[Path],
        git_deadline: float,
        environment_deadline: float,
        keep: int,
        *,
        uv: bool = True,
        repositories: Sequence[str] = (),
    ) -> None:
        self._state_folder = state_folder
        self._roots = roots
        self._repositories = repositories
        self._git = GitScripts(state_folder / REPOSITORIES, git_deadline)
        self._environments = Environments(state_folder / ENVIRONMENTS, environment_deadline, uv=uv)
        self._keep = keep

    def admit(self, script: Script) -> tuple[Script, str | None]:
        """Check a script as far as possible without fetching it, and separate it from its credentials.

        Parameters
        ----------
        script
            The requested script.

        Returns
        -------
        Script
            The script in its public form.
        str or None
            The address of its repository with the credentials, for `fetch` alone; None where it has none.

        Raises
        ------
        OetError
            When the script is not valid or not allowed; with the reason.
        """
        if has_controls(script.script_uri):
            raise MalformedRequest(
                f"{script.script_uri!r:.200} contains control characters",
                "$.script.script_uri: remove the control characters, or percent-encode them",
            )
        for name, text in (("kernel", script.kernel), ("working_folder", script.working_folder)):
            if text is not None and has_controls(text):
                raise MalformedRequest(f"$.script.{name}: {text!r:.200} contains control characters; remove them")
        if script.kernel is not None and not script.script_uri.endswith(SUFFIX):
            raise MalformedRequest(
                f"{script.script_uri} is not a notebook, and cannot run in another kernel",
                f"$.script.kernel: remove {script.kernel!r}, or name a {SUFFIX} file",
            )
        if not isinstance(script, GitScript):
            resolve(script.script_uri, self._roots)
            return script, None
        git.check(script.script_uri, script.git_args)
        address = parse(script.git_args.git_repo)
        if (self._roots or self._repositories) and not is_allowed(address, self._roots, self._repositories):
            raise ScriptNotAllowed(
                f"Repository {address.shown} is not an allowed repository; the operator of the service allows it with "
                "--repository"
            )
        if address.shown == address.text:
            return script, None
        return replace(script, git_args=replace(script.git_args, git_repo=address.shown)), address.text

    async def fetch(self, pid: int, script: Script, repository: str | None, log: Log) -> Fetched:
        """Fetch a script's file, and build the environment that it requests.

        Parameters
        ----------
        pid
            Id of the procedure, to which the checkout belongs.
        script
            Script from `admit`.
        repository
            Address from `admit`; None where it has no credentials.
        log
            Called with a line about each slow step, and with the lines of a build.

        Raises
        ------
        ScriptSourceError
            When the repository or the environment is not available.
        FileNotFoundError
            When the commit has no such file.
        """
        if not isinstance(script, GitScript):
            return Fetched(resolve(script.script_uri, self._roots))
        address = parse(repository or script.git_args.git_repo)
        copy = self._git.copy_of(address)
        place = self._place(pid)
        await SCRIPTS.run(_begin, place, f"{REPOSITORIES}/{copy.name}")
        version = await self._git.version(script.git_args, address, log)
        checkout = await self._git.checkout(version, place / name_of(address), log)
        path = await SCRIPTS.run(git.locate, checkout, script.script_uri)
        python = await self._environment(place, version, log) if script.create_env else None
        return Fetched(path, checkout.commit, python)

    async def _environment(self, place: Path, version: Version, log: Log) -> Path:
        name = f"{version.copy.name}-{version.commit}"
        await SCRIPTS.run(_note_use, place, f"{ENVIRONMENTS}/{name}")

        async def source(folder: Path, tell: Log) -> None:
            await self._git.checkout(version, folder, tell)

        return (await self._environments.build(name, version.commit, source, log)).python

    def python_of(self, pid: int) -> Path | None:
        """Return the interpreter of the environment that was built for a procedure; None for the service's own."""
        for use in _uses(self._place(pid)):
            if use.startswith(f"{ENVIRONMENTS}/"):
                return self._state_folder / use / "bin" / "python"
        return None

    async def retain(self, in_use: Collection[int]) -> None:
        """Remove the checkouts, environments and copies of repositories that were used longest ago, except `keep` each.

        Parameters
        ----------
        in_use
            Ids of the procedures that may use their checkouts; these, and all that they need, are kept.
        """
        busy = [f"{REPOSITORIES}/{name}" for name in self._git.busy]
        await SCRIPTS.run(self._remove_old, {str(pid) for pid in in_use}, busy)

    def _remove_old(self, in_use: Collection[str], busy: Sequence[str]) -> None:
        checkouts = self._state_folder / CHECKOUTS
        _remove_but_newest(checkouts, in_use, self._keep)
        needed = {use for place in checkouts.glob("*") for use in _uses(place)} | set(busy)
        for kind in (ENVIRONMENTS, REPOSITORIES):
            names = {use.partition("/")[2] for use in needed if use.startswith(f"{kind}/")}
            _remove_but_newest(self._state_folder / kind, names, self._keep)

    def _place(self, pid: int) -> Path:
        return self._state_folder / CHECKOUTS / str(pid)


def is_allowed(address: Address, roots: Sequence[Path], repositories: Sequence[str]) -> bool:
    """Return whether scripts may come from a repository.

    Parameters
    ----------
    address
        Address of the repository.
    roots
        Folders that scripts may come from, which includes repositories in them.
    repositories
        Addresses, or beginnings of addresses, that the operator allows.
    """
    parts = unquote(address.url).replace("\\", "/").split("/")
    if ".." in parts:
        return False
    if any(address.url == one or address.url.startswith(f"{one.rstrip('/')}/") for one in repositories):
        return True
    path = address.url.removeprefix("file://")
    if not address.local or not path.startswith("/") or "%" in path:
        return False
    found = Path(os.path.realpath(path))
    return any(found.is_relative_to(root.resolve()) for root in roots)


def _begin(place: Path, use: str) -> None:
    """Create an empty folder for a checkout; files of an earlier attempt, or of another database, are removed."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700, parents=True)
    _note_use(place, use)


def _note_use(place: Path, use: str) -> None:
    with open(place / _USES, "a") as file:
        file.write(f"{use}\n")


def _uses(place: Path) -> list[str]:
    try:
        return (place / _USES).read_text().splitlines()
    except OSError:
        return []


def _remove_but_newest(folder: Path, in_use: Collection[str], keep: int) -> None:
    places = [place for place in folder.glob("*") if place.is_dir() and place.name.partition(".")[0] not in in_use]
    places.sort(key=lambda place: place.stat().st_mtime, reverse=True)
    for place in places[keep:]:
        shutil.rmtree(place, ignore_errors=True)
