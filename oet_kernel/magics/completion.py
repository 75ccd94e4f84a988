"""Completion for ``%oet`` and ``%%oet_procedure``: commands, options, ids and paths, from click."""

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
    """Return the completion function for IPython.

    Parameters
    ----------
    session
        Session with the service whose procedures can be completed.
    """

    @context_matcher()
    def oet_matcher(context: CompletionContext) -> SimpleMatcherResult:
        found = _LINE.search(context.line_with_cursor[: context.cursor_position])
        if found is None:
            return SimpleMatcherResult(completions=[])
        words, fragment = split(found[2])
        command: click.Command = COMMANDS if found[1] == "%oet" else oet_procedure
        offered = complete(command, found[1], words, fragment, session)
        # in --pid=3 only the part after the sign is completed
        fragment = fragment.rpartition("=")[2] if fragment.startswith("-") else fragment
        return SimpleMatcherResult(
            completions=[SimpleCompletion(text, type="oet") for text in offered],
            suppress=True,
            matched_fragment=fragment,
        )

    matching: Callable[[CompletionContext], SimpleMatcherResult] = oet_matcher
    return matching


def split(line: str) -> tuple[list[str], str]:
    """Split a line into its complete words and the word that is being typed.

    Parameters
    ----------
    line
        Text after the magic, up to the cursor.
    """
    before, _, fragment = line.rpartition(" ")
    try:
        return shlex.split(before), fragment
    except ValueError:  # the cursor is within quotes
        return before.split(), fragment


def complete(command: click.Command, name: str, words: list[str], fragment: str, session: Session) -> list[str]:
    """Return the completions at the cursor.

    Parameters
    ----------
    command
        Command of the magic.
    name
        Name of the magic.
    words
        Complete words after the magic.
    fragment
        Beginning of the word to complete.
    session
        As for `matcher`.
    """
    asked = ShellComplete(command, {"obj": notebook(session)}, name, "")
    return [item.value for item in asked.get_completions(words, fragment)]
