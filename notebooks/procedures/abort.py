"""An abort script: what the service runs on a subarray after a stop (`oet serve --abort-script abort.py`).

It gets the stopped procedure's `subarray_id`, and must be quick: whoever asked for the stop waits until it is READY.
A real one sends the telescope's Abort command here.
"""

from oet_kernel.api import publish


def init(subarray_id: int | None = None):
    """Take note of the subarray.

    Parameters
    ----------
    subarray_id
        Subarray whose activity ends; none for a procedure that had none.
    """
    global subarray
    subarray = subarray_id


def main():
    """Abort."""
    publish("user.script.announce", msg=f"Aborting what subarray {subarray} was doing")
