"""What a listener has missed it gets, exactly once and in order; what nobody lists any more can still be asked for."""

import contextlib
import json
import re
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from oet_kernel import procedure as lifecycle
from oet_kernel.events.bus import EventBus
from oet_kernel.events.event import Event, Filter
from oet_kernel.models import FileSystemScript, ProcedureInput, to_json
from oet_kernel.server.handlers.stream import StreamHandler
from oet_kernel.state.layout import DATABASE
from oet_kernel.store.rows import ProcedureRow, Unit
from oet_kernel.store.sqlite import SqliteStore
from tests.conftest import Listener, serve, until

SAYS = """
from oet_kernel.api import publish
def init(subarray_id=1): pass
def main(first, last):
    for number in range(first, last):
        publish("user.count", number=number)
"""
ENDED = "procedure.lifecycle.complete"


@pytest.fixture(scope="module")
def ran(server):
    """A procedure that has ended, and its events as a listener heard them."""
    pid = server.create(SAYS, subarray_id=81)
    server.until(pid, "READY")
    with Listener(server, f"?procedure={pid}&after=0") as listener:
        server.http.put(f"/procedures/{pid}", json={"state": "RUNNING", "script_args": {"main": {"args": [0, 500]}}})
        messages = []
        for message in listener.messages():
            messages.append(message)
            if json.loads(message.data)["topic"] == ENDED:
                return pid, messages
    raise AssertionError("the stream has ended")


def take(listener, count):
    messages = listener.messages()
    return [next(messages) for _ in range(count)]


def test_listener_from_the_beginning_hears_everything_that_there_was_and_then_what_comes(ran):
    _, messages = ran
    topics = [json.loads(message.data)["topic"] for message in messages]
    assert topics[:2] == ["request.procedure.create", "procedure.lifecycle.statechange"]
    assert [json.loads(m.data)["number"] for m in messages if '"user.count"' in m.data] == list(range(500))
    ids = [int(message.id) for message in messages]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("how", ["after", "header"])
def test_listener_that_comes_back_gets_exactly_what_it_missed(server, ran, how):
    pid, messages = ran
    for missed in (1, 3, 250, len(messages)):
        last = messages[-missed - 1].id if missed < len(messages) else 0
        query = f"?procedure={pid}" + (f"&after={last}" if how == "after" else "")
        header = f"Last-Event-ID: {last}\r\n" if how == "header" else ""
        with Listener(server, query, headers=header) as listener:
            assert take(listener, missed) == messages[-missed:]


def test_last_event_id_counts_where_both_are_given_as_browsers_do_when_they_come_back(server, ran):
    pid, messages = ran
    with Listener(server, f"?procedure={pid}&after=0", headers=f"Last-Event-ID: {messages[-2].id}\r\n") as listener:
        assert take(listener, 1) == messages[-1:]


def test_filters_hold_for_what_was_missed(server, ran):
    pid, messages = ran
    with Listener(server, f"?procedure={pid}&topic=procedure.lifecycle&after=0") as listener:
        wanted = [one for one in messages if json.loads(one.data)["topic"].startswith("procedure.lifecycle.")]
        assert take(listener, len(wanted)) == wanted


def test_replay_goes_over_into_what_happens_without_gap_or_double(server):
    """Listeners come while a script publishes as fast as it can: each hears every number once, in order."""
    pid = server.create(SAYS, subarray_id=82)
    server.until(pid, "READY")
    server.http.put(f"/procedures/{pid}", json={"state": "RUNNING", "script_args": {"main": {"args": [0, 20_000]}}})
    for _ in range(5):
        with Listener(server, f"?procedure={pid}&after=0") as listener:
            numbers, ids = [], []
            for message in listener.messages():
                event = json.loads(message.data)
                ids.append(int(message.id))
                if event["topic"] == "user.count":
                    numbers.append(event["number"])
                if event["topic"] == ENDED:
                    break
        assert numbers == list(range(20_000))
        assert ids == sorted(set(ids))


def test_id_that_the_service_has_not_given_yet_is_said_to_be_unknown(server):
    with Listener(server, "?after=999999999") as listener:
        (message,) = take(listener, 1)
    assert message.event == "unknown-id"
    assert json.loads(message.data)["after"] == 999999999


def test_id_of_the_original_is_no_position(server):
    """Its ids were times; a client that sends one back gets what happens from now on, as it did there."""
    with Listener(server, headers="Last-Event-ID: 1601463545.5\r\n") as listener:
        pid = server.create("def main(): pass\n")
        assert until(listener.events(), pid, "READY")[0]["topic"] == "request.procedure.create"


def test_what_retention_has_removed_is_said_in_an_event_of_its_own(tmp_path):
    with serve(tmp_path / "x") as service:
        pid = service.create("def main(): pass\n")
        service.until(pid, "READY")
        service.http.put(f"/procedures/{pid}", json={"state": "STOPPED"})
        last = service.http.get(f"/procedures/{pid}/events").json()["events"][-1]["id"]
    store = SqliteStore(tmp_path / "x" / "state" / DATABASE)
    while store.trim(time.time(), 1 << 40):
        pass
    store.close()
    with serve(tmp_path / "x") as service:
        with Listener(service, "?after=1") as listener:
            service.create("def main(): pass\n")
            messages = listener.messages()
            first = next(messages)
            assert first.event == "removed"
            assert json.loads(first.data) == {"after": 1, "removed_through": last}
            assert json.loads(next(messages).data)["topic"] == "request.procedure.create"
        assert service.http.get("/procedures/1/events").status_code == 404


LARGE = 1_000_000
FILLING = "y é \u2028 電 " * (LARGE // 14)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A service whose store holds forty events of 1 MB of a procedure."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "state").mkdir(mode=0o700)
    store = SqliteStore(folder / "state" / DATABASE)
    failed = lifecycle.apply(
        lifecycle.create(1, FileSystemScript(script_uri="file:///a.py"), ProcedureInput(), time.time()),
        lifecycle.Failed(time.time(), "because"),
    )
    data = [to_json({"topic": "user.big", "number": n, "filling": FILLING}) for n in range(40)]
    events = [Event(n, "user.big", 1, one, time.time()) for n, one in enumerate(data, 1)]
    store.write(Unit(events=events, procedures={1: ProcedureRow(procedure=failed)}, counters={"procedure": 1}))
    store.close()
    with serve(folder) as service:
        yield service


def highest_memory(service):
    """The most memory that the process of a service has had, in MB."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024


def test_listeners_that_ask_for_everything_and_read_nothing_cost_a_few_megabytes(large):
    before = highest_memory(large)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            silent = stack.enter_context(Listener(large, "?after=0", receive_bytes=4096))
            while b"data:" not in silent.body:
                silent.body += silent.socket.recv(100)
        with Listener(large, "?after=0") as reading:
            got = [json.loads(message.data)["number"] for message in take(reading, 40)]
        assert got == list(range(40)), "one that reads gets it all"
        assert highest_memory(large) - before < 100


def test_large_events_come_whole_over_the_stream_and_page_by_page(large):
    with Listener(large, "?after=37") as listener:
        assert [json.loads(one.data)["filling"] == FILLING for one in take(listener, 3)] == [True] * 3
    numbers, after, pages = [], 0, 0
    while after is not None:
        reply = large.http.get("/procedures/1/events", params={"after": after})
        assert len(reply.content) < 5 << 20
        page = reply.json()
        numbers += [one["data"]["number"] for one in page["events"]]
        after, pages = page["next"], pages + 1
    assert numbers == list(range(40))
    assert pages >= 10


# --- JSON


def test_events_of_a_procedure_come_as_json_page_by_page(server, ran):
    pid, messages = ran
    got, after = [], 0
    while after is not None:
        page = server.http.get(f"/procedures/{pid}/events", params={"after": after, "limit": 100}).json()
        assert len(page["events"]) <= 100
        got += page["events"]
        after = page["next"]
    assert [(str(one["id"]), one["data"]) for one in got] == [(one.id, json.loads(one.data)) for one in messages]
    assert all(one["topic"] == one["data"]["topic"] for one in got)
    times = [one["time"] for one in got if one["topic"] == "user.count"]
    assert times == sorted(times)


def test_events_are_filtered_by_topic(server, ran):
    pid, _ = ran
    page = server.http.get(f"/procedures/{pid}/events", params={"topic": "user", "limit": 7}).json()
    assert [one["data"]["number"] for one in page["events"]] == list(range(7))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/procedures/1/events?after=x", "after: expected the id of an event, a number, got 'x'"),
        ("/procedures/1/events?limit=3&limit=4", "limit: expected once, got 2 times"),
        ("/procedures/1/events?limit=", "limit: expected a maximum count, 1 to 1000, a number, got ''"),
        ("/procedures/1/events?limit=0", "limit: expected a number from 1 to 1000, got 0"),
        ("/procedures/1/events?limit=1001", "limit: expected a number from 1 to 1000, got 1001"),
        ("/archive?state=DREAMING", "state: 'DREAMING' is not a valid state; the states are CREATING"),
        ("/archive?since=yesterday", "since: expected a time in Unix seconds, got 'yesterday'"),
        ("/archive?since=nan", "since: expected a time in Unix seconds, got 'nan'"),
        ("/archive?before=-1", "before: expected the id of a procedure, a number, got '-1'"),
        ("/stream?after=-1", "after: expected the id of an event, a number, got '-1'"),
    ],
)
def test_wrong_question_is_refused_by_name(server, ran, path, says):
    reply = server.http.get(path)
    assert (reply.status_code, reply.json()["type"]) == (400, "Malformed Request")
    assert says in reply.json()["Message"]


def test_events_of_a_procedure_that_never_was_are_not_found(server):
    reply = server.http.get("/procedures/99999/events")
    assert (reply.status_code, reply.json()["Message"]) == (404, "No information available for PID=99999")


def test_archive_has_procedures_that_are_no_longer_listed_also_after_a_restart(tmp_path):
    with serve(tmp_path / "x", "--OetApp.history=1") as service:
        for subarray in (1, 2, 3):
            pid = service.create("def init(subarray_id): pass\ndef main(): pass\n", subarray_id=subarray)
            service.until(pid, "READY")
            service.http.put(f"/procedures/{pid}", json={"state": "STOPPED"})
        assert service.http.get("/procedures/1").status_code == 404
        before = service.http.get("/archive").json()
    with serve(tmp_path / "x", "--OetApp.history=1") as service:
        after = service.http.get("/archive").json()
        assert [one["id"] for one in service.http.get("/procedures").json()["procedures"]] == [3]
        pages = [service.http.get("/archive", params={"limit": 2}).json()]
        pages.append(service.http.get("/archive", params={"limit": 2, "before": pages[0]["next"]}).json())
        assert service.http.get("/archive?subarray=2").json()["procedures"][0]["id"] == 2
        assert service.http.get("/archive?state=STOPPED,FAILED").json()["procedures"] == after["procedures"]
        assert service.http.get("/procedures/1/events").json()["events"][0]["id"] == 1
    assert [one["id"] for one in after["procedures"]] == [3, 2, 1]
    assert [{**one, "uri": ""} for one in after["procedures"]] == [{**one, "uri": ""} for one in before["procedures"]]
    assert [[one["id"] for one in page["procedures"]] for page in pages] == [[3, 2], [1]]
    assert pages[1]["next"] is None


@pytest.mark.parametrize("state", ["NONE", "\x13", "\x1f", "\n", "COMPLETE\x00", "complete"])
def test_archive_refuses_a_state_that_there_is_not_down_to_what_cannot_be_seen(server, state):
    reply = server.http.get("/archive", params={"state": state})
    assert reply.status_code == 400
    assert f"{state!r} is not a valid state" in reply.json()["Message"]


# --- the service ends and comes back


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_scripts_go_on_while_the_service_is_away_and_listeners_continue(tmp_path, how):
    text = SAYS.replace("    for", "    open(first).close()\n    first = 0\n    for")
    gate = tmp_path / "gate"
    import os

    os.mkfifo(gate)
    with serve(tmp_path / "x", "--OetApp.detach=True") as service:
        pid = service.create(text)
        service.until(pid, "READY")
        with Listener(service, f"?procedure={pid}&after=0") as listener:
            body = {"state": "RUNNING", "script_args": {"main": {"args": [str(gate), 2000]}}}
            service.http.put(f"/procedures/{pid}", json=body)
            messages = []
            for message in listener.messages():
                messages.append(message)
                if json.loads(message.data).get("new_state") == "RUNNING":
                    break
        service.process.send_signal(how)
        service.process.wait(30)
    gate.write_text("")
    with serve(tmp_path / "x") as service:
        with Listener(service, f"?procedure={pid}", headers=f"Last-Event-ID: {messages[-1].id}\r\n") as listener:
            for message in listener.messages():
                messages.append(message)
                if json.loads(message.data)["topic"] == ENDED:
                    break
        events = [json.loads(message.data) for message in messages]
        assert [event["number"] for event in events if event["topic"] == "user.count"] == list(range(2000))
        ids = [int(message.id) for message in messages]
        assert ids == sorted(set(ids))
        assert service.http.get(f"/procedures/{pid}").json()["procedure"]["state"] == "COMPLETE"


def test_ctrl_c_stops_procedures(tmp_path):
    with serve(tmp_path / "x", "--OetApp.detach=True") as service:
        pid = service.create("def main(): pass\n")
        service.until(pid, "READY")
        service.process.send_signal(signal.SIGINT)
        service.process.wait(30)
    with serve(tmp_path / "x") as service:
        assert service.http.get(f"/procedures/{pid}").json()["procedure"]["state"] == "STOPPED"


@pytest.mark.anyio
async def test_what_is_stored_and_not_delivered_yet_is_no_part_of_the_replay(tmp_path):
    """It follows from the bus, since the listener subscribes before that delivers it."""
    store = SqliteStore(tmp_path / DATABASE)
    store.write(Unit(events=[Event(n, "user.count", 1, b'{"number":%d}' % n) for n in range(1, 6)]))
    sent = []

    async def send(events):
        sent.extend(event.seq for event in events)

    bus, journal = EventBus(3), SimpleNamespace(store=store)
    handler = SimpleNamespace(context=SimpleNamespace(bus=bus, journal=journal), _send_events=send)
    assert await StreamHandler._send_stored(handler, 1, Filter()) == 3
    assert sent == [2, 3]
    store.close()
