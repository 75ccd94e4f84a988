"""How failure looks: the procedure becomes FAILED and keeps its stack trace, causes included.

`oet run fail.py --where=init` fails in `init`, `oet run fail.py` in `main`.
"""

from oet_kernel.api import publish


class TelescopeError(Exception):
    """What went wrong, in the observer's terms."""


def init(subarray_id=1, where="main"):
    global place
    place = where
    if where == "init":
        observe()


def main():
    publish("user.script.announce", msg=f"About to fail in {place}")
    observe()


def observe():
    try:
        point({"azimuth": 12.5})
    except KeyError as error:
        raise TelescopeError("Cannot point the dishes: the target has no elevation") from error


def point(target):
    return target["azimuth"], target["elevation"]
