"""Submodules of a checkout: where they lie, which commit of which repository they are."""

from pathlib import Path

from msgspec import Struct

from oet_kernel.scripts.addresses import Address, relative
from oet_kernel.scripts.gitprogram import GitProgram

FILE = ".gitmodules"
_GITLINK = "160000"
"""Mode of an entry that is a commit of another repository."""


class Submodule(Struct, frozen=True, kw_only=True):
    """A repository within another one."""

    path: str
    """Its folder in the checkout."""
    address: Address
    commit: str
    """Full hash."""
    skipped: bool
    """True where its repository says that it is not checked out."""


async def submodules_of(git: GitProgram, address: Address, place: Path) -> list[Submodule]:
    """List the submodules of a checkout.

    Parameters
    ----------
    git
        Runs git.
    address
        Of the checkout's repository, which relative addresses begin at.
    place
        The checkout.

    Raises
    ------
    ScriptSourceError
        When its list of submodules cannot be read.
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
