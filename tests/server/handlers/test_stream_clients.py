"""The event stream, read by clients that others have written: they hand on events, whole, all, and nothing else.

Each listens through a proxy that breaks its connection while nothing is said; a script runs meanwhile; what the client
has missed it gets by its own means of coming back.
"""

import asyncio
import contextlib
import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import aiohttp_sse_client.client
import aiohttp_sse_client2.client
import httpx
import httpx_sse
import pytest
import requests
import requests_sse
import sseclient as sseclient_py

from tests.conftest import DEADLINE, Listener, serve

TEXT = "target \x85 on \u2028 and \u2029 off \x0b\x0c\x1c\x1d\x1e\r\n\t\x7f é 電 \U0001f52d \\u2028 \ufeff"
SPEAKS = f"""
from pubsub import pub
def main():
    pub.sendMessage('user.script.announce', msg={TEXT!a}, **{{{TEXT!a}: 1}})
    print({TEXT!a})
"""
AWAY = timedelta(0)


class Heard(NamedTuple):
    """What a client hands to its user."""

    data: str
    id: str


class Breaking:
    """A way to the service that can be broken; who comes then waits until it is mended."""

    def __init__(self, url: str) -> None:
        self.target = httpx.URL(url)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = str(self.target.copy_with(port=self.listener.getsockname()[1])) + "/stream"
        self.mended = threading.Event()
        self.mended.set()
        self.alive = threading.Semaphore(0)
        """How often the service has given a sign of life."""
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                self.mended.wait(DEADLINE)
                service = socket.create_connection((self.target.host, self.target.port))
                self.pairs.append((client, service))
                threading.Thread(target=self._pass, args=(client, service), daemon=True).start()
                threading.Thread(target=self._pass, args=(service, client), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
                if data == b"c\r\n:keep-alive\n\r\n":
                    self.alive.release()

    def cut(self) -> None:
        """End the streams whole, as the service does when it ends."""
        self.mended.clear()
        for client, service in self.pairs:
            with contextlib.suppress(OSError):  # a connection of before
                client.sendall(b"0\r\n\r\n")
            for end in (client, service):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self.pairs.clear()

    def close(self) -> None:
        self.mended.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("service"), "--OetApp.heartbeat=0.05") as made:
        yield made


@pytest.fixture
def way(service):
    made = Breaking(service.url)
    yield made
    made.close()


@pytest.fixture(scope="session")
def sseclient_btubbs(tmp_path_factory):
    """The other library whose module is named sseclient, from a folder of its own."""
    folder = tmp_path_factory.mktemp("sseclient")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), "sseclient==0.0.27"]
    subprocess.run(pip, check=True)
    spec = importlib.util.spec_from_file_location("sseclient_btubbs", folder / "sseclient.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory):
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("node")
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
    subprocess.run([*npm, "event-source-polyfill@1.0.31", "eventsource@2.0.2"], check=True)
    return folder


def by_httpx_sse(url, headers) -> Iterator[Heard]:
    last = None
    with httpx.Client(timeout=DEADLINE) as client:
        while True:
            again = headers if last is None else {**headers, "Last-Event-ID": last}
            with httpx_sse.connect_sse(client, "GET", url, headers=again) as source:
                for event in source.iter_sse():
                    last = event.id
                    yield Heard(event.data, event.id)


def by_httpx_lines(url, headers) -> Iterator[Heard]:
    """As programs without a library read, which splits as str.splitlines does; it comes back by the query."""
    data, query = "", ""
    with httpx.Client(timeout=DEADLINE) as client:
        while True:
            with client.stream("GET", url + query, headers=headers) as reply:
                for line in reply.iter_lines():
                    name, _, value = line.partition(":")
                    if name == "id":
                        yield Heard(data, value)
                        query = f"&lastEventId={value}"
                    elif name:
                        assert name == "data"
                        data = value


def by_requests_lines(url, headers) -> Iterator[Heard]:
    data = ""
    while True:
        with requests.get(url, headers=headers, stream=True, timeout=DEADLINE) as reply:
            for line in reply.iter_lines(decode_unicode=True):
                name, _, value = line.partition(":")
                if name == "id":
                    yield Heard(data, value)
                    headers = {**headers, "last-event-id": value}
                elif name:
                    assert name == "data"
                    data = value


def by_requests_sse(url, headers) -> Iterator[Heard]:
    with requests_sse.EventSource(url, reconnection_time=AWAY, timeout=DEADLINE, headers=headers) as source:
        for event in source:
            yield Heard(event.data, event.last_event_id)


def by_sseclient_py(url, headers) -> Iterator[Heard]:
    query = ""
    while True:
        with requests.get(url + query, headers=headers, stream=True, timeout=DEADLINE) as reply:
            for event in sseclient_py.SSEClient(reply).events():
                query = f"&last_event_id={event.id}"
                yield Heard(event.data, event.id)


def by_sseclient(module, url, headers) -> Iterator[Heard]:
    """Read as programs do that were written for the original.

    To this library the empty line at the beginning of a connection, and the end of a chunked reply, are events without
    data: it reads the marks between chunks as if they were lines. The original's streams were no different.
    """
    for event in module.SSEClient(url, retry=0, headers=dict(headers)):
        if event.data:
            yield Heard(event.data, event.id)
        else:
            assert event.id is None


def in_turn(source: Callable[[], AsyncIterator[Heard]]) -> Iterator[Heard]:
    loop = asyncio.new_event_loop()
    events = source()
    try:
        while True:
            yield loop.run_until_complete(anext(events))
    finally:
        loop.run_until_complete(events.aclose())
        loop.close()


def by_aiohttp(library) -> Callable[..., Iterator[Heard]]:
    def listen(url, headers):
        async def events():
            async with library.EventSource(url, reconnection_time=AWAY, headers=dict(headers)) as source:
                async for event in source:
                    yield Heard(event.data, event.last_event_id)

        return in_turn(events)

    return listen


def by_node(folder: Path, source: str, url: str, headers: dict[str, str]) -> Iterator[Heard]:
    """Run a polyfill of browsers; it prints what it hands to ``onmessage``."""
    program = f"""
        const source = {source};
        source.onmessage = event => console.log(JSON.stringify([event.data, event.lastEventId]));
    """
    argv = ["node", "-e", program, url, json.dumps(headers)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=folder)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            yield Heard(*json.loads(line))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def listen(request):
    match request.param:
        case "sseclient":
            module = request.getfixturevalue("sseclient_btubbs")
            return lambda url, headers: by_sseclient(module, url, headers)
        case "event-source-polyfill":
            made = (
                "new (require('event-source-polyfill').EventSourcePolyfill)(process.argv[1],"
                " {headers: JSON.parse(process.argv[2])})"
            )
        case "eventsource":
            made = "new (require('eventsource'))(process.argv[1], {headers: JSON.parse(process.argv[2])})"
        case library:
            return library
    folder = request.getfixturevalue("node_modules")
    return lambda url, headers: by_node(folder, made, url, headers)


@pytest.mark.parametrize(
    "listen",
    [
        pytest.param(by_httpx_sse, id="httpx-sse"),
        pytest.param(by_httpx_lines, id="httpx-lines"),
        pytest.param(by_requests_lines, id="requests-lines"),
        pytest.param(by_requests_sse, id="requests-sse"),
        pytest.param(by_sseclient_py, id="sseclient-py"),
        pytest.param("sseclient", id="sseclient"),
        pytest.param(by_aiohttp(aiohttp_sse_client.client), id="aiohttp-sse-client"),
        pytest.param(by_aiohttp(aiohttp_sse_client2.client), id="aiohttp-sse-client2"),
        pytest.param("event-source-polyfill", id="event-source-polyfill"),
        pytest.param("eventsource", id="eventsource"),
    ],
    indirect=True,
)
def test_client_hands_on_every_event_whole_and_nothing_else_over_a_break(service, way, listen):
    pid = service.create(SPEAKS)
    service.until(pid, "READY")
    said = list(events_of(service, pid))
    headers = {"Authorization": f"token {service.token}"}
    with contextlib.closing(listen(f"{way.url}?procedure={pid}&after=0", headers)) as heard:
        got = [next(heard) for _ in said]
        for _ in range(2):
            assert way.alive.acquire(timeout=DEADLINE)
        way.cut()
        assert service.http.put(f"/procedures/{pid}", json={"state": "RUNNING"}).status_code == 200
        service.until(pid, "COMPLETE")
        way.mended.set()
        said = list(events_of(service, pid))
        got += [next(heard) for _ in said[len(got) :]]
    assert [(one.id, json.loads(one.data)) for one in got] == [(str(one["id"]), one["data"]) for one in said]
    announced = next(one["data"] for one in said if one["topic"] == "user.script.announce")
    assert (announced["msg"], announced[TEXT]) == (TEXT, 1)
    assert TEXT in "".join(one["data"]["text"] for one in said if one["topic"] == "procedure.output.stream")


def events_of(service, pid):
    """What the service keeps of a procedure, page by page."""
    after = 0
    while after is not None:
        page = service.http.get(f"/procedures/{pid}/events?after={after}").json()
        yield from page["events"]
        after = page["next"]


@pytest.mark.parametrize(
    ("query", "header", "first"),
    [
        ("lastEventId=3", None, 4),
        ("lastEventID=3", None, 4),
        ("Last-Event-ID=3", None, 4),
        ("last-event-id=3", None, 4),
        ("last_event_id=3", None, 4),
        ("after=1&lastEventId=3", None, 4),
        ("lastEventId=3&after=1", None, 4),
        ("lastEventId=1&lastEventId=3", None, 4),
        ("lastEventId=3&lastEventId=", None, 4),
        ("lastEventId=x&after=3", None, 4),
        ("lastEventId=1601463545.5&after=3", None, 4),
        ("lastEventId=1&after=2", "3", 4),
        ("lastEventId=3", "1601463545.5", 4),
        ("lastEventId=0", None, 1),
    ],
)
def test_how_far_a_listener_got_may_be_said_in_several_ways(service, query, header, first):
    service.until(service.create(SPEAKS), "READY")
    with Listener(service, f"?{query}", headers=f"Last-Event-ID: {header}\r\n" if header else "") as listener:
        assert next(listener.messages()).id == str(first)


def test_place_where_a_stream_begins_is_told_to_who_asks_for_it(service):
    pid = service.create(SPEAKS)
    service.until(pid, "READY")
    last = list(events_of(service, pid))[-1]["id"]
    with Listener(service, f"?procedure={pid}&position=true") as listener:
        assert next(listener.frames()).strip() == f"id:{last}"
    reply = service.http.get("/stream?position=yes")
    assert reply.status_code == 400
    assert "position: expected true or false, got 'yes'" in reply.json()["Message"]
