"""What makes values of JSON values, and what is raised where one cannot be made."""

from collections.abc import Callable
from typing import Any

Reader = Callable[[Any, str], Any]
"""Makes a value of a JSON value, which stands at a path; raises `Refused`."""


class Refused(Exception):
    """A value is not what is promised.

    Parameters
    ----------
    path
        Where it stands.
    expected
        What is promised, in words.
    got
        What came.
    said
        What is wrong, where that is said by somebody else.
    """

    def __init__(self, path: str, expected: str, got: str = "", *, said: str = "") -> None:
        super().__init__(f"{path}: {said or f'expected {expected}, got {got}'}")
        self.path, self.expected = path, expected


def as_it_is(value: Any, path: str) -> Any:
    """Return a value of which nothing is promised."""
    return value
