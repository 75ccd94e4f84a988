"""Submodules of a checkout: their folders, repositories and commits."""

from pathlib import Path

from msgspec import Struct

from oet_kernel.scripts.addresses import Address, relative
from oet_kernel.scripts.gitprogram import GitProgram

FILE = ".gitmodules"
_GITLINK = "160000"
"""Mode of a tree entry that is a commit of another repository."""


class Submodule(Struct, frozen=True, kw_only=True):
    """A repository within another one."""

    path: str
    """Path of the submodule's folder in the checkout."""
    address: Address
    commit: str
    """Full hash."""
    skipped: bool
    """True where the repository excludes the submodule from checkouts (``update = none``)."""


async def submodules_of(git: GitProgram, address: Address, place: Path) -> list[Submodule]:
    """Return the submodules of a checkout.

    Parameters
    ----------
    git
        Runs git.
    address
        Address of the checkout's repository, the base of relative addresses.
    place
        Folder of the checkout.

    Raises
    ------
    ScriptSourceError
        When the list of submodules cannot be read.
    """
    file = place / FILE
    if file.is_symlink() or not file.is_file():
        return []
    listed = await git(address, "config", "--null", "--file", FILE, "--list", folder=place)
    fields: dict[str, dict[str, str]] = {}
    for entry in listed.split("\0"):
        key, _, value = entry.partition("\n")
        section, _, field = key.rpartition(".")
        fields.setdefault(section, {})[field] = value
    known = {one["path"]: one for one in fields.values() if one.get("path") and one.get("url")}
    entries = await git(address, "ls-tree", "-z", "HEAD", "--", *known, folder=place) if known else ""
    found = []
    for entry in filter(None, entries.split("\0")):
        about, _, path = entry.partition("\t")
        mode, _, commit = about.split()
        if mode == _GITLINK and path in known:
            one = known[path]
            found.append(
                Submodule(
                    path=path,
                    address=relative(address, one["url"]),
                    commit=commit,
                    skipped=one.get("update") == "none",
                )
            )
    return found
