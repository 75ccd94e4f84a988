"""Whoever sees the end of a procedure by any surface finds its last event and its whole record."""

import json

import pytest

from tests.conftest import Listener

ENDED = ("COMPLETE", "FAILED", "STOPPED")
SIZE = 5_000_000
COMPLETE = f"def main():\n    print('x' * {SIZE})\n    print('last line')\n"
FAILED = f"def main():\n    print('x' * {SIZE})\n    raise ValueError('last line')\n"
EXIT = f"import os\ndef main():\n    print('x' * {SIZE})\n    print('last line', flush=True)\n    os._exit(3)\n"


def by_get(server, pid):
    return server.http.get(f"/procedures/{pid}").json()["procedure"]["state"]


def by_list(server, pid):
    listed = server.http.get("/procedures").json()["procedures"]
    return next(one["state"] for one in listed if one["id"] == pid)


def by_archive(server, pid):
    listed = server.http.get("/archive").json()["procedures"]
    return next(one["state"] for one in listed if one["id"] == pid)


def by_start(server, pid):
    """Ask for a start of what was started: it is left as it is, and described."""
    reply = server.http.put(f"/procedures/{pid}", json={"state": "RUNNING"})
    return reply.json()["procedure"]["state"]


def by_record(server, pid):
    return json.loads(server.http.get(f"/procedures/{pid}/record").text)["metadata"]["oet"]["procedure"]["state"]


def check(server, pid, state, last):
    states = server.http.get(f"/procedures/{pid}/events?topic=procedure.lifecycle.statechange").json()["events"]
    assert states[-1]["data"]["new_state"] == state
    record = json.loads(server.http.get(f"/procedures/{pid}/record").text)
    assert record["metadata"]["oet"]["procedure"]["state"] == state
    (main,) = (cell for cell in record["cells"] if cell["id"] == "main")
    assert last in json.dumps(main["outputs"])


@pytest.mark.parametrize(
    ("surface", "text", "state"),
    [
        (by_get, COMPLETE, "COMPLETE"),
        (by_list, COMPLETE, "COMPLETE"),
        (by_archive, COMPLETE, "COMPLETE"),
        (by_start, COMPLETE, "COMPLETE"),
        (by_record, COMPLETE, "COMPLETE"),
        (by_get, FAILED, "FAILED"),
        (by_get, EXIT, "FAILED"),
    ],
)
def test_end_is_seen_when_events_and_record_are_whole(server, surface, text, state):
    pid = server.create(text)
    server.until(pid, "READY")
    server.http.put(f"/procedures/{pid}", json={"state": "RUNNING"})
    while (seen := surface(server, pid)) not in ENDED:
        pass
    assert seen == state
    check(server, pid, state, "last line")


def test_end_is_heard_when_state_events_and_record_are_whole(server):
    pid = server.create(COMPLETE)
    server.until(pid, "READY")
    with Listener(server, f"?procedure={pid}&topic=procedure.lifecycle") as stream:
        server.http.put(f"/procedures/{pid}", json={"state": "RUNNING"})
        next(one for one in stream.events() if one.get("new_state") == "COMPLETE")
        assert by_get(server, pid) == by_list(server, pid) == "COMPLETE"
        check(server, pid, "COMPLETE", "last line")
