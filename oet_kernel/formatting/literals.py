"""Parsing of a script's arguments on a command line: ``'hello' --subarray_id=2 --verbose=true``. Pure functions.

Each argument is sent as the literal that its text represents, with the text too where the two differ: the service or
the kernel uses the text where the script's annotation is text.
"""

import ast
import json
import re
import warnings
from collections.abc import Sequence
from typing import Any

import click
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from oet_kernel.formatting.json_form import json_form
from oet_kernel.models import FunctionName, ProcedureInput, Typed

_NUMBER = re.compile(r"-(\d|\.\d|inf|nan)")
_JSON_WORDS = {"true": True, "false": False, "null": None}


class _JsonWords(ast.NodeTransformer):
    """Replace ``true``, ``false`` and ``null`` inside a Python literal by their values; strings are unchanged."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(_JSON_WORDS[node.id]) if node.id in _JSON_WORDS else node


def read_value(text: str) -> Any:
    """Read a value as a JSON or Python literal if it is one, otherwise as text.

    Parameters
    ----------
    text
        Text as typed.

    Returns
    -------
    Any
        JSON value; a literal without JSON form (a set, bytes, infinity) stays text.
    """
    for read in (json.loads, _read_python):
        try:
            return json_form(read(text))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return text


def _read_python(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # '\d' is ordinary text here
        return ast.literal_eval(_JsonWords().visit(ast.parse(text.strip(" \t"), mode="eval")))


def read_arguments(words: Sequence[str]) -> ProcedureInput:
    """Read positional and keyword arguments.

    ``--name=value`` and ``--name value`` are keyword arguments, ``--name`` before another option or at the end means
    True; a dash in a name is an underscore.

    Parameters
    ----------
    words
        Words of the command line, without the command's own options.

    Raises
    ------
    click.UsageError
        When an option has no name (``--=5``).
    """
    positional, named = _tell_apart(words)
    return _read([words[at] for at in positional], named)


def first_positional(words: Sequence[str]) -> int | None:
    """Return the index of the first positional argument; None if there is none.

    Parameters
    ----------
    words
        As for `read_arguments`.
    """
    positional, _ = _tell_apart(words)
    return positional[0] if positional else None


def read_command_line(words: Sequence[str]) -> ProcedureInput:
    """Read arguments of ``main`` as `read_arguments` does, and keep the words for a script that parses them itself."""
    given = read_arguments(words)
    typed = Typed() if isinstance(given.typed, UnsetType) else given.typed
    return replace(given, typed=replace(typed, words=[*words])) if words else given


def read_call(words: Sequence[str]) -> tuple[str | None, ProcedureInput]:
    """Read the script (the first positional argument as typed; None if there is none) and its arguments.

    Options may precede the script: ``--subarray_id=2 file:///x.py hello``.

    Parameters
    ----------
    words
        As for `read_arguments`.

    Raises
    ------
    click.UsageError
        As for `read_arguments`.
    """
    positional, named = _tell_apart(words)
    given = [words[at] for at in positional]
    return (given[0] if given else None), _read(given[1:], named)


def _read(positional: Sequence[str], named: dict[str, str | None]) -> ProcedureInput:
    kwargs = {name: True if value is None else read_value(value) for name, value in named.items()}
    args = [read_value(word) for word in positional]
    typed = Typed(
        [None if value == word else word for word, value in zip(positional, args, strict=True)],
        {name: word for name, word in named.items() if word is not None and kwargs[name] != word},
    )
    return ProcedureInput(args, kwargs, typed if typed.kwargs or any(one is not None for one in typed.args) else UNSET)


def call_of(function: FunctionName, given: ProcedureInput) -> str:
    """Return a call as Python code: ``main('hello', scans=3)``."""
    named = (f"{name}={value!r}" for name, value in given.kwargs.items())
    return f"{function}({', '.join([*map(repr, given.args), *named])})"


def readings(given: ProcedureInput, decided: ProcedureInput | None) -> list[str]:
    """Return warnings about texts that were read as numbers written differently: identifiers may have been intended.

    Parameters
    ----------
    given
        Arguments as read here.
    decided
        Arguments as converted by the service; None if the service does not return them.

    Returns
    -------
    list of str
        ``obs_id: 20260101_0001 is read as the number 202601010001; ...``.
    """
    if decided is None or isinstance(given.typed, UnsetType):
        return []
    pairs = zip(given.typed.args, decided.args, strict=False)
    texts = {f"argument {n}": pair for n, pair in enumerate(pairs, 1)}
    texts |= {name: (text, decided.kwargs.get(name)) for name, text in given.typed.kwargs.items()}
    return [
        f"{name}: {text} is read as the number {value!r}; annotate it as str in the script to have the text, or write "
        f"'\"{text}\"'"
        for name, (text, value) in texts.items()
        if text is not None and isinstance(value, int | float) and not isinstance(value, bool)
        if text.strip() not in (repr(value), json.dumps(value))
    ]


def _tell_apart(words: Sequence[str]) -> tuple[list[int], dict[str, str | None]]:
    """Separate positional arguments, given by their indices, from named ones; the value of a bare flag is None."""
    positional: list[int] = []
    named: dict[str, str | None] = {}
    waiting: str | None = None
    for at, word in enumerate(words):
        if word.startswith("-") and word.strip("-") and not _NUMBER.match(word):
            name, equals, value = word.lstrip("-").partition("=")
            if not name:
                raise click.UsageError(f"{word} gives a value to an argument without a name; write --name=value")
            name = name.replace("-", "_")
            named[name] = value if equals else None
            waiting = None if equals else name
        elif waiting is not None:
            named[waiting] = word
            waiting = None
        else:
            positional.append(at)
    return positional, named
