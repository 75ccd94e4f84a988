"""Readers, which convert JSON values to values of annotated types, and the exception for values that do not fit."""

from collections.abc import Callable
from typing import Any

Reader = Callable[[Any, str], Any]
"""Converts a JSON value at a path; raises `Refused`."""


class Refused(Exception):
    """A value does not fit an annotation.

    Parameters
    ----------
    path
        Path of the value.
    expected
        Description of the expected type.
    got
        Description of the given value.
    said
        Message in place of the other two, for example of a library.
    """

    def __init__(self, path: str, expected: str, got: str = "", *, said: str = "") -> None:
        super().__init__(f"{path}: {said or f'expected {expected}, got {got}'}")
        self.path, self.expected = path, expected


def as_it_is(value: Any, path: str) -> Any:
    """Return a value unchanged, where its annotation is unknown."""
    return value
