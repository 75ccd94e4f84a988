"""Filters for a script's deprecation warnings: only those of its own module are shown, as by ``python script.py``."""

import re
import sys
import warnings
from collections.abc import Callable

_FORK = re.compile(r"This process \(pid=\d+\) is multi-threaded, use of \w+\(\) may lead to deadlocks")


class _OfKernelThreads:
    """Pattern for the warning of a fork beside other threads, as long as all of these are the kernel's.

    Used in place of a regular expression in a filter: Python calls only its ``match``.
    """

    def __init__(self, alone: Callable[[], bool]) -> None:
        self._alone = alone

    def match(self, text: str) -> bool:
        """Return whether to ignore the warning."""
        return _FORK.match(text) is not None and self._alone()


def show_as_main(name: str, alone: Callable[[], bool]) -> None:
    """Filter the warnings of a script's module as Python filters those of ``__main__``.

    Called before the script runs, so that its own changes to the filters take precedence.

    Parameters
    ----------
    name
        Name of the script's module.
    alone
        Returns whether the script has started no thread: then a fork (Python 3.12 and later warn of it beside threads)
        would raise no warning in a process of its own.
    """
    filters = warnings.filters
    assert isinstance(filters, list)
    for position in reversed(range(len(filters))):
        action, message, category, module, line = filters[position]
        if module == "__main__" and name != module:
            filters.insert(position, (action, message, category, name, line))
    if sys.version_info >= (3, 12):
        filters.insert(0, ("ignore", _OfKernelThreads(alone), DeprecationWarning, None, 0))
