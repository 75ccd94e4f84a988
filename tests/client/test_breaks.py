"""Streams that break: cut anywhere, by a scripted service; by the real one, killed, or too fast for its listener."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import threading
from itertools import islice, takewhile
from unittest import mock

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oet_kernel.client import AWAY, BACK, LOST, ApiError, AsyncClient, Client, StreamEnded, _listening, _requests
from oet_kernel.events.sse import comment, frame, position
from oet_kernel.models import ProcedureInput, ProcedureState
from tests.conftest import serve

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


class Cut:
    """A service with these events, numbered from 1, that ends each connection after so many bytes.

    The last connection is not cut. The first is to one who comes before the first event.
    """

    def __init__(self, events, *cuts):
        self.frames = [
            frame(json.dumps({"topic": "t", "msg_src": "1", "text": text}, ensure_ascii=False).encode(), number)
            for number, text in enumerate(events, 1)
        ]
        self.cuts = list(cuts)
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/api/v1.0"
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                self.answer(self.listener.accept()[0])

    def answer(self, connection):
        with connection, contextlib.suppress(ConnectionError):
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            last = re.search(rb"last-event-id: (\d+)", request, re.IGNORECASE)
            self.asked.append(last and int(last[1]))
            body = b"".join(self.frames[int(last[1]) :] if last else [position(0), *self.frames])
            # what is sent whole at the first connection: its head, and where it begins
            sure = 0 if last else len(HEAD) + len(b"\n" + position(0))
            reply = HEAD + b"\n" + body + comment("end")
            if self.cuts:
                connection.sendall(reply[: sure + self.cuts.pop(0)])
                return
            connection.sendall(reply)
            connection.recv(1)  # until the client has left


def heard(url, count, **options):
    with Client(url, "t") as client, client.events(**options) as events:
        return [next(events) for _ in range(count)]


async def heard_async(url, count, **options):
    async with AsyncClient(url, "t") as client, client.events(**options) as events:
        return [await anext(events) for _ in range(count)]


@pytest.mark.parametrize("client", ["sync", "async"])
@settings(deadline=None, max_examples=60)
@given(texts=st.lists(st.text(max_size=30), min_size=1, max_size=8), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_stream_that_is_cut_anywhere_gives_every_event_once_and_in_order(client, texts, cuts):
    with mock.patch.object(_listening, "_FIRST", 0.0), Cut(texts, *cuts) as service:
        if client == "sync":
            events = heard(service.url, len(texts))
        else:
            events = asyncio.run(heard_async(service.url, len(texts)))
    assert [one.fields["text"] for one in events] == texts
    assert [one.id for one in events] == [str(number) for number in range(1, len(texts) + 1)]


def test_break_is_told_among_the_events_where_it_happened():
    """The second connection is refused by its being cut within the head."""
    with Cut(["a", "b", "c"], len(frame(b'{"topic": "t", "msg_src": "1", "text": "a"}', 1)), 5) as service:
        events = heard(service.url, 5, notices=True)
        assert service.asked == [None, 1, 1]
    assert [one.fields.get("text", one.topic) for one in events] == ["a", AWAY, BACK, "b", "c"]


def test_service_that_is_gone_for_good_is_given_up_after_the_deadline():
    with contextlib.ExitStack() as life:
        service = life.enter_context(Cut(["a"], 10_000))
        with Client(service.url, "t") as client, client.events(resume=0.2) as events:
            assert next(events).fields == {"text": "a"}
            life.close()
            with pytest.raises(StreamEnded, match=f"{service.url} has ended"):
                next(events)


# --- the real service

COUNTS = """
from oet_kernel.api import publish
def main(gate, first, last):
    for number in range(first, last):
        publish("user.count", number=number)
    open(gate).close()
    for number in range(last, 2 * last):
        publish("user.count", number=number)
"""


def numbers(events):
    return [one.fields["number"] for one in events if one.topic == "user.count"]


def test_service_that_is_killed_and_started_again_is_waited_for_and_nothing_is_missed(tmp_path, monkeypatch):
    """The script goes on meanwhile; the address is looked up, and is another one afterwards."""
    monkeypatch.setenv("OET_RUNTIME_DIR", str(tmp_path / "x" / "runtime"))
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with contextlib.ExitStack() as lives:
        service = lives.enter_context(serve(tmp_path / "x", "--OetApp.detach=True"))
        pid = service.create(COUNTS)
        service.until(pid, "READY")
        with Client() as client, client.events(procedure=pid, notices=True) as events:
            before = client.address.url
            client.start(pid, ProcedureInput([str(gate), 0, 500]))
            seen = list(islice(events, 300))
            service.process.send_signal(signal.SIGKILL)
            service.process.wait(30)
            for event in events:
                seen.append(event)
                if event.topic == AWAY:
                    gate.write_text("")
                    lives.enter_context(serve(tmp_path / "x", token="another"))
                if event.topic == "procedure.lifecycle.complete":
                    break
            assert client.address.url != before
            assert client.procedure(pid).state is ProcedureState.COMPLETE
            assert [one.topic for one in seen if one.is_notice] == [AWAY, BACK]
            assert numbers(seen) == list(range(1000))
            ids = [int(one.id) for one in seen if not one.is_notice]
            assert ids == sorted(set(ids))
            recorded = list(client.procedure_events(pid, after=ids[0] - 1))
            assert [int(one.id) for one in recorded] == ids
            assert all(one.at for one in recorded)


def test_service_on_the_same_port_is_found_by_a_client_that_was_told_where(tmp_path):
    with serve(tmp_path / "x", "--OetApp.detach=True") as service:
        pid = service.create("def main(): pass\n")
        service.until(pid, "READY")
        port = httpx.URL(service.url).port
        client = Client(service.url, service.token)
        listening = client.events(notices=True)
        events = listening.__enter__()
        service.process.send_signal(signal.SIGKILL)
        service.process.wait(30)
    with client, serve(tmp_path / "x", port=port):
        client.start(pid)
        seen = []
        for event in events:
            seen.append(event)
            if event.topic == "procedure.lifecycle.complete":
                break
        listening.__exit__(None, None, None)
    topics = [one.topic for one in seen]
    assert LOST not in topics
    requests = [topic for topic in topics if topic.startswith("request.")]
    assert requests == ["request.procedure.start"], "nothing comes again"


def test_listener_that_is_too_slow_is_cut_off_and_still_gets_everything(tmp_path):
    with serve(tmp_path / "x", "--OetApp.listener_bytes=20000") as service:
        pid = service.create(COUNTS.replace("number=number", "number=number, filling='x' * 2000"))
        service.until(pid, "READY")
        gate = tmp_path / "gate"
        gate.write_text("")
        with Client(service.url, service.token) as client, client.events(procedure=pid, notices=True) as events:
            client.start(pid, ProcedureInput([str(gate), 0, 4000]))
            service.until(pid, "COMPLETE")  # this listener has not read a byte yet
            seen = list(takewhile(lambda one: one.topic != "procedure.lifecycle.complete", events))
    assert numbers(seen) == list(range(8000))
    assert not [one for one in seen if one.is_notice]


async def test_async_client_reads_the_archive_and_events_page_by_page(server, monkeypatch):
    monkeypatch.setattr(_requests, "PAGE", 2)
    pids = [
        server.create(f"# archived {number}\ndef init(subarray_id): pass\ndef main(): pass\n", subarray_id=77)
        for number in range(5)
    ]
    for pid in pids:
        server.until(pid, "READY")
    async with AsyncClient(server.url, server.token) as client:
        assert [one.id async for one in client.archive(subarray=77)] == pids[::-1]
        assert [one.id async for one in client.archive(subarray=77, limit=3)] == pids[:1:-1]
        events = [one async for one in client.procedure_events(pids[0], topics=("procedure.lifecycle",))]
        assert (await client.find(pids[0])).id == pids[0]
    with Client(server.url, server.token) as client:
        assert list(client.procedure_events(pids[0], topics=("procedure.lifecycle",))) == events
        assert [one.id for one in client.archive(subarray=77)] == pids[::-1]
        assert [one.id for one in client.archive([ProcedureState.READY], subarray=77, limit=4)] == pids[:0:-1]
        with pytest.raises(ApiError, match="PID=1000000"):
            client.find(10**6)
    assert [one.fields["new_state"] for one in events if "new_state" in one.fields][-1] == "READY"


def test_procedure_that_is_no_longer_listed_is_found(tmp_path):
    with serve(tmp_path / "x", "--OetApp.history=1") as service, Client(service.url, service.token) as client:
        for _ in range(2):
            pid = service.create("def main(): pass\n")
            service.until(pid, "READY")
            client.stop(pid)
        with pytest.raises(ApiError):
            client.procedure(1)
        assert client.find(1).state is ProcedureState.STOPPED
