"""Children of processes, and the end of whole trees of them; by the files of Linux alone, for forked processes too."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Return the process ids of the children of a process.

    Parameters
    ----------
    pid
        Process id.

    Raises
    ------
    OSError
        When there is no such process, or no descriptor is left to look with.
    """
    found: list[int] = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with suppress(OSError):  # the thread has ended meanwhile
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def kill_tree(pid: int) -> None:
    """Kill a process and all its descendants.

    Each process is suspended before its children are listed, so that none can fork while the tree is walked. Blocks for
    some milliseconds: call it in a thread.

    Parameters
    ----------
    pid
        Process id of the root of the tree.
    """
    frozen: list[int] = []
    queue = [pid]
    while queue:
        one = queue.pop()
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGSTOP)
            frozen.append(one)
            with suppress(OSError):  # it has ended meanwhile
                queue += [child for child in children_of(one) if child not in frozen]
    for one in frozen:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
