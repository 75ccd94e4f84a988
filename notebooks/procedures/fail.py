"""How failure looks: the procedure becomes FAILED and keeps its stack trace, causes included.

`oet run fail.py --where=init` fails in `init`, `oet run fail.py` in `main`.
"""

from typing import Literal

from oet_kernel.api import publish


class TelescopeError(Exception):
    """What went wrong, in the observer's terms."""


def init(subarray_id: int = 1, where: Literal["init", "main"] = "main"):
    """Fail at once, or take note to do so later.

    Parameters
    ----------
    subarray_id
        Subarray to fail on.
    where
        The function that fails.
    """
    global place
    place = where
    if where == "init":
        observe()


def main():
    """Fail."""
    publish("user.script.announce", msg=f"About to fail in {place}")
    observe()


def observe():
    try:
        point({"azimuth": 12.5})
    except KeyError as error:
        raise TelescopeError("Cannot point the dishes: the target has no elevation") from error


def point(target):
    return target["azimuth"], target["elevation"]
