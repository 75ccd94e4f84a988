"""Reads the free arguments that reach a script: ``'hello' --subarray_id=2 --verbose=true``. Pure."""

import ast
import math
import re
from collections.abc import Sequence
from typing import Any

from oet_kernel.models import ProcedureInput

_NUMBER = re.compile(r"-(\d|\.\d|inf|nan)")
_JSON_WORDS = {"true": True, "false": False, "null": None}


def read_value(text: str) -> Any:
    """Read a value as a Python or JSON literal where it is one, else as text.

    Parameters
    ----------
    text
        As typed.

    Returns
    -------
    Any
        A JSON value; what has no JSON form (a set, bytes, infinity) stays text.
    """
    if text in _JSON_WORDS:
        return _JSON_WORDS[text]
    if text[:1] in "[{":
        text_as_python = re.sub(r"\b(true|false|null)\b", lambda word: str(_JSON_WORDS[word.group()]), text)
    else:
        text_as_python = text
    for candidate in (text, text_as_python):
        try:
            value = _plain(ast.literal_eval(candidate))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        return value
    return text


def _plain(value: Any) -> Any:
    """Give a literal its JSON form; raises ValueError where it has none."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict() if all(isinstance(key, str) for key in value):
            return {key: _plain(item) for key, item in value.items()}
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
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    waiting: str | None = None
    for word in words:
        if word.startswith("-") and word.strip("-") and not _NUMBER.match(word):
            if waiting is not None:
                kwargs[waiting] = True
            name, equals, value = word.lstrip("-").partition("=")
            waiting = name.replace("-", "_")
            if equals:
                kwargs[waiting] = read_value(value)
                waiting = None
        elif waiting is not None:
            kwargs[waiting] = read_value(word)
            waiting = None
        else:
            args.append(read_value(word))
    if waiting is not None:
        kwargs[waiting] = True
    return ProcedureInput(args, kwargs)
