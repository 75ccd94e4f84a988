"""Processes: waiting for an end, ending a whole tree, saying what an exit status means."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import psutil


def describe_exit(status: int | None) -> str:
    """Say how a process ended.

    Parameters
    ----------
    status
        Exit code, or minus the number of the signal that ended it; None when nobody knows.
    """
    if status is None:
        return "a status that nobody knows: the fork server, which would, has died"
    if status >= 0:
        return f"exit code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = {
        "SIGKILL": " (kill -9, or the system ran out of memory)",
        "SIGSEGV": " (a crash in compiled code)",
    }.get(name, "")
    return f"{name}{hint}"


async def exit_of(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a child process.

    Parameters
    ----------
    process
        A child of this process.

    Returns
    -------
    int
        Its exit code, or minus the number of the signal that ended it.
    """
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    handle = os.pidfd_open(process.pid)
    loop.add_reader(handle, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
    return process.wait()


def signal_group(pid: int, signum: signal.Signals) -> None:
    """Send a signal to a process and to all that stayed in its process group; nothing if they are gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signum)


def kill_tree(pid: int) -> None:
    """End a process and every descendant of it, however they defend themselves.

    Each is frozen before its children are listed, so that none can fork while the tree is walked. Blocks for some
    milliseconds: call it in a thread.

    Parameters
    ----------
    pid
        The root of the tree.
    """
    frozen: list[psutil.Process] = []
    queue = [pid]
    while queue:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(queue.pop())
            process.suspend()
            frozen.append(process)
            queue.extend(child.pid for child in process.children() if child not in frozen)
    for process in frozen:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def kill_leftovers(session: int, marker: str) -> None:
    """End what a kernel left behind: members of its session, and processes that carry its mark.

    Blocks for some milliseconds: call it in a thread.

    Parameters
    ----------
    session
        Session id: the kernel's pid.
    marker
        ``NAME=value`` in the environment that the kernel's descendants inherit.
    """
    for pid in list(_leftovers(session, marker)):
        kill_tree(pid)


def _leftovers(session: int, marker: str) -> Iterator[int]:
    mark = marker.encode()
    for pid in psutil.pids():
        with suppress(OSError):
            if os.getsid(pid) == session:
                yield pid
                continue
            with open(f"/proc/{pid}/environ", "rb") as environ:
                if mark in environ.read().split(b"\0"):
                    yield pid
