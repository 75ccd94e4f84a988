"""A service on one state folder that is killed and started again, and who listens to it all the while."""

import json
import signal
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from oet_kernel.kernel_manager.record import find_record
from oet_kernel.system.process_tree import kill_tree
from oet_kernel.system.processes import fork_servers, marked, start_of
from tests.conftest import DEADLINE, Listener, Server, launch

COUNTING = """
import itertools, time
from oet_kernel.api import publish
def init(subarray_id): pass
def main(count, rate):
    begin = time.monotonic()
    for number in range(count) if count else itertools.count():
        if rate:
            time.sleep(max(0, begin + number / rate - time.monotonic()))
        publish("user.count", number=number)
        print("line", number)
"""
"""Publishes numbers, and prints them, so many a second; without an end where the count is 0."""


class Stand:
    """A service in a process of its own, on a folder that stays when it is killed.

    Parameters
    ----------
    folder
        For everything; its path is short.
    options
        Of the service's command line.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.server: Server
        self.up = threading.Event()
        """Set while a service is there."""
        self._options = options

    def start(self, *options: str) -> Server:
        """Start a service where none is."""
        self.server = launch(self.folder, *self._options, *options)
        self.up.set()
        return self.server

    def kill(self) -> None:
        """Kill the service, and nothing else."""
        self.up.clear()
        self.server.end(signal.SIGKILL)

    def restart(self, *options: str) -> Server:
        """Kill the service and start it again."""
        self.kill()
        return self.start(*options)

    def end(self) -> None:
        """End the service and everything that it has started."""
        if self.up.is_set():
            self.up.clear()
            self.server.end()
        for pid in self.processes():
            kill_tree(pid)

    # --- what is asked of the service

    def create(self, text: str, subarray: int = 1) -> int:
        """Create a procedure."""
        return self.server.create(text, subarray_id=subarray)

    def run(self, pid: int, *args: Any) -> None:
        """Start a procedure that is READY."""
        body = {"state": "RUNNING", "script_args": {"main": {"args": args}}}
        reply = self.server.http.put(f"/procedures/{pid}", json=body)
        assert reply.status_code == 200, reply.text

    def stop(self, pid: int) -> httpx.Response:
        """Stop a procedure."""
        return self.server.http.put(f"/procedures/{pid}", json={"state": "STOPPED", "abort": False})

    def describe(self, pid: int) -> dict[str, Any]:
        """Tell all about a procedure."""
        reply = self.server.http.get(f"/procedures/{pid}")
        assert reply.status_code == 200, reply.text
        return dict(reply.json()["procedure"])

    def archive(self) -> list[dict[str, Any]]:
        """List all procedures that ever were."""
        found: list[dict[str, Any]] = []
        before: int | None = None
        while True:
            params = {"limit": 1000} | ({} if before is None else {"before": before})
            page = self.server.http.get("/archive", params=params).json()
            found += page["procedures"]
            if (before := page["next"]) is None:
                return found

    def events(self, pid: int, topic: str = "") -> list[dict[str, Any]]:
        """Read the events of a procedure from the service's journal."""
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            params = {"after": after, "limit": 1000} | ({"topic": topic} if topic else {})
            page = self.server.http.get(f"/procedures/{pid}/events", params=params).json()
            found += page["events"]
            after = page["next"]
        return found

    # --- what is there

    def kernels(self) -> dict[str, int]:
        """Find the kernels of this folder that live: process ids by the name of the folder."""
        found = {}
        for folder in (self.state / "kernels").glob("*/"):
            record = find_record(folder)
            if record is not None and start_of(record.pid) == record.started:
                found[folder.name] = record.pid
        return found

    def kernels_ended(self) -> bool:
        """Wait until no kernel of this folder lives: one that was killed takes a moment."""
        found = self.kernels().values()
        left = [one for one in psutil.process_iter() if one.pid in found]
        return not psutil.wait_procs(left, timeout=DEADLINE)[1]

    def fork_servers(self) -> list[int]:
        """Find the fork servers of this folder."""
        note = self.state / "runtime"
        if not note.exists():
            return []
        return fork_servers(note.read_text().strip())

    def processes(self) -> list[int]:
        """Find all that the service has started."""
        left = [pid for pids in marked(f"{self.state}/kernels/").values() for pid in pids]
        return [*self.kernels().values(), *left, *self.fork_servers()]


@contextmanager
def stand(*options: str) -> Iterator[Stand]:
    """Give a place for a service, and leave nothing of it at the end."""
    with tempfile.TemporaryDirectory(prefix="oet-", ignore_cleanup_errors=True) as folder:
        made = Stand(Path(folder), *options)
        try:
            yield made
        finally:
            made.end()


class Follower(threading.Thread):
    """A listener that comes back, and goes on behind the last event that it has, as browsers do.

    Parameters
    ----------
    stand
        Whose service it listens to.
    query
        Of the stream.
    patience
        Gives how many bytes the next connection lasts; None for all that there are.
    """

    def __init__(self, stand: Stand, query: str = "", patience: Callable[[], int | None] = lambda: None) -> None:
        super().__init__(daemon=True)
        self._stand = stand
        self._query = query
        self._patience = patience
        self._changed = threading.Condition()
        self._leaving = False
        self._listener: Listener | None = None
        self.last_id = 0
        self.connections = 0
        self.events: list[dict[str, Any]] = []
        """All that it has heard, in that order; the number of each is its ``id``."""
        self.remarks: list[str] = []
        """What the service told it of itself: that something is missing, or unknown."""

    def run(self) -> None:
        """Listen until told to leave."""
        while not self._leaving:
            self._stand.up.wait(DEADLINE)
            with suppress(OSError, AssertionError):  # the connection has gone, or there was none
                self._listen()

    def _listen(self) -> None:
        patience = self._patience()
        header = f"Last-Event-ID: {self.last_id}\r\n"
        with Listener(self._stand.server, self._query, headers=header) as listener:
            self._listener = listener
            self.connections += 1
            if patience is not None:
                _shorten(listener, patience)
            for message in listener.messages():
                if self._leaving:
                    return
                self._take(message.event, message.id, message.data)

    def _take(self, kind: str | None, number: str | None, data: str) -> None:
        with self._changed:
            if kind not in (None, "", "message"):
                self.remarks.append(f"{kind}: {data}")
                return
            event = json.loads(data)
            if number:
                self.last_id = event["id"] = int(number)
            self.events.append(event)
            self._changed.notify_all()

    def until(self, holds: Callable[[dict[str, Any]], bool], times: int = 1, deadline: float = DEADLINE) -> bool:
        """Wait until so many events of a kind were heard since the beginning; False after the deadline.

        Parameters
        ----------
        holds
            Whether an event is of that kind.
        times
            How many.
        deadline
            Seconds.
        """
        seen = position = 0
        ends = time.monotonic() + deadline
        with self._changed:
            while True:
                new = self.events[position:]
                seen, position = seen + sum(map(holds, new)), position + len(new)
                if seen >= times:
                    return True
                if not self._changed.wait(max(0.0, ends - time.monotonic())):
                    return False

    def state(self, pid: int, *states: str, deadline: float = DEADLINE) -> bool:
        """Wait until a procedure has entered one of these states."""
        return self.until(lambda one: one.get("new_state") in states and one["msg_src"] == str(pid), deadline=deadline)

    def leave(self) -> None:
        """Listen no more."""
        self._leaving = True
        if self._listener is not None:
            with suppress(OSError):
                self._listener.socket.shutdown(socket.SHUT_RDWR)
        self.join(DEADLINE)


def _shorten(listener: Listener, patience: int) -> None:
    """Let a connection break off, without a word to the other side, after so many bytes."""
    plain = listener.socket
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    class Broken:
        """A socket that gives only so much."""

        left = patience

        def recv(self, most: int) -> bytes:
            chunk = plain.recv(min(most, self.left)) if self.left else b""
            self.left -= len(chunk)
            return chunk

        def close(self) -> None:
            plain.close()

        def shutdown(self, how: int) -> None:
            plain.shutdown(how)

    listener.socket = Broken()  # type: ignore[assignment]


def numbers(events: list[dict[str, Any]]) -> list[int]:
    """Give the numbers that a `COUNTING` script has published."""
    return [one["number"] for one in events if one.get("topic") == "user.count"]


def lines(events: list[dict[str, Any]]) -> list[int]:
    """Give the numbers that a `COUNTING` script has printed."""
    text = "".join(one["text"] for one in events if one.get("topic") == "procedure.output.stream")
    return [int(line.removeprefix("line ")) for line in text.splitlines() if line.startswith("line ")]


def data(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give what the journal's events say."""
    return [one["data"] for one in events]


def about(pid: int, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give those of a listener's events that a procedure has sent."""
    return [one for one in events if one.get("msg_src") == str(pid)]
