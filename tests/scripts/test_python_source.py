"""Parsing in threads: CPython 3.11 takes its own count for broken where another parse comes between."""

import ast
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from oet_kernel.scripts import python_source


class Disturbs:
    """Runs Python when it is collected, and so lets other threads run amid a parse."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        sum(range(50))


def test_threads_that_parse_at_once_all_get_their_tree():
    source = Path(python_source.__file__).with_name("git.py").read_text()
    whole = len(ast.parse(source).body)
    begin, before = threading.Barrier(4), sys.getswitchinterval()

    def work(_):
        begin.wait()
        return [(Disturbs(), len(python_source.parse_python(source).body))[1] for _ in range(30)]

    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as threads:
            found = [size for sizes in threads.map(work, range(4)) for size in sizes]
    finally:
        sys.setswitchinterval(before)
    assert set(found) == {whole}


@pytest.mark.parametrize("source", ["def", "x = 1\0"])
def test_what_is_no_python_is_refused_as_ever(source):
    with pytest.raises((SyntaxError, ValueError)):
        python_source.parse_python(source)
