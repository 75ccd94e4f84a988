"""Whether the time that a function takes grows with the length of what it is given, and not with its square."""

import time
from collections.abc import Callable
from typing import Any


def assert_linear(function: Callable[[str], Any], text: Callable[[int], str]) -> None:
    """Call a function with 10 kB and with 100 kB; what takes the square takes a hundred times as long for these.

    Parameters
    ----------
    function
        What it gives does not matter.
    text
        Makes a text of about so many characters.
    """

    def seconds(length: int) -> float:
        given = text(length)
        best = 1e9
        for _ in range(2):
            begun = time.process_time()
            function(given)
            best = min(best, time.process_time() - begun)
        return best

    assert seconds(100_000) < 40 * seconds(10_000) + 0.02
