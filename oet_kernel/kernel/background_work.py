"""What a script leaves at work when it has failed: threads and processes that nobody waits for."""

import threading
from collections.abc import Collection
from pathlib import Path

_OURS = "oet-"
"""Beginning of the names of threads that are the kernel's own."""
_MACHINERY = ("ipykernel.", "zmq.")
"""Where the classes of further such threads are: those of subshells, of ZeroMQ's own memory."""


def at_work(before: Collection[threading.Thread]) -> bool:
    """Return whether a thread or child process of the script still runs.

    Parameters
    ----------
    before
        The threads that there were before the script.

    Returns
    -------
    bool
        True for a thread that has begun since, or a child process, and where that cannot be found out. What runs below
        Python is not seen.
    """
    if threads(before):
        return True
    try:
        return any(_children(task) for task in Path("/proc/self/task").iterdir())
    except OSError:  # no descriptor is left to look with
        return True


def threads(before: Collection[threading.Thread]) -> list[threading.Thread]:
    """List the threads of the script that run.

    Parameters
    ----------
    before
        The threads that there were before the script.
    """
    begun = set(threading.enumerate()).difference(before)
    return [one for one in begun if not _is_machinery(one)]


def _is_machinery(thread: threading.Thread) -> bool:
    return thread.name.startswith(_OURS) or type(thread).__module__.startswith(_MACHINERY)


def _children(task: Path) -> str:
    try:
        return (task / "children").read_text().strip()
    except OSError:  # the thread has ended meanwhile
        return ""
