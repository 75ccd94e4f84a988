"""Calls of a script's function as Python code. Pure functions."""

import keyword
import unicodedata

from oet_kernel.models import ProcedureInput

_LINE = 100
"""Maximum number of characters of a call on one line."""


def call(name: str, arguments: ProcedureInput, *, awaited: bool = False) -> str:
    """Return a call as Python code.

    Parameters
    ----------
    name
        Name of the function.
    arguments
        Arguments, as JSON values.
    awaited
        Whether the function is a coroutine function.
    """
    named = {key: value for key, value in arguments.kwargs.items() if _is_name(key)}
    others = {key: value for key, value in arguments.kwargs.items() if key not in named}
    words = [repr(value) for value in arguments.args]
    words += [f"{key}={value!r}" for key, value in named.items()]
    words += [f"**{others!r}"] if others else []
    head = f"await {name}" if awaited else name
    line = f"{head}({', '.join(words)})"
    return line if len(line) <= _LINE else f"{head}(\n{''.join(f'    {word},{chr(10)}' for word in words)})"


def _is_name(key: str) -> bool:
    """Return whether a keyword can be written as a name: Python normalises names (PEP 3131), and reserves some."""
    if keyword.iskeyword(key) or key == "__debug__":  # reserved by the compiler
        return False
    return key.isidentifier() and unicodedata.normalize("NFKC", key) == key
