"""The event stream, over real connections: filters, heartbeats, slow listeners, many listeners, the end."""

import gc
import json
import resource
import signal

import pytest

from tests.conftest import Listener, serve, until

MANY = """
from oet_kernel.api import publish
def main(count, size):
    for number in range(count):
        publish('user.count', number=number, filling='x' * size)
"""
QUIET = "def main(*args, **kwargs): pass\n"


def run(server, pid, *args):
    server.until(pid, "READY")
    calls = {"main": {"args": args, "kwargs": {}}}
    assert server.http.put(f"/procedures/{pid}", json={"state": "RUNNING", "script_args": calls}).status_code == 200


def test_a_stream_says_what_it_is_and_begins_at_once(server):
    with Listener(server) as listener:
        head = listener.head.decode().lower()
    assert "200 ok" in head
    assert "content-type: text/event-stream; charset=utf-8" in head
    assert "cache-control: no-store" in head


def test_a_listener_gets_the_topics_that_it_asked_for(server):
    with Listener(server, "?topic=procedure.lifecycle.statechange,user") as listener:
        events = listener.events()
        pid = server.create(MANY)
        run(server, pid, 2, 1)
        mine = [event for event in until(events, pid, "COMPLETE") if event["msg_src"] == str(pid)]
    assert [event.get("new_state", event.get("number")) for event in mine] == [
        "CREATING",
        "IDLE",
        "LOADING",
        "IDLE",
        "READY",
        "RUNNING",
        0,
        1,
        "READY",
        "COMPLETE",
    ]


def test_a_topic_is_matched_by_whole_words(server):
    with Listener(server, "?topic=procedure.lifecycle.statechange,us") as listener:
        events = listener.events()
        pid = server.create(MANY)
        run(server, pid, 2, 1)
        seen = until(events, pid, "COMPLETE")
    assert {event["topic"] for event in seen} == {"procedure.lifecycle.statechange"}


def test_a_listener_is_spared_what_it_excludes(server):
    with Listener(server, "?exclude=request,user,procedure.script,procedure.environment") as listener:
        events = listener.events()
        pid = server.create(MANY)
        run(server, pid, 2, 1)
        topics = {event["topic"] for event in until(events, pid, "COMPLETE")}
    assert topics == {
        "procedure.lifecycle.created",
        "procedure.lifecycle.started",
        "procedure.lifecycle.statechange",
    }


def test_a_listener_to_one_procedure_hears_nothing_of_another(server):
    watched = server.create(MANY)
    with Listener(server, f"?procedure={watched}") as listener:
        events = listener.events()
        other = server.create(MANY)
        run(server, other, 1, 1)
        server.until(other)
        run(server, watched, 1, 1)
        sources = {event["msg_src"] for event in until(events, watched, "COMPLETE") if event["topic"] == "user.count"}
    assert sources == {str(watched)}


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "%C2%B2", "%D9%A3", "1" * 5000])
def test_a_procedure_that_is_no_number_is_refused(server, value):
    reply = server.http.get(f"/stream?procedure={value}")
    assert reply.status_code == 400
    assert "procedure: expected the id of a procedure" in reply.json()["Message"]


@pytest.mark.parametrize("last", ["1601463545.57", "x", "1" * 5000, "\xb2"])
def test_an_id_that_is_no_position_is_no_error(server, last):
    with server.http.stream("GET", "/stream", headers={"Last-Event-ID": last.encode("latin-1")}) as reply:
        assert reply.status_code == 200


@pytest.mark.parametrize("name", ["topic", "exclude", "procedure", "after"])
def test_a_filter_that_is_no_text_is_refused(server, name):
    reply = server.http.get(f"/stream?{name}=%FF")
    assert (reply.status_code, reply.json()["type"]) == (400, "Malformed Request")
    assert name in reply.json()["Message"]


def test_ids_count_up_by_one_for_a_listener_to_everything(server):
    with Listener(server) as listener:
        messages = listener.messages()
        pid = server.create(QUIET)
        run(server, pid)
        seen = []
        for message in messages:
            seen.append(int(message.id))
            event = json.loads(message.data)
            if event.get("new_state") == "COMPLETE" and event["msg_src"] == str(pid):
                break
    assert seen == list(range(seen[0], seen[0] + len(seen)))


def test_a_silent_stream_is_kept_alive_by_comments(tmp_path):
    with serve(tmp_path, "--OetApp.heartbeat=0.02") as server, Listener(server) as listener:
        while len(listener.body) < 37:
            listener.body += listener.socket.recv(65536)
    assert listener.body.startswith(b"\n" + b":keep-alive\n" * 3)


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    yield
    gc.collect()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_two_hundred_listeners_get_the_same_bytes(tmp_path, many_files):
    with serve(tmp_path) as server:
        pid = server.create(MANY)
        server.until(pid, "READY")
        # what the kernel tells of its environment may come before or after READY
        query = f"?procedure={pid}&exclude=procedure.environment"
        listeners = [Listener(server, query) for _ in range(200)]
        try:
            run(server, pid, 50, 10)
            got = [list(takewhile_complete(listener.messages())) for listener in listeners]
        finally:
            for listener in listeners:
                listener.socket.close()
    assert [json.loads(message.data)["number"] for message in got[0] if "user.count" in message.data] == list(range(50))
    assert all(one == got[0] for one in got)


def takewhile_complete(messages):
    for message in messages:
        yield message
        if json.loads(message.data).get("new_state") == "COMPLETE":
            return


def test_a_listener_that_does_not_read_is_cut_off_and_told_how_far_it_got(tmp_path):
    with (
        serve(tmp_path, "--OetApp.listener_bytes=100000") as server,
        Listener(server, receive_bytes=4096) as slow,
        Listener(server, "?exclude=user") as fast,
    ):
        pid = server.create(MANY)
        run(server, pid, 400, 100_000)
        until(fast.events(), pid, "COMPLETE")
        *events, last = slow.messages()
    numbers = [event["number"] for event in (json.loads(message.data) for message in events) if "number" in event]
    assert numbers == list(range(len(numbers))), "what it got, it got whole and in order"
    assert len(numbers) < 400
    assert (last.event, json.loads(last.data)) == ("overflow", {"last_id": int(events[-1].id)})


def test_a_listener_that_does_not_read_delays_nobody(tmp_path):
    with (
        serve(tmp_path, "--OetApp.listener_bytes=100000000") as server,
        Listener(server, receive_bytes=4096),
        Listener(server) as fast,
    ):
        pid = server.create(MANY)
        run(server, pid, 400, 100_000)
        seen = [event["number"] for event in until(fast.events(), pid, "COMPLETE") if "number" in event]
        assert server.http.get("/procedures").status_code == 200
    assert seen == list(range(400))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_streams_end_whole_when_the_service_ends(tmp_path, signum):
    with serve(tmp_path) as server, Listener(server) as listener:
        pid = server.create(QUIET)
        server.until(pid, "READY")
        server.process.send_signal(signum)
        events = list(listener.events())
        server.process.wait(20)
    assert [event["new_state"] for event in events if "new_state" in event][-1] == "STOPPED"
