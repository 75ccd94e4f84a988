"""Scripts in git repositories: each repository is fetched into a local copy, each procedure has a checkout.

A copy (``repositories/``) is updated by fetches. A checkout shares the copy's objects, holds the files of one commit,
and belongs to one procedure alone: files that a script writes beside itself do not disturb others.
"""

import difflib
import hashlib
import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

from msgspec import Struct

from oet_kernel.errors import MalformedRequest
from oet_kernel.models import GitArgs
from oet_kernel.printable import has_controls
from oet_kernel.scripts.addresses import HIDDEN, LONGEST, Address, parse
from oet_kernel.scripts.gitprogram import GitProgram
from oet_kernel.scripts.single_flight import Log, Shared
from oet_kernel.scripts.submodules import Submodule, submodules_of
from oet_kernel.scripts.tools import ScriptSourceError
from oet_kernel.system.threads import SCRIPTS

_COMMIT = re.compile(r"[0-9a-fA-F]{4,64}")
_FULL = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NOT_IN_A_NAME = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{")
_PREFIX = "git://"
_LONGEST_URI = 4096
_NEAR = 8
"""Largest number of names that an error lists."""
_DEEPEST = 10
"""Deepest nesting of submodules."""
_POINTER = b"version https://git-lfs.github.com/spec/"


class Checkout(Struct, frozen=True):
    """A folder with the files of a commit."""

    folder: Path
    commit: str
    """Full hash."""


class Version(Struct, frozen=True):
    """A commit of a repository, found and fetched."""

    address: Address
    commit: str
    """Full hash."""
    copy: Path
    """The service's copy of the repository."""


def check(script_uri: str, args: GitArgs) -> None:
    """Refuse invalid addresses, paths and versions, and values that git would interpret as options or commands.

    Parameters
    ----------
    script_uri
        ``git://path/in/the/repository.py``.
    args
        The repository and its version.

    Raises
    ------
    MalformedRequest
        With the path of the field and the reason.
    """
    path = unquote(script_uri.removeprefix(_PREFIX))
    if not script_uri.startswith(_PREFIX) or not path.strip("/"):
        raise MalformedRequest(
            f"Incorrect prefix for GitScript: {script_uri[:_LONGEST_URI]}",
            "$.script.script_uri: expected git:// and a path",
        )
    if len(script_uri) > _LONGEST_URI:
        raise MalformedRequest(f"$.script.script_uri: more than {_LONGEST_URI} characters")
    if ".." in Path(path).parts or "\0" in path:
        raise MalformedRequest(f"$.script.script_uri: {script_uri} leads out of the repository")
    if len(args.git_repo) > LONGEST:
        raise MalformedRequest(f"$.script.git_args.git_repo: more than {LONGEST} characters")
    address = parse(args.git_repo)
    for name, value, shown in (
        ("git_repo", args.git_repo, address.shown),
        ("git_branch", args.git_branch, args.git_branch),
        ("git_commit", args.git_commit, args.git_commit),
    ):
        if value is not None and (not value or value.startswith("-") or len(value) > LONGEST or has_controls(value)):
            raise MalformedRequest(f"$.script.git_args.{name}: {(shown or '')[:100]!r} is not a {name[4:]}")
    if "::" in address.url.split("/")[0]:
        raise MalformedRequest("$.script.git_args.git_repo: remote helpers (name::address) are not allowed")
    if f"{HIDDEN}@" in args.git_repo:
        raise MalformedRequest(
            f"$.script.git_args.git_repo: {address.shown} contains {HIDDEN} in "
            "place of its credentials; give the address with its credentials"
        )
    if args.git_branch is not None and _NOT_IN_A_NAME.search(args.git_branch):
        raise MalformedRequest(
            f"$.script.git_args.git_branch: {args.git_branch!r} is not a branch or tag; a commit is given as git_commit"
        )
    if args.git_commit is not None and not _COMMIT.fullmatch(args.git_commit):
        raise MalformedRequest(
            f"$.script.git_args.git_commit: {args.git_commit!r} is not a commit hash; "
            "a branch or a tag is given as git_branch"
        )


def locate(checkout: Checkout, script_uri: str) -> Path:
    """Find a script in a checkout.

    Raises
    ------
    ScriptSourceError
        When a symbolic link leads out of the repository, or the file is a Git LFS pointer.
    FileNotFoundError
        When the commit has no such file.
    """
    wanted = unquote(script_uri.removeprefix(_PREFIX)).lstrip("/")
    path = Path(os.path.realpath(checkout.folder / wanted))
    if not path.is_relative_to(checkout.folder.resolve()):
        raise ScriptSourceError(f"{script_uri} leads out of its repository by a symbolic link")
    if not path.is_file():
        raise FileNotFoundError(f"{wanted} is not a file of commit {checkout.commit}{_near_file(checkout, wanted)}")
    with open(path, "rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            why = "git-lfs is not set up" if shutil.which("git-lfs") else "git-lfs is not installed"
            raise ScriptSourceError(
                f"{wanted} is kept by Git LFS, and {why} on the service's machine: only a pointer to it was checked "
                "out; install git-lfs and run 'git lfs install' as the service's user"
            )
    return path


class GitScripts:
    """Copies of repositories in a folder, and checkouts from them.

    Parameters
    ----------
    folder
        Folder of the copies.
    deadline
        Seconds that a git command may take.
    """

    def __init__(self, folder: Path, deadline: float) -> None:
        self.folder = folder
        self._git = GitProgram(deadline)
        self._fetches: Shared[None] = Shared()

    @property
    def busy(self) -> list[str]:
        """Names of the copies that are being fetched."""
        return [key.split()[0] for key in self._fetches.keys]

    def copy_of(self, address: Address) -> Path:
        """Return the folder of a repository's copy."""
        return self.folder / hashlib.sha256(address.shown.encode()).hexdigest()[:16]

    async def version(self, args: GitArgs, address: Address, log: Log) -> Version:
        """Find a commit, and fetch it where the copy lacks it.

        A branch or tag is looked up each time. A commit that was fetched before is found without contacting the host.

        Parameters
        ----------
        args
            A commit, or a branch or tag, or neither: the default branch.
        address
            The repository.
        log
            Called with a line about each slow step.

        Raises
        ------
        ScriptSourceError
            When there is no such version, or git fails; with git's message.
        """
        if address.fault is not None:
            raise ScriptSourceError(f"Repository {address.shown} cannot be used: {address.fault}")
        copy = self.copy_of(address)
        if args.git_commit is not None:
            commit = await self._commit(address, copy, args.git_commit.lower(), log)
        else:
            commit = await self._named(address, copy, args.git_branch, log)
        await SCRIPTS.run(os.utime, copy)
        return Version(address, commit, copy)

    async def checkout(self, version: Version, place: Path, log: Log, depth: int = 0) -> Checkout:
        """Write the files of a commit, those of its submodules included.

        Parameters
        ----------
        version
            Version from `version`.
        place
            Target folder, missing or empty.
        log
            Called with a line about each slow step.
        depth
            Number of enclosing repositories; 0 for none.

        Raises
        ------
        ScriptSourceError
            When git fails; with git's message.
        """
        address, git = version.address, self._git
        about = version.commit[:12]
        place.parent.mkdir(parents=True, exist_ok=True)
        await git(
            address, "clone", "--quiet", "--shared", "--no-checkout", "--", str(version.copy), str(place), about=about
        )
        # Git LFS, and git commands of the script, use this URL
        await git(address, "config", "remote.origin.url", address.url, folder=place)
        await git(address, "checkout", "--quiet", "--detach", version.commit, folder=place, about=about)
        for submodule in await submodules_of(git, address, place):
            await self._submodule(submodule, version, place, log, depth)
        return Checkout(place, version.commit)

    async def _submodule(self, submodule: Submodule, parent: Version, place: Path, log: Log, depth: int) -> None:
        what = f"The submodule {submodule.path} of {parent.address.shown}"
        if submodule.skipped:
            log(f"{what} is left out: its setting is update = none")
            return
        if depth >= _DEEPEST:
            raise ScriptSourceError(
                f"{what} is not checked out: its submodules are nested more than {_DEEPEST} levels deep"
            )
        if submodule.address.local and not parent.address.local:
            raise ScriptSourceError(
                f"{what} is not checked out: its address {submodule.address.shown} is a folder of the service's machine"
            )
        folder = place / submodule.path
        if await SCRIPTS.run(_leads_out, folder, place):
            raise ScriptSourceError(f"{what} is not checked out: a symbolic link leads out of the repository")
        try:
            check(f"{_PREFIX}submodule", GitArgs(git_repo=submodule.address.text, git_commit=submodule.commit))
            wanted = GitArgs(git_repo=submodule.address.text, git_commit=submodule.commit)
            version = await self.version(wanted, submodule.address, log)
            await self.checkout(version, folder, log, depth + 1)
        except (ScriptSourceError, MalformedRequest) as error:
            raise ScriptSourceError(f"{what} is not checked out: {error}") from None

    # --- versions

    async def _commit(self, address: Address, copy: Path, wanted: str, log: Log) -> str:
        """Find a commit by its hash or a prefix of it."""
        for fetch in (None, self._fetch_all, self._fetch_one):
            if fetch is not None:
                if fetch == self._fetch_one and not _FULL.fullmatch(wanted):
                    break
                await fetch(address, copy, wanted, log)
            if (found := await self._in_copy(address, copy, wanted)) is not None:
                return found
        raise ScriptSourceError(f"{address.shown} has no commit {wanted} in its branches and tags")

    async def _named(self, address: Address, copy: Path, name: str | None, log: Log) -> str:
        """Find the commit of a branch or tag, or of the default branch."""
        wanted = ["HEAD"] if name is None else _candidates(name)
        refs = _refs(await self._git(address, "ls-remote", "--", address.url, *wanted, about=name or ""))
        found = [ref for ref in wanted if ref in refs and not ref.endswith("^{}")]
        if not found:
            if name is not None and _COMMIT.fullmatch(name):
                return await self._commit(address, copy, name.lower(), log)
            raise ScriptSourceError(await self._unknown(address, name))
        commits = [refs.get(f"{ref}^{{}}", refs[ref]) for ref in found]
        if len(set(commits)) > 1:
            log(f"{name} is the name of {' and '.join(found)} in {address.shown}; {found[0]} is taken")
        if await self._in_copy(address, copy, commits[0]) is None:
            await self._fetch_all(address, copy, found[0], log)
            if await self._in_copy(address, copy, commits[0]) is None:
                await self._fetch_one(address, copy, commits[0], log)
        commit = await self._in_copy(address, copy, commits[0])
        if commit is None:
            raise ScriptSourceError(f"{found[0]} of {address.shown} is not a commit")
        return commit

    async def _unknown(self, address: Address, name: str | None) -> str:
        """Return the message for an unknown branch or tag, with the names that the repository has."""
        refs = _refs(await self._git(address, "ls-remote", "--heads", "--tags", "--", address.url))
        names = [ref.removeprefix("refs/heads/").removeprefix("refs/tags/") for ref in refs if not ref.endswith("^{}")]
        if not names:
            return f"Repository {address.shown} has no commits"
        if name is None:
            return (
                f"Repository {address.shown} has no default branch: its HEAD names a branch that does not exist; "
                f"name one of {_few(names)}"
            )
        last = name.rpartition("/")[2]
        near = [one for one in names if last in one or one in name]
        near += [one for one in difflib.get_close_matches(name, names, _NEAR, 0.5) if one not in near]
        listed = f"similar names: {_few(near)}" if near else f"existing names: {_few(names)}"
        return f"Repository {address.shown} has no branch or tag {name!r}; {listed}"

    async def _in_copy(self, address: Address, copy: Path, wanted: str) -> str | None:
        """Return the full hash of a commit in the copy; None where the copy does not have it."""
        if not await SCRIPTS.run(copy.is_dir):
            return None
        ran = await self._git.attempt(
            address, "rev-parse", "--verify", "--end-of-options", f"{wanted}^{{commit}}", folder=copy
        )
        if ran.status == 0:
            return ran.output.decode().strip()
        said = ran.said.lines
        if any("ambiguous" in line for line in said):
            hashes = [line.split()[1] for line in said if line.startswith("hint:   ")]
            raise ScriptSourceError(f"More than one commit of {address.shown} begins with {wanted}: {_few(hashes)}")
        return None

    # --- fetching

    async def _fetch_all(self, address: Address, copy: Path, wanted: str, log: Log) -> None:
        """Fetch all branches and tags into the copy; concurrent callers share one fetch."""

        async def fetch(tell: Log) -> None:
            tell(f"Fetching {address.shown} for {wanted}")
            if await SCRIPTS.run(copy.is_dir):
                refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
                ran = await self._git.attempt(
                    address, "fetch", "--quiet", "--prune", "--", address.url, *refs, folder=copy
                )
                if ran.status == 0:
                    return
                tell(f"The copy of {address.shown} is made anew: {'; '.join(ran.said.lines)}")
            await self._clone(address, copy)

        await self._fetches.get(copy.name, fetch, log)

    async def _fetch_one(self, address: Address, copy: Path, commit: str, log: Log) -> None:
        """Fetch a commit without a branch or tag, as after a forced push; not every host allows this."""

        async def fetch(tell: Log) -> None:
            tell(f"Fetching commit {commit[:12]} of {address.shown}, which no branch or tag holds")
            refs = f"+{commit}:refs/oet/{commit}"
            await self._git.attempt(
                address, "fetch", "--quiet", "--no-write-fetch-head", "--", address.url, refs, folder=copy
            )

        await self._fetches.get(f"{copy.name} {commit}", fetch, log)

    async def _clone(self, address: Address, copy: Path) -> None:
        """Create the copy of a repository, in place of an existing one."""
        fresh, old = copy.with_suffix(".new"), copy.with_suffix(".old")
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            for left in (fresh, old):
                await SCRIPTS.run(shutil.rmtree, left, True)
            await self._git(address, "clone", "--quiet", "--bare", "--", address.url, str(fresh))
            await SCRIPTS.run(_replace, copy, fresh, old)
        finally:
            for left in (fresh, old):
                await SCRIPTS.run(shutil.rmtree, left, True)


def _replace(copy: Path, fresh: Path, old: Path) -> None:
    if copy.is_dir():
        copy.rename(old)
    fresh.rename(copy)


def _leads_out(folder: Path, place: Path) -> bool:
    return folder.is_symlink() or not folder.resolve().is_relative_to(place.resolve())


def _candidates(name: str) -> list[str]:
    """Return the references that a name may stand for, in the order of preference of git clone."""
    refs = [f"refs/heads/{name}", f"refs/tags/{name}", f"refs/{name}"]
    if name.startswith("refs/") or name == "HEAD":
        refs.insert(0, name)
    return [*refs, *(f"{ref}^{{}}" for ref in refs)]


def _refs(output: str) -> dict[str, str]:
    """Parse the output of ``git ls-remote``: hashes by the names of references."""
    return {name: commit for commit, _, name in (line.partition("\t") for line in output.splitlines()) if name}


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _NEAR} more" if len(names) > _NEAR else ""
    return f"{', '.join(names[:_NEAR])}{more}"


def _near_file(checkout: Checkout, wanted: str) -> str:
    """Return a hint with the files of a checkout whose paths resemble the wanted one; empty for none."""
    names = []
    for folder, folders, files in os.walk(checkout.folder):
        folders[:] = [one for one in folders if one != ".git"]
        names += [os.path.relpath(os.path.join(folder, file), checkout.folder) for file in files]
    last = wanted.rpartition("/")[2]
    near = [name for name in names if name.rpartition("/")[2] == last] or difflib.get_close_matches(wanted, names, 3)
    return f"; similar files: {_few(sorted(near))}" if near else ""
