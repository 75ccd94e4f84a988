"""Parsing Python in a process with several threads."""

import ast
import re
import threading
import warnings

SOURCE = "<oet script>"
"""File name for source that is only parsed; warnings about it are not shown."""
_ATTEMPTS = 10
_alone = threading.RLock()


def parse_python(source: str | bytes) -> ast.Module:
    """Parse a module as `ast.parse` does, without warnings, which Python raises when the script itself is compiled.

    CPython 3.11 has one counter of a tree's depth for all threads, and raises `SystemError` where another parse
    interferes: in another thread, or while a traceback is formatted.

    Parameters
    ----------
    source
        Text of the module.

    Raises
    ------
    SyntaxError, ValueError, RecursionError, MemoryError
        When the text is not Python, or beyond Python's limits.
    """
    with _alone:
        # permanently, and for this name alone: setting and restoring filters in threads would mix up other filters
        warnings.filterwarnings("ignore", module=re.escape(SOURCE))
        for _ in range(_ATTEMPTS):
            try:
                return ast.parse(source, SOURCE)
            except SystemError:  # the next attempt may be undisturbed
                continue
        return ast.parse(source, SOURCE)
