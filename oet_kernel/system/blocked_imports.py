"""Leaving out what a library imports only in case it is there, takes long, and is not used here."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def blocked(name: str) -> Iterator[None]:
    """Have imports of a module fail, as where it is not installed; afterwards it can be imported.

    Parameters
    ----------
    name
        Of the module; one that was imported before stays.
    """
    hide = name not in sys.modules
    if hide:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hide:
            del sys.modules[name]
