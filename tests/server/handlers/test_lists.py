"""A list comes whole, however large the arguments of what it lists, and costs the service a piece of it at a time."""

import re
import socket
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from oet_kernel import topics
from oet_kernel.service.publisher import publish_list
from tests.conftest import Listener, serve

LONG = "x" * 900_000
COUNT = 10


@contextmanager
def listing(folder, *options):
    """A service that lists ten procedures with almost a megabyte of arguments each; none has a script."""
    with serve(folder, *options) as server:
        body = {
            "script": {"script_type": "filesystem", "script_uri": "file:///nowhere.py"},
            "script_args": {"init": {"args": [LONG]}},
        }
        for _ in range(COUNT):
            assert server.http.post("/procedures", json=body).status_code == 201
        yield server


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    with listing(tmp_path_factory.mktemp("full")) as server:
        yield server


def test_a_long_list_is_whole(full):
    reply = full.http.get("/procedures")
    assert "content-length" not in reply.headers
    listed = reply.json()["procedures"]
    assert [one["id"] for one in listed] == list(range(1, COUNT + 1))
    assert all(one["script_args"]["init"]["args"] == [LONG] for one in listed)
    assert all(one["uri"] == f"{full.url}/procedures/{one['id']}" for one in listed)


def test_a_short_list_tells_its_length(server):
    reply = server.http.get("/activities")
    assert reply.json() == {"activities": []}
    assert reply.headers["content-length"] == str(len(reply.content))


def test_clients_that_do_not_read_a_long_list_cost_a_piece_of_it_each(full):
    before = memory(full)
    url = httpx.URL(full.url)
    asked = f"GET {url.path}/procedures HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: token {full.token}\r\n\r\n"
    clients = []
    for _ in range(20):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((url.host, url.port))
        client.sendall(asked.encode())
        clients.append(client)
    try:
        for client in clients:
            client.settimeout(60)
            assert client.recv(12) == b"HTTP/1.1 200", "its beginning is there"
        assert full.http.get("/health").status_code == 200
        grown = memory(full) - before
        assert grown < 20 * 9_000_000 / 2, f"{grown:,} bytes; the lists have 180,000,000"
    finally:
        for client in clients:
            client.close()


def memory(server):
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


def test_a_list_that_is_too_large_for_an_event_is_told_to_the_caller_alone(caplog):
    told = []

    class Journal:
        def publish(self, announcement):
            told.append(announcement)

    publish_list(Journal(), topics.REQUEST_LIST, topics.POOL_LIST, 1.5, [{"x": LONG}] * 10, pids=None)
    assert [one.topic for one in told] == [topics.REQUEST_LIST, topics.POOL_LIST]
    publish_list(Journal(), topics.REQUEST_LIST, topics.POOL_LIST, 2.5, [{"x": LONG}] * 20, pids=None)
    assert [one.topic for one in told] == [topics.REQUEST_LIST, topics.POOL_LIST, topics.REQUEST_LIST]
    assert "larger than an event may be" in caplog.text


def test_a_listener_hears_of_a_long_list_where_lists_are_events(tmp_path):
    options = "--OetApp.announce_lists=True"
    with listing(tmp_path, options) as server, Listener(server, "?topic=procedure.pool") as listener:
        server.http.get("/procedures")
        assert len(next(listener.events())["result"]) == COUNT
