"""The service is killed in the middle of a command; nothing is half done, and what was taken down is carried out."""

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import httpx

from tests.faults.outcome import Outcome
from tests.faults.stand import Follower, Stand, stand

_MARKING = """
import os, time
def _mark(name, folder):
    with open(os.path.join(folder, name), "a") as file:
        file.write("x")
def init(subarray_id, folder, stubborn=False):
    global place, defends
    place, defends = folder, stubborn
    _mark("init", folder)
def main():
    _mark("main", place)
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            if not defends:
                raise
"""
_LONGEST = 0.06
"""Seconds after the request within which the service is killed."""
_ENDED = ("COMPLETE", "FAILED", "STOPPED", "UNKNOWN")


class Request(threading.Thread):
    """A request whose service may not live to answer it.

    Parameters
    ----------
    site
        Whose service is asked.
    method, path, body
        What it is asked.
    """

    def __init__(self, site: Stand, method: str, path: str, body: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        url = httpx.URL(site.server.url)
        content = json.dumps(body).encode()
        head = f"{method} {url.path}{path} HTTP/1.0\r\nAuthorization: token {site.server.token}\r\n"
        self._socket = socket.create_connection((url.host, url.port or 80))
        self._socket.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        self.sent = time.monotonic()
        self.status: int | None = None
        """Of the answer; None where none came."""
        self.start()

    def run(self) -> None:
        """Read the answer."""
        got = b""
        with suppress(OSError):
            while chunk := self._socket.recv(65536):
                got += chunk
        self._socket.close()
        head, end, _ = got.partition(b"\r\n\r\n")
        if end:
            self.status = int(head.split()[1])


class Procedures:
    """The procedures of a stand: their scripts leave marks in folders of their own.

    Parameters
    ----------
    site
        Whose service has them.
    """

    def __init__(self, site: Stand) -> None:
        self.site = site
        self._script = site.folder / "marking.py"
        self._script.write_text(_MARKING)
        self._made = 0

    def creation(self, *, stubborn: bool = False) -> tuple[dict[str, Any], Path]:
        """Give the body of a request to create one, and the folder of its marks."""
        self._made += 1
        folder = self.site.folder / f"marks-{self._made}"
        folder.mkdir()
        init = {"subarray_id": self._made, "folder": str(folder), "stubborn": stubborn}
        script = {"script_type": "filesystem", "script_uri": self._script.as_uri()}
        return {"script": script, "script_args": {"init": {"kwargs": init}}}, folder

    def create(self, *, stubborn: bool = False) -> tuple[int, Path]:
        """Create one."""
        body, folder = self.creation(stubborn=stubborn)
        reply = self.site.server.http.post("/procedures", json=body)
        assert reply.status_code == 201, reply.text
        return int(reply.json()["procedure"]["id"]), folder


def marks(folder: Path, name: str) -> int:
    """Tell how often a function of a script was called."""
    path = folder / name
    return path.stat().st_size if path.exists() else 0


def commands_cut(trials: int, seed: int) -> Outcome:
    """Kill the service up to 60 ms after it was sent a create, a start or a stop; start it again, and look."""
    outcome = Outcome("commands_cut", seed, trials)
    random = Random(seed)
    options = ["--OetApp.interrupt_seconds=0.3", "--OetApp.terminate_seconds=0.2", "--OetApp.history=5"]
    kinds = [_create, _start, _stop]
    with stand(*options) as site:
        site.start("--warm-kernels=0")
        procedures = Procedures(site)
        for trial in range(1, trials + 1):
            kind = kinds[trial % 3]
            kind(procedures, random, outcome, f"trial {trial}, {kind.__name__[1:]}")
            _clear(site, outcome, f"trial {trial}, {kind.__name__[1:]}")
        site.restart("--warm-kernels=0")
        _look_for_leftovers(site, outcome)
    return outcome


def cut(site: Stand, random: Random, request: Request, longest: float = _LONGEST) -> None:
    """Kill the service up to so many seconds after it was sent a request, and start it again."""
    moment = random.uniform(0, longest)
    time.sleep(max(0.0, request.sent + moment - time.monotonic()))
    site.kill()
    request.join(60)
    site.start(f"--warm-kernels={random.choice([0, 0, 1])}")


def _met(outcome: Outcome, kind: str, recorded: bool, request: Request) -> None:
    """Count at what moment the service was killed."""
    when = "answered" if request.status else "recorded, not answered" if recorded else "not recorded"
    outcome.count(f"{kind}: {when}")


def _create(procedures: Procedures, random: Random, outcome: Outcome, name: str) -> None:
    site = procedures.site
    before = {one["id"] for one in site.archive()}
    body, folder = procedures.creation()
    request = Request(site, "POST", "/procedures", body)
    cut(site, random, request)
    new = [one["id"] for one in site.archive() if one["id"] not in before]
    _met(outcome, "create", bool(new), request)
    outcome.check(len(new) <= 1, f"{name}: {new} were created by one request")
    outcome.check(not request.status or bool(new), f"{name}: was answered {request.status} and is not there")
    outcome.check(not before or not new or new[0] > max(before), f"{name}: id {new} was given before")
    if new:
        _until(site, new[0], "READY")
        state = site.describe(new[0])["state"]
        outcome.check(state == "READY", f"{name}: became {state} instead of READY")
        topics = [one["topic"] for one in site.events(new[0])]
        created = topics.count("request.procedure.create"), topics.count("procedure.lifecycle.created")
        outcome.check(created == (1, 1), f"{name}: was told of {created} times")
    outcome.check(marks(folder, "init") == len(new), f"{name}: init was called {marks(folder, 'init')} times")
    outcome.check(marks(folder, "main") == 0, f"{name}: main was called")


def _start(procedures: Procedures, random: Random, outcome: Outcome, name: str) -> None:
    site = procedures.site
    pid, folder = procedures.create()
    _until(site, pid, "READY")
    request = Request(site, "PUT", f"/procedures/{pid}", {"state": "RUNNING"})
    cut(site, random, request)
    recorded = _asked(site, pid, "request.procedure.start")
    _met(outcome, "start", recorded, request)
    outcome.check(recorded or not request.status, f"{name}: was answered {request.status} and not recorded")
    if not recorded:
        state = site.describe(pid)["state"]
        outcome.check(state == "READY", f"{name}: is {state}, though nobody has heard the request")
        outcome.check(marks(folder, "main") == 0, f"{name}: main was called")
        reply = site.server.http.put(f"/procedures/{pid}", json={"state": "RUNNING"})
        outcome.check(reply.status_code == 200, f"{name}: cannot be started again: {reply.text}")
    _until(site, pid, "RUNNING")
    outcome.check(site.describe(pid)["state"] == "RUNNING", f"{name}: is {site.describe(pid)['state']}")
    _mark_comes(folder, "main")
    outcome.check(marks(folder, "init") == 1, f"{name}: init was called {marks(folder, 'init')} times")
    reply = site.stop(pid)
    outcome.check(reply.status_code == 200, f"{name}: cannot be stopped: {reply.text}")
    outcome.check(marks(folder, "main") == 1, f"{name}: main was called {marks(folder, 'main')} times")


def _stop(procedures: Procedures, random: Random, outcome: Outcome, name: str) -> None:
    site = procedures.site
    pid, folder = procedures.create(stubborn=random.choice([True, False]))
    _until(site, pid, "READY")
    reply = site.server.http.put(f"/procedures/{pid}", json={"state": "RUNNING"})
    assert reply.status_code == 200, reply.text
    _until(site, pid, "RUNNING")
    _mark_comes(folder, "main")
    request = Request(site, "PUT", f"/procedures/{pid}", {"state": "STOPPED", "abort": False})
    cut(site, random, request)
    recorded = _asked(site, pid, "request.procedure.stop")
    _met(outcome, "stop", recorded, request)
    outcome.check(recorded or not request.status, f"{name}: was answered {request.status} and not recorded")
    if not recorded:
        state = site.describe(pid)["state"]
        # nobody has heard the request, but the script may have been interrupted by it
        outcome.check(state in ("RUNNING", "FAILED"), f"{name}: is {state}, though nobody has heard the request")
        if state == "RUNNING":
            site.stop(pid)
    _until(site, pid, *_ENDED)
    state = site.describe(pid)["state"]
    wanted = ("STOPPED",) if recorded else ("STOPPED", "FAILED")
    outcome.check(state in wanted, f"{name}: became {state}")
    calls = marks(folder, "init"), marks(folder, "main")
    outcome.check(calls == (1, 1), f"{name}: init and main were called {calls} times")


def _asked(site: Stand, pid: int, topic: str) -> bool:
    return bool(site.events(pid, topic))


def _clear(site: Stand, outcome: Outcome, name: str) -> None:
    """Stop what is active, and see that nothing else is there."""
    for one in site.archive():
        if one["state"] in _ENDED:
            continue
        listed = site.server.http.get(f"/procedures/{one['id']}")
        if not outcome.check(listed.status_code == 200, f"{name}: PID {one['id']} is {one['state']} and not listed"):
            continue
        site.stop(one["id"])
        state = site.describe(one["id"])["state"]
        outcome.check(state in _ENDED, f"{name}: PID {one['id']} is {state} after its stop")


def _look_for_leftovers(site: Stand, outcome: Outcome) -> None:
    """See that there is no kernel, and no procedure that is active; ids are those that were given, each once."""
    archive = site.archive()
    active = [one["id"] for one in archive if one["state"] not in _ENDED]
    outcome.check(not active, f"at the end: PIDs {active} are active")
    kernels = site.kernels()
    outcome.check(not kernels, f"at the end: kernels {kernels} are there and no procedure is active")
    ids = sorted(one["id"] for one in archive)
    outcome.compare("ids", range(1, max(ids, default=0) + 1), ids)


def _until(site: Stand, pid: int, *states: str) -> None:
    """Wait until a procedure is in a state, or has ended."""
    follower = Follower(site, f"?procedure={pid}&topic=procedure.lifecycle.statechange")
    follower.start()
    try:
        follower.state(pid, *states, *_ENDED)
    finally:
        follower.leave()


def _mark_comes(folder: Path, name: str) -> None:
    """Wait until a function of a script has left its mark, which it does at once."""
    _await(lambda: marks(folder, name) > 0)


def _await(holds: Callable[[], bool]) -> None:
    # what a script does in a file is told by nobody
    ends = time.monotonic() + 10
    while not holds() and time.monotonic() < ends:
        time.sleep(0.005)
