"""The stored form of ``main``'s return value: JSON where it has a short JSON form, else text."""

from contextlib import suppress
from typing import Any

from oet_kernel.bounds import OutOfBounds, read_json
from oet_kernel.kernel.encoding import EventEncodingError, encode
from oet_kernel.models import Returned

JSON_LIMIT = 64 << 10
"""Largest JSON form of a value in bytes that is kept whole."""
TEXT_LIMIT = 10_000
"""Characters of text that are kept of any other value, half from its beginning and half from its end."""
_LEVELS = 50
"""Deepest nesting of a value that is kept as JSON."""


def describe(value: Any) -> Returned | None:
    """Return the stored form of ``main``'s return value.

    Parameters
    ----------
    value
        Any object.

    Returns
    -------
    Returned
        None for None. A value without a JSON form is kept as its ``repr``; one that is too long or too deeply nested as
        its JSON, shortened. An exception of the object's own code is replaced by a text that says so.
    """
    if value is None:
        return None
    cls = type(value)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    try:
        encoded = encode(value)
    except (EventEncodingError, OutOfBounds):
        return Returned(type=_sendable(name), text=_shortened(_repr(value)))
    with suppress(OutOfBounds):
        plain = read_json(encoded, JSON_LIMIT)
        if _nests(plain) <= _LEVELS:
            return Returned(type=_sendable(name), value=plain)
    return Returned(type=_sendable(name), text=_shortened(encoded.decode()))


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:
        return f"<its text cannot be shown: {type(error).__name__}>"


def _shortened(text: str) -> str:
    if len(text) > TEXT_LIMIT:
        half = TEXT_LIMIT // 2
        text = f"{text[:half]} ... {len(text) - 2 * half} characters left out ... {text[-half:]}"
    return _sendable(text)


def _sendable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _nests(value: Any) -> int:
    """Return the depth of arrays and objects in a JSON value, counted to just beyond `_LEVELS`."""
    levels, pending = 0, [value]
    while pending and levels <= _LEVELS:
        inner: list[Any] = []
        for one in pending:
            inner += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        levels, pending = levels + 1, inner
    return levels
