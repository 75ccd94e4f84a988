"""What is measured: a service in a process of its own, and what its clients see of it."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from tests.conftest import Listener, Server

NOTHING = "def main(*args, **kwargs): pass\n"
EVENTS = """
import time
from oet_kernel.api import publish
def main(count, seconds):
    for number in range(count):
        if seconds:
            time.sleep(seconds)
        publish("user.count", number=number, sent=time.monotonic())
"""
LINES = """
def main(count, seconds):
    for number in range(count):
        print(f"line {number}")  # in one piece: what is counted must not be cut between two messages
"""


class Subject:
    """A client that keeps its connection, as programs do, and a listener to states.

    Parameters
    ----------
    server
        The service.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._parts = urlsplit(server.url)
        self._connection = http.client.HTTPConnection(self._parts.hostname or "", self._parts.port)
        self._headers = {"Authorization": f"token {server.token}", "Content-Type": "application/json"}
        self._listener = Listener(server, "?topic=procedure.lifecycle.statechange")
        self._events = self._listener.events()
        self._scripts: dict[str, str] = {}

    def close(self) -> None:
        """End both connections."""
        self._connection.close()
        self._listener.socket.close()

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        """Ask, and read the answer."""
        data = None if body is None else json.dumps(body)
        self._connection.request(method, self._parts.path + path, data, self._headers)
        reply = self._connection.getresponse()
        answer = reply.read()
        if reply.status >= 400:
            raise RuntimeError(answer.decode())
        return answer

    def create(self, text: str, subarray: int = 1) -> int:
        """Ask for a procedure; its id."""
        if text not in self._scripts:
            path = self.server.folder / f"benchmark-{time.monotonic_ns()}.py"
            path.write_text(text)
            self._scripts[text] = path.as_uri()
        script = {"script_type": "filesystem", "script_uri": self._scripts[text]}
        body = {"script": script, "script_args": {"init": {"kwargs": {"subarray_id": subarray}}}}
        return int(json.loads(self.request("POST", "/procedures", body))["procedure"]["id"])

    def start(self, pid: int, *args: Any) -> None:
        """Ask for a start."""
        body = {"state": "RUNNING", "script_args": {"main": {"args": args}}}
        self.request("PUT", f"/procedures/{pid}", body)

    def stop(self, pid: int) -> None:
        """Stop a procedure."""
        self.request("PUT", f"/procedures/{pid}", {"state": "STOPPED", "abort": False})

    def until(self, pid: int, state: str) -> None:
        """Listen until a procedure enters a state."""
        self.until_all({pid}, state)

    def until_all(self, pids: set[int], state: str) -> None:
        """Listen until each of some procedures has entered a state."""
        waiting = {str(pid) for pid in pids}
        for event in self._events:
            if event["new_state"] == state:
                waiting.discard(event["msg_src"])
                if not waiting:
                    return
            elif event["new_state"] in ("FAILED", "UNKNOWN") and event["msg_src"] in waiting:
                raise RuntimeError(f"procedure {event['msg_src']} is {event['new_state']}")
        raise RuntimeError("the stream has ended")

    def time_create(self) -> float:
        """Time a request for a procedure until READY is seen; milliseconds. The procedure is stopped after."""
        began = time.perf_counter()
        pid = self.create(NOTHING)
        self.until(pid, "READY")
        took = (time.perf_counter() - began) * 1e3
        self.stop(pid)
        self.until(pid, "STOPPED")
        return took

    def time_start(self) -> float:
        """Time the start of a prepared procedure until COMPLETE is seen; milliseconds."""
        pid = self.create(NOTHING)
        self.until(pid, "READY")
        began = time.perf_counter()
        self.start(pid)
        self.until(pid, "COMPLETE")
        return (time.perf_counter() - began) * 1e3

    def run_many(self, count: int, subarray: int) -> None:
        """Run procedures to their end, one after the other."""
        for _ in range(count):
            pid = self.create(NOTHING, subarray)
            self.until(pid, "READY")
            self.start(pid)
            self.until(pid, "COMPLETE")

    def kernel_of(self, text: str) -> tuple[int, Path]:
        """Prepare a procedure; its id and the folder of its kernel, when none is warm."""
        folder = self.server.folder / "state/kernels"
        before = set(folder.iterdir())
        pid = self.create(text)
        self.until(pid, "READY")
        (new,) = set(folder.iterdir()) - before
        return pid, new


@contextmanager
def subject(server: Server) -> Iterator[Subject]:
    """Be a client for a while."""
    made = Subject(server)
    try:
        yield made
    finally:
        made.close()


def drain(mark: str, count: int, *words: object) -> subprocess.Popen[str]:
    """Start listeners in a process of their own, and wait until they listen."""
    argv = [sys.executable, "-m", "tests.benchmarks.drain", mark, str(count), *map(str, words)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise RuntimeError("the listeners do not listen")
    return process


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for what such listeners have seen."""
    out, _ = process.communicate(timeout=300)
    if process.returncode:
        raise RuntimeError("the listeners have failed")
    return dict(json.loads(out))


def proportional_bytes(pid: int) -> int:
    """Give the proportional set size of a process: what it has alone, and its share of what it shares."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no Pss of {pid}")


def kernels(server: Server) -> list[psutil.Process]:
    """List the kernel processes of a service: sessions of their own, other than the fork server's."""
    service = psutil.Process(server.process.pid)
    forkers = [
        child.pid for child in service.children() if "oet_kernel.kernel_manager.forkserver.server" in child.cmdline()
    ]
    return [child for child in service.children(recursive=True) if child.pid not in forkers]


def cpu_seconds(server: Server) -> float:
    """Add up the CPU time of a service and all its processes."""
    service = psutil.Process(server.process.pid)
    times = [process.cpu_times() for process in (service, *service.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))
