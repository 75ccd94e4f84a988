"""Processes: waiting for their end, ending a whole tree, describing exit statuses."""

import asyncio
import os
import signal
import subprocess
from contextlib import suppress

import psutil

from oet_kernel.protocol import COLLECTOR_NAME, KERNEL_NAME
from oet_kernel.system.process_identity import start_of as start_of
from oet_kernel.system.process_tree import kill_tree

MARK = "OET_KERNEL_ID"
"""Environment variable that marks a kernel's descendants: it holds the full path of the kernel's folder."""


def describe_exit(status: int | None) -> str:
    """Return a description of the end of a process.

    Parameters
    ----------
    status
        Exit code, or minus the number of the signal that ended it; None if unknown.
    """
    if status is None:
        return "an unknown status: its parent process had ended before"
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
        Child of this process.

    Returns
    -------
    int
        Exit code, or minus the number of the signal that ended the process.
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


def handles(pid: int, signum: signal.Signals) -> bool:
    """Return whether a process has a handler of its own for a signal; False if that cannot be determined.

    Parameters
    ----------
    pid
        Process id.
        signum
        Signal to check.
    """
    with suppress(OSError, ValueError), open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signum - 1) & 1)
    return False


def signal_group(pid: int, signum: signal.Signals) -> None:
    """Send a signal to a process and its process group; no-op if they have ended."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signum)


def kill_leftovers(session: int | None, folder: str) -> None:
    """Kill the processes that a kernel has left: members of its session, and processes with its mark.

    Blocks for some milliseconds: call it in a thread.

    Parameters
    ----------
    session
        Session id, the kernel's pid; None if that may belong to another process by now.
    folder
        Private folder of the kernel, which the environment of its descendants names.
    """
    for pid in psutil.pids() if session is not None else []:
        with suppress(OSError):
            if os.getsid(pid) == session:
                kill_tree(pid)
    for pid in marked(folder).get(folder, []):
        kill_tree(pid)


def marked(beginning: str) -> dict[str, list[int]]:
    """Find the processes with the mark of a kernel, session leaders first.

    Forked processes that have not started another program since have the environment of their fork server: no mark. A
    collector, which ends by itself, is left out.

    Parameters
    ----------
    beginning
        Beginning of the path of the kernel's folder.

    Returns
    -------
    dict
        Process ids by the path of the kernel's folder.
    """
    found: dict[str, list[int]] = {}
    mark = f"{MARK}={beginning}".encode()
    for pid in psutil.pids():
        with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as environ:
            for entry in environ.read().split(b"\0"):
                if entry.startswith(mark) and pid != os.getpid() and _name(pid) != COLLECTOR_NAME:
                    folder = os.fsdecode(entry.partition(b"=")[2])
                    found.setdefault(folder, []).append(pid)
    for pids in found.values():
        pids.sort(key=lambda pid: (not _leads_session(pid), pid))
    return found


def fork_servers(runtime: str) -> list[int]:
    """Find the fork servers that listen in a folder.

    Parameters
    ----------
    runtime
        Folder of a service's sockets.
    """
    found = {}
    for process in psutil.process_iter(["cmdline", "name", "ppid"]):
        words = process.info["cmdline"] or []
        listens = "--socket" in words and words[words.index("--socket") + 1].startswith(f"{runtime}/fork-")
        if listens and process.info["name"] not in (KERNEL_NAME, COLLECTOR_NAME):
            found[process.pid] = process.info["ppid"]
    return [pid for pid, parent in found.items() if parent not in found]  # without children that are not yet kernels


def _name(pid: int) -> str:
    with open(f"/proc/{pid}/comm") as name:
        return name.read().strip()


def _leads_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except OSError:
        return False
