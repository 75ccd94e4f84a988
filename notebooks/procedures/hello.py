"""The smallest procedure: says hello from a subarray.

`init` is called when the procedure is created, `main` when it is started. What `init` puts into the module is there
for `main`; binding `main` anew with what `init` was given is how many observing scripts hand their subarray on.
"""

import functools

from oet_kernel.api import publish


def init(subarray_id: int = 1):
    """Bind main to a subarray.

    Parameters
    ----------
    subarray_id
        Subarray that says hello.
    """
    global main
    main = functools.partial(_main, subarray_id)


def main(name: str = "world"):
    raise RuntimeError("init was not called")


def _main(subarray_id: int, name: str = "world"):
    """Say hello.

    Parameters
    ----------
    subarray_id
        What init has bound.
    name
        Whom to greet.
    """
    publish("user.script.announce", msg=f"Hello {name} from subarray {subarray_id}")
