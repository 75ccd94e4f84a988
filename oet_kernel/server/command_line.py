"""Command line of the service: options of the environment, wrong words, and the start of `OetApp`."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_server.serverapp import aliases as server_aliases
from jupyter_server.serverapp import flags as server_flags

from oet_kernel.errors import BadConfiguration, OetError
from oet_kernel.printable import printable
from oet_kernel.server.app import OetApp, OetServerApp
from oet_kernel.system.children import variable

_TOKENS = ("--token", "--token-file")
_TOLD_AND_DONE = {"help", "h", "help-all", "version", "V"}
"""Options that print information and end the command before the start."""


def arguments(argv: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Return the command line with the options of the environment added.

    Parameters
    ----------
    argv
        Options as given; they take precedence.
    environ
        Environment variables: ``OET_PORT=5001`` means ``--port=5001``, likewise for every option; ``OET_SCRIPTS_ROOT``
        may name several folders, as ``PATH`` does; ``OET_INSECURE_NO_TOKEN=1``.
    """
    given = {arg.split("=")[0] for arg in argv}
    added = []
    if environ.get("OET_INSECURE_NO_TOKEN") == "1" and not given & {*_TOKENS, "--insecure-no-token"}:
        added.append("--insecure-no-token")
    token_given = bool({*added, *given} & {*_TOKENS, "--insecure-no-token"})
    for option in OetApp.aliases:
        value = environ.get(variable(option))
        if value and f"--{option}" not in given and not (token_given and f"--{option}" in _TOKENS):
            values = {"scripts-root": value.split(os.pathsep), "repository": value.split()}.get(option, [value])
            added += [f"--{option}={one}" for one in values]
    return [*added, *argv]


def check_words(argv: Sequence[str]) -> None:
    """Check the words of the command line; Jupyter would ignore unknown ones.

    Parameters
    ----------
    argv
        Words as given.

    Raises
    ------
    BadConfiguration
        When a word is neither an option nor an option's value, an option is unknown, or two contradict each other.
    """
    aliases, flags = ({*_names(ours), *_names(server)} for ours, server in (
        (OetApp.aliases, server_aliases), (OetApp.flags, server_flags),
    ))  # fmt: skip
    waiting = False
    for word in argv:
        name, equals, _ = word.lstrip("-").partition("=")
        if waiting:
            waiting = False
        elif not word.startswith("-"):
            raise BadConfiguration(f"{word!r} is not an option; oet serve --help lists the options")
        elif name in aliases or "." in name:
            waiting = not equals
        elif name not in flags and name not in _TOLD_AND_DONE:
            raise BadConfiguration(f"{word!r} is not a valid option; oet serve --help lists the options")
    given = sorted({word.split("=")[0] for word in argv} & {*_TOKENS, "--insecure-no-token"})
    if len(given) > 1:
        raise BadConfiguration(f"{' and '.join(given)} contradict each other; give one of them")


def _names(options: Mapping[Any, Any]) -> list[str]:
    return [name for key in options for name in ((key,) if isinstance(key, str) else key)]


def main(argv: list[str] | None = None) -> None:
    """Start the service stand-alone: ``oet serve``, ``jupyter oet``.

    Exits with status 2 if an option is wrong and 1 if the service cannot start for another reason, each with a
    message of one sentence.

    Parameters
    ----------
    argv
        Options; None for those of the process.
    """
    words = sys.argv[1:] if argv is None else argv
    try:
        check_words(words)
        OetApp.launch_instance(arguments(words, os.environ))
        failed = OetServerApp.instance().failed
    except (OetError, OSError) as error:
        sys.stderr.write(printable(f"The service cannot start: {error}\n"))
        sys.exit(2 if isinstance(error, BadConfiguration) else 1)
    if failed:
        sys.exit(1)
