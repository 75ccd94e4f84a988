"""Completion behind ``%oet`` and ``%%oet_procedure``: commands, options, ids and paths, as click knows them."""

import re
import shlex
from collections.abc import Callable

import click
from click.shell_completion import ShellComplete
from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from oet_kernel.magics.commands import COMMANDS, notebook, oet_procedure
from oet_kernel.magics.session import Session

_LINE = re.compile(r"(?:^|=)\s*(%oet|%%oet_procedure)\s+(.*)$")


def matcher(session: Session) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """Make the function that IPython asks.

    Parameters
    ----------
    session
        Knows the service whose procedures can be named.
    """

    @context_matcher()
    def oet_matcher(context: CompletionContext) -> SimpleMatcherResult:
        found = _LINE.search(context.line_with_cursor[: context.cursor_position])
        if found is None:
            return SimpleMatcherResult(completions=[])
        words, fragment = split(found[2])
        command: click.Command = COMMANDS if found[1] == "%oet" else oet_procedure
        offered = complete(command, found[1], words, fragment, session)
        # of --pid=3 only what stands behind the sign is completed
        fragment = fragment.rpartition("=")[2] if fragment.startswith("-") else fragment
        return SimpleMatcherResult(
            completions=[SimpleCompletion(text, type="oet") for text in offered],
            suppress=True,
            matched_fragment=fragment,
        )

    matching: Callable[[CompletionContext], SimpleMatcherResult] = oet_matcher
    return matching


def split(line: str) -> tuple[list[str], str]:
    """Part the words that are complete from the one that is being typed.

    Parameters
    ----------
    line
        What stands behind the magic, up to the cursor.
    """
    before, _, fragment = line.rpartition(" ")
    try:
        return shlex.split(before), fragment
    except ValueError:  # the cursor is inside quotes
        return before.split(), fragment


def complete(command: click.Command, name: str, words: list[str], fragment: str, session: Session) -> list[str]:
    """List what can stand where the cursor is.

    Parameters
    ----------
    command
        The magic's.
    name
        The magic's.
    words
        Complete words behind it.
    fragment
        What the completed word begins with.
    session
        As for `matcher`.
    """
    asked = ShellComplete(command, {"obj": notebook(session)}, name, "")
    return [item.value for item in asked.get_completions(words, fragment)]
