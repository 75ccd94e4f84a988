"""Parsing Python in a process with several threads."""

import ast
import re
import threading
import warnings

SOURCE = "<oet script>"
"""What stands for the name of a file whose text is only looked at; warnings about it are not shown."""
_ATTEMPTS = 10
_alone = threading.RLock()


def parse_python(source: str | bytes) -> ast.Module:
    """Parse a module as `ast.parse` does, without warnings: Python gives them when it compiles what it runs.

    CPython 3.11 counts in one place for all threads how deep a tree is, and raises `SystemError` where another parse
    came between: of another thread, or of a traceback that was formatted meanwhile.

    Parameters
    ----------
    source
        Its text.

    Raises
    ------
    SyntaxError, ValueError, RecursionError, MemoryError
        When it is not Python, or more than Python can read.
    """
    with _alone:
        # for good, and for this name alone: to set and to restore filters from threads would mix up those of others
        warnings.filterwarnings("ignore", module=re.escape(SOURCE))
        for _ in range(_ATTEMPTS):
            try:
                return ast.parse(source, SOURCE)
            except SystemError:  # the next one may be undisturbed
                continue
        return ast.parse(source, SOURCE)
