"""Blocking of optional imports of libraries that are slow and not used here."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def blocked(name: str) -> Iterator[None]:
    """Block imports of a module, as if it were not installed, until the context ends.

    Parameters
    ----------
    name
        Name of the module; one that is already imported stays.
    """
    hide = name not in sys.modules
    if hide:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hide:
            del sys.modules[name]
