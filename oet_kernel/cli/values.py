"""Reads the free arguments that reach a script: ``'hello' --subarray_id=2 --verbose=true``. Pure."""

import ast
import json
import math
import re
import warnings
from collections.abc import Sequence
from typing import Any

import click

from oet_kernel.models import ProcedureInput

_NUMBER = re.compile(r"-(\d|\.\d|inf|nan)")
_JSON_WORDS = {"true": True, "false": False, "null": None}


class _JsonWords(ast.NodeTransformer):
    """Gives ``true``, ``false`` and ``null`` their meaning inside a Python literal; what strings hold stays."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(_JSON_WORDS[node.id]) if node.id in _JSON_WORDS else node


def read_value(text: str) -> Any:
    """Read a value as a JSON or Python literal where it is one, else as text.

    Parameters
    ----------
    text
        As typed.

    Returns
    -------
    Any
        A JSON value; what has no JSON form (a set, bytes, infinity) stays text.
    """
    for read in (json.loads, _read_python):
        try:
            return _plain(read(text))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return text


def _read_python(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # '\d' is text like any other here
        return ast.literal_eval(_JsonWords().visit(ast.parse(text.strip(" \t"), mode="eval")))


def _plain(value: Any) -> Any:
    """Give a literal its JSON form; raises ValueError where it has none."""
    match value:
        case None | bool() | int():
            return value
        case str():
            value.encode()  # half of a surrogate pair has no UTF-8 form: UnicodeEncodeError is a ValueError
            return value
        case float() if math.isfinite(value):
            return value
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict() if all(isinstance(key, str) for key in value):
            return {_plain(key): _plain(item) for key, item in value.items()}
        case _:
            raise ValueError(value)


def read_arguments(words: Sequence[str]) -> ProcedureInput:
    """Read positional and keyword arguments.

    ``--name=value`` and ``--name value`` give a keyword argument, ``--name`` before another option or at the end gives
    True; a dash in a name is an underscore.

    Parameters
    ----------
    words
        What stands on the command line, options of its own taken out.

    Raises
    ------
    click.UsageError
        When an option has no name (``--=5``).
    """
    positional, named = _tell_apart(words)
    return _read(positional, named)


def read_call(words: Sequence[str]) -> tuple[str | None, ProcedureInput]:
    """Read the script (the first positional argument, as it was typed; None without any) and its arguments.

    Options may stand before it: ``--subarray_id=2 file:///x.py hello``.

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
    return (positional[0] if positional else None), _read(positional[1:], named)


def _read(positional: Sequence[str], named: dict[str, str | None]) -> ProcedureInput:
    kwargs = {name: True if value is None else read_value(value) for name, value in named.items()}
    return ProcedureInput([read_value(word) for word in positional], kwargs)


def _tell_apart(words: Sequence[str]) -> tuple[list[str], dict[str, str | None]]:
    """Part positional arguments from named ones; the value of a bare flag is None."""
    positional: list[str] = []
    named: dict[str, str | None] = {}
    waiting: str | None = None
    for word in words:
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
            positional.append(word)
    return positional, named
