"""Pause and resume over REST: what is answered, and what is refused with which words."""

import pytest

from tests.conftest import Listener, serve, until

WAITS = """
from oet_kernel.api import checkpoint
def main():
    for scan in (1, 2):
        checkpoint(f"scan {scan}")
"""


@pytest.fixture
def waiting(server):
    """Give a procedure that is READY, and end it with the test."""
    pid = server.create(WAITS, subarray_id=8400)
    server.until(pid, "READY")
    yield pid
    server.http.put(f"/procedures/{pid}", json={"state": "STOPPED"})


def command(server, pid, what, **body):
    return server.http.post(f"/procedures/{pid}/{what}", json=body)


def refused(reply, status, kind):
    assert (reply.status_code, reply.json()["type"]) == (status, kind), reply.text
    return reply.json()["Message"]


def test_a_procedure_is_paused_and_resumed(server, waiting):
    with Listener(server, f"?procedure={waiting}&topic=procedure.lifecycle,request") as listener:
        events = listener.events()
        asked = command(server, waiting, "pause", at="scan [2-9]")
        assert asked.status_code == 200, asked.text
        pause = asked.json()["procedure"]["pause"]
        assert (pause["at"], pause["checkpoint"], pause["since"]) == ("scan [2-9]", None, None)
        assert asked.json()["procedure"]["uri"] == f"{server.url}/procedures/{waiting}"
        server.http.put(f"/procedures/{waiting}", json={"state": "RUNNING"})
        seen = []
        while not seen or seen[-1]["topic"] != "procedure.lifecycle.paused":
            seen.append(next(events))
        assert seen[-1] == {"topic": "procedure.lifecycle.paused", "msg_src": str(waiting), "checkpoint": "scan 2"}
        listed = next(one for one in server.http.get("/procedures").json()["procedures"] if one["id"] == waiting)
        assert (listed["state"], listed["pause"]["checkpoint"]) == ("RUNNING", "scan 2"), "there is no state of its own"
        resumed = server.http.post(f"/procedures/{waiting}/resume")
        assert (resumed.status_code, resumed.json()["procedure"]["pause"]) == (200, None)
        seen += until(events, waiting, "COMPLETE")
    requests = [
        (one["topic"], one["cmd"])
        for one in seen
        if one["topic"] in ("request.procedure.pause", "request.procedure.resume")
    ]
    assert requests == [
        ("request.procedure.pause", {"process_uid": waiting, "at": "scan [2-9]"}),
        ("request.procedure.resume", {"process_uid": waiting}),
    ]
    assert "PAUSED" not in [one.get("new_state") for one in seen]


def test_a_pause_needs_no_body(server, waiting):
    assert server.http.post(f"/procedures/{waiting}/pause").json()["procedure"]["pause"]["at"] is None
    assert server.http.get(f"/procedures/{waiting}").json()["procedure"]["pause"]["checkpoint"] is None


def test_what_cannot_be_says_why(server, waiting):
    message = refused(command(server, waiting, "resume"), 409, "NotPaused")
    assert message == f"Cannot resume PID {waiting}: the procedure is READY, and not paused"
    message = refused(command(server, waiting, "pause", at="a|" * 150_000), 400, "Malformed Request")
    assert message == "$.at: a pattern of 300000 characters is too long; 500 are allowed"
    assert (
        refused(command(server, waiting, "pause", at=3), 400, "Malformed Request")
        == "$.at: expected str | null, got int"
    )
    for body in (b"[]", b"{", b"\xff"):
        refused(server.http.post(f"/procedures/{waiting}/pause", content=body), 400, "Malformed Request")
    server.http.put(f"/procedures/{waiting}", json={"state": "STOPPED"})
    message = refused(command(server, waiting, "pause"), 409, "PauseRefused")
    assert message == f"Cannot pause PID {waiting}: the procedure is STOPPED"
    for pid in (999999, 0, "x"):
        for what in ("pause", "resume"):
            message = refused(command(server, pid, what), 404, "ResourceNotFound")
            assert message == f"No information available for PID={pid}"


def test_paused_is_no_state_that_a_procedure_can_be_put_into(server, waiting):
    reply = server.http.put(f"/procedures/{waiting}", json={"state": "PAUSED"})
    assert "'PAUSED' is not a valid state" in refused(reply, 400, "Malformed Request")


def test_a_service_that_was_killed_finds_what_paused_while_it_was_away(tmp_path):
    import os
    import signal

    gate = tmp_path / "gate"
    os.mkfifo(gate)
    script = f"""
from oet_kernel.api import checkpoint, publish
def main():
    publish("test.begun")
    open({str(gate)!r}).close()
    checkpoint("here")
"""
    with serve(tmp_path / "x", "--OetApp.detach=True") as service:
        pid = service.create(script)
        service.until(pid, "READY")
        with Listener(service, f"?procedure={pid}&topic=test") as listener:
            service.http.put(f"/procedures/{pid}", json={"state": "RUNNING"})
            assert next(listener.events())["topic"] == "test.begun"
        assert command(service, pid, "pause").status_code == 200
        service.process.send_signal(signal.SIGKILL)
        service.process.wait(30)
    with open(gate, "w"):  # which the script waits for
        pass
    with serve(tmp_path / "x") as service:
        with Listener(service, f"?procedure={pid}&topic=procedure.lifecycle.paused&after=0") as listener:
            assert next(listener.events())["checkpoint"] == "here"
        told = service.http.get(f"/procedures/{pid}").json()["procedure"]
        assert (told["state"], told["pause"]["checkpoint"]) == ("RUNNING", "here")
        assert command(service, pid, "resume").status_code == 200
        assert service.until(pid)["state"] == "COMPLETE"
        events = service.http.get(f"/procedures/{pid}/events?topic=procedure.lifecycle").json()["events"]
        pauses = [one["topic"] for one in events if one["topic"].endswith(("pausing", "paused", "resumed"))]
        assert pauses == [f"procedure.lifecycle.{name}" for name in ("pausing", "paused", "resumed")]
