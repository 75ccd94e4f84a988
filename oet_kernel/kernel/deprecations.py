"""Shows a script the deprecation warnings that ``python script.py`` shows: those of its own module, and no others."""

import re
import sys
import warnings
from collections.abc import Callable

_FORK = re.compile(r"This process \(pid=\d+\) is multi-threaded, use of \w+\(\) may lead to deadlocks")


class _OfKernelThreads:
    """Matches the warning of a fork beside other threads, as long as these are the kernel's alone.

    It is what a filter has for a pattern: Python asks for its ``match`` only.
    """

    def __init__(self, alone: Callable[[], bool]) -> None:
        self._alone = alone

    def match(self, text: str) -> bool:
        """Return whether the warning is to be ignored."""
        return _FORK.match(text) is not None and self._alone()


def show_as_main(name: str, alone: Callable[[], bool]) -> None:
    """Filter the warnings of a script's module as Python filters those of ``__main__``.

    To be called before the script is run: what it does to the filters afterwards holds.

    Parameters
    ----------
    name
        Name of its module.
    alone
        Returns whether the script has begun no thread: then a fork (Python 3.12 and later warn of it beside threads)
        would be silent in a process of its own.
    """
    filters = warnings.filters
    assert isinstance(filters, list)
    for position in reversed(range(len(filters))):
        action, message, category, module, line = filters[position]
        if module == "__main__" and name != module:
            filters.insert(position, (action, message, category, name, line))
    if sys.version_info >= (3, 12):
        filters.insert(0, ("ignore", _OfKernelThreads(alone), DeprecationWarning, None, 0))
