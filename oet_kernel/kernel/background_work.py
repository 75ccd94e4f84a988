"""Background work of a failed script: threads and child processes that still run."""

import os
import threading
from collections.abc import Collection

from oet_kernel.system.process_tree import children_of

_OURS = "oet-"
"""Name prefix of the kernel's own threads."""
_MACHINERY = ("ipykernel.", "zmq.")
"""Modules with the classes of the kernel's other threads: subshells, ZeroMQ's garbage collector."""


def at_work(before: Collection[threading.Thread]) -> bool:
    """Return whether a thread or child process of the script still runs.

    Parameters
    ----------
    before
        Threads that ran before the script.

    Returns
    -------
    bool
        True for a thread that was started since, or a child process, and where this cannot be determined. Threads
        without a Python object are not seen.
    """
    if threads(before):
        return True
    try:
        return bool(children_of(os.getpid()))
    except OSError:  # no descriptor is left to look with
        return True


def threads(before: Collection[threading.Thread]) -> list[threading.Thread]:
    """Return the running threads of the script.

    Parameters
    ----------
    before
        Threads that ran before the script.
    """
    begun = set(threading.enumerate()).difference(before)
    return [one for one in begun if not _is_machinery(one)]


def _is_machinery(thread: threading.Thread) -> bool:
    return thread.name.startswith(_OURS) or type(thread).__module__.startswith(_MACHINERY)
