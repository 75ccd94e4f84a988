"""Scripts in git repositories: each commit is checked out once, and shared by all who ask for it."""

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from git import Git, GitCommandError, GitCommandNotFound
from msgspec import Struct

from oet_kernel.errors import MalformedRequest
from oet_kernel.models import GitArgs
from oet_kernel.scripts.sharing import Shared

_COMMIT = re.compile(r"[0-9a-fA-F]{4,64}")
_CREDENTIALS = re.compile(r"(\w+://)[^/@\s]+@")
_PREFIX = "git://"
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "GIT_ASKPASS": "true",
    "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
"""No questions, no helpers that are commands, messages in English."""


class ScriptSourceError(Exception):
    """A repository or an environment could not be had; the text holds the tool's own message."""


class Checkout(Struct, frozen=True):
    """A commit's files."""

    folder: Path
    commit: str
    """Full hash."""


def check(script_uri: str, args: GitArgs) -> None:
    """Refuse what no repository can answer, and what git would take for an option or a command.

    Parameters
    ----------
    script_uri
        ``git://path/in/the/repository.py``.
    args
        The repository and its version.

    Raises
    ------
    MalformedRequest
        What is wrong, and where.
    """
    path = unquote(script_uri.removeprefix(_PREFIX))
    if not script_uri.startswith(_PREFIX) or not path.strip("/"):
        raise MalformedRequest(
            f"Incorrect prefix for GitScript: {script_uri}", "$.script.script_uri: expected git:// and a path"
        )
    if ".." in Path(path).parts or "\0" in path:
        raise MalformedRequest(f"$.script.script_uri: {script_uri} leads out of the repository")
    for name, value in (("git_repo", args.git_repo), ("git_branch", args.git_branch), ("git_commit", args.git_commit)):
        if value is not None and (not value or value.startswith("-") or "\0" in value):
            raise MalformedRequest(f"$.script.git_args.{name}: {value!r} is not a {name.removeprefix('git_')}")
    if "::" in args.git_repo.split("/")[0]:
        raise MalformedRequest("$.script.git_args.git_repo: remote helpers (name::address) are not allowed")
    if args.git_commit is not None and not _COMMIT.fullmatch(args.git_commit):
        raise MalformedRequest(f"$.script.git_args.git_commit: {args.git_commit!r} is not a commit hash")


def locate(checkout: Checkout, script_uri: str) -> Path:
    """Find a script in a checkout.

    Raises
    ------
    ScriptSourceError
        When a symbolic link leads out of the repository.
    """
    path = (checkout.folder / unquote(script_uri.removeprefix(_PREFIX)).lstrip("/")).resolve()
    if not path.is_relative_to(checkout.folder.resolve()):
        raise ScriptSourceError(f"{script_uri} leads out of its repository by a symbolic link")
    return path


class GitScripts:
    """Checkouts in a folder, one for each repository and commit.

    Parameters
    ----------
    folder
        Where they are kept.
    deadline
        Seconds that a git command may take.
    """

    def __init__(self, folder: Path, deadline: float) -> None:
        self.folder = folder
        self._deadline = deadline
        self._shared: Shared[Checkout] = Shared()

    async def checkout(self, args: GitArgs, log: Callable[[str], None]) -> Checkout:
        """Get the files of a commit; a branch is looked up each time, a commit fetched once.

        Parameters
        ----------
        args
            The repository, and a commit or a branch or neither.
        log
            Takes a line about each step that takes long.

        Raises
        ------
        ScriptSourceError
            When git fails; with its message.
        """
        commit = args.git_commit.lower() if args.git_commit else await self._newest(args)
        key = f"{args.git_repo} {commit}"
        return await self._shared.get(key, lambda tell: self._fetch(args, commit, tell), log)

    async def _newest(self, args: GitArgs) -> str:
        ref = f"refs/heads/{args.git_branch}" if args.git_branch else "HEAD"
        found = await self._git(args, "ls_remote", "--", args.git_repo, ref)
        if not found:
            what = f"branch {args.git_branch!r}" if args.git_branch else "default branch"
            raise ScriptSourceError(f"Repository {public_address(args.git_repo)} has no {what}")
        return found.split()[0]

    async def _fetch(self, args: GitArgs, commit: str, log: Callable[[str], None]) -> Checkout:
        place = self.folder / f"{_digest(args.git_repo)}-{commit}"
        if not place.is_dir():
            log(f"Fetching {public_address(args.git_repo)} at {commit[:12]}")
            self.folder.mkdir(parents=True, exist_ok=True)
            await self._clone(args, commit, place)
        full = await self._git(args, "rev_parse", "HEAD", folder=place)
        os.utime(place)
        return Checkout(place, full.strip())

    async def _clone(self, args: GitArgs, commit: str, place: Path) -> None:
        fresh = place.with_name(f"{place.name}.new")
        await asyncio.to_thread(shutil.rmtree, fresh, True)
        try:
            await self._git(args, "clone", "--no-checkout", "--quiet", "--", args.git_repo, str(fresh))
            await self._git(args, "checkout", "--quiet", "--detach", commit, folder=fresh)
            fresh.rename(place)
        finally:
            await asyncio.to_thread(shutil.rmtree, fresh, True)

    async def _git(self, args: GitArgs, command: str, *arguments: str, folder: Path | None = None) -> str:
        """Run a git command in a thread; the deadline is the command's own, so that its process ends with it."""
        git = Git(folder)
        git.update_environment(**_ENVIRONMENT)
        version = " ".join(filter(None, (args.git_branch, args.git_commit)))
        about = f"{public_address(args.git_repo)} {version}".strip()
        try:
            said = await asyncio.to_thread(getattr(git, command), *arguments, kill_after_timeout=self._deadline)
        except GitCommandNotFound:
            raise ScriptSourceError("The git program is not installed on the service's machine") from None
        except GitCommandError as error:
            why = str(error.stderr).strip().removeprefix("stderr: ").strip("'\n ")
            raise ScriptSourceError(f"git {command} failed for {about}: {public_address(why)}") from None
        return str(said)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def public_address(text: str) -> str:
    """Take the credentials out of the addresses in a text."""
    return _CREDENTIALS.sub(r"\1", text)
