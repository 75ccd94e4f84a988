"""Parsing Python in a process with several threads."""

import ast
import threading

_ATTEMPTS = 10
_alone = threading.RLock()


def parse_python(source: str | bytes, filename: str = "<unknown>") -> ast.Module:
    """Parse a module as `ast.parse` does.

    CPython 3.11 counts in one place for all threads how deep a tree is, and raises `SystemError` where another parse
    came between: of another thread, or of a traceback that was formatted meanwhile.

    Parameters
    ----------
    source
        Its text.
    filename
        For errors.

    Raises
    ------
    SyntaxError, ValueError, RecursionError, MemoryError
        When it is not Python, or more than Python can read.
    """
    with _alone:
        for _ in range(_ATTEMPTS):
            try:
                return ast.parse(source, filename)
            except SystemError:  # the next one may be undisturbed
                continue
        return ast.parse(source, filename)
