"""The git program, run without prompts and hooks; credentials are in its environment, never on its command line."""

import asyncio
import os
from pathlib import Path

from oet_kernel.scripts.addresses import Address
from oet_kernel.scripts.tools import Ran, ScriptSourceError, run
from oet_kernel.system.children import inherited

_DROPPED = frozenset({
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CURL_VERBOSE", "GIT_DIR", "GIT_INDEX_FILE",
    "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_TEMPLATE_DIR", "GIT_WORK_TREE",
})  # fmt: skip
"""Variables that direct git to another repository than the given one, or make it log HTTP headers."""
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "GIT_ASKPASS": "true",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
    "SSH_ASKPASS_REQUIRE": "never",
}
"""No prompts, no commands as remote helpers, messages in English."""
_SETTINGS = {
    "advice.detachedHead": "false",
    "core.autocrlf": "false",
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.quotePath": "false",
    "fetch.recurseSubmodules": "false",
    "gc.autoDetach": "false",
    "gc.pruneExpire": "never",
    "submodule.recurse": "false",
}
"""Files exactly as committed; no background processes; no removal of objects that a checkout may need."""
_HELPER = (
    '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "$OET_GIT_USERNAME" "$OET_GIT_PASSWORD"; }; f'
)
"""Credential helper as a shell function, so that the values are on no command line."""


class GitProgram:
    """Runs git commands.

    Parameters
    ----------
    deadline
        Seconds that a command may take.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    async def __call__(self, address: Address, *words: str, folder: Path | None = None, about: str = "") -> str:
        """Run a git command and return its output.

        Parameters
        ----------
        address
            The repository, whose credentials the command gets.
        words
            Subcommand and arguments, without credentials.
        folder
            Repository or checkout to work in; None for none.
        about
            Requested version, for the error message.

        Raises
        ------
        ScriptSourceError
            When the command fails, with git's own message, or takes too long.
        """
        ran = await self.attempt(address, *words, folder=folder)
        if ran.status != 0:
            said = "\n".join(ran.said.lines) or f"exit code {ran.status}"
            raise ScriptSourceError(
                f"git {words[0]} failed for {' '.join(filter(None, (address.shown, about)))}: {said}"
            )
        return ran.output.decode(errors="surrogateescape")

    async def attempt(self, address: Address, *words: str, folder: Path | None = None) -> Ran:
        """Run a git command and return its exit status and output; parameters as above.

        Raises
        ------
        ScriptSourceError
            When git is not installed, or takes too long.
        """
        where = ["-C", str(folder)] if folder is not None else []
        command = ["git", *where, *words]
        try:
            async with asyncio.timeout(self._deadline):
                return await run(command, environment=environment(address), keep_output=True, public=address.scrub)
        except FileNotFoundError:
            raise ScriptSourceError("The git program is not installed on the service's machine") from None
        except TimeoutError:
            raise ScriptSourceError(
                f"git {words[0]} did not end within {self._deadline:g} s for {address.shown}; raise OetApp.git_seconds"
            ) from None


def environment(address: Address) -> dict[str, str]:
    """Return the environment variables of a git command.

    Parameters
    ----------
    address
        The repository, whose credentials are limited to its own host.
    """
    kept = {name: value for name, value in inherited(without=["GIT_TRACE"]).items() if name not in _DROPPED}
    settings = [*_SETTINGS.items()]
    if address.username is not None:
        # the empty helper disables the configured ones, which could store this password
        settings += [(f"credential.{address.site}.helper", ""), (f"credential.{address.site}.helper", _HELPER)]
        kept |= {"OET_GIT_USERNAME": address.username, "OET_GIT_PASSWORD": address.password or ""}
    given = kept.get("GIT_CONFIG_COUNT", "0")
    first = int(given) if given.isdecimal() else 0
    for number, (key, value) in enumerate(settings, first):
        kept |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {**kept, **_ENVIRONMENT, "GIT_CONFIG_COUNT": str(first + len(settings))}
