"""Who has asked for what: told by the service, kept over its end, and written into the record."""

import os
import signal

import nbformat
import pytest

from oet_kernel.client import Client
from oet_kernel.models import USER
from tests.conftest import serve

TEXT = "def main(gate=None): gate and open(gate).close()\n"
ABORT = "def init(**kwargs): pass\ndef main(): pass\n"


def ask(server, method, path, body, who):
    reply = server.http.request(method, path, json=body, headers={USER: who})
    assert reply.is_success, reply.text
    return reply.json()


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(TEXT)
    return {"script_type": "filesystem", "script_uri": path.as_uri()}


def test_each_request_is_told_and_kept_in_the_name_of_who_asks_over_a_restart(tmp_path, script):
    abort = tmp_path / "abort.py"
    abort.write_text(ABORT)
    folder = tmp_path / "x"
    gate = tmp_path / "gate"
    os.mkfifo(gate)  # nobody opens it for writing: main is at work until it is stopped
    args = {"main": {"kwargs": {"gate": str(gate)}}, "init": {}}
    with serve(folder, f"--abort-script={abort}") as server:
        ask(server, "POST", "/procedures", {"script": script}, "alice")
        server.until(1, "READY")
        ask(server, "PUT", "/procedures/1", {"state": "RUNNING", "script_args": args}, "bob%20b.")
        ask(server, "PUT", "/procedures/1", {"state": "STOPPED", "abort": True}, "carol@dish7")
        server.until(2)
        before = server.http.get("/procedures/1").json()["procedure"]
        record = nbformat.reads(server.http.get("/procedures/1/record").text, as_version=nbformat.NO_CONVERT)
    with serve(folder) as server:
        after = [server.http.get(f"/procedures/{pid}").json()["procedure"] for pid in (1, 2)]
    named = {"create": "alice", "start": "bob b.", "stop": "carol@dish7"}
    assert before["requested_by"] == named
    assert [one["requested_by"] for one in after] == [named, {"create": "carol@dish7", "start": "carol@dish7"}]
    for what, who in (("Created", "alice"), ("Started", "bob b."), ("Stopped", "carol@dish7")):
        assert f"<td>{what} by</td><td><code>{who}</code></td>" in record.cells[0].source


def test_client_asks_in_the_name_of_the_systems_user_or_in_that_it_is_given(server, script, monkeypatch):
    monkeypatch.setenv("LOGNAME", "dora")
    with Client(server.url, server.token) as own, Client(server.url, server.token, user="eve ø") as eve:
        pid = own.create(script["script_uri"]).id
        server.until(pid, "READY")
        eve.stop(pid)
        created, stopped = (own.procedure(pid).requested_by[name] for name in ("create", "stop"))
    assert created.startswith("dora@")
    assert stopped == "eve ø"


@pytest.mark.parametrize("claimed", ["", "%00%0a", "%ff\xa0"])
def test_who_says_nothing_sensible_is_told_by_its_address_or_as_it_was_said(server, script, claimed):
    headers = {USER: claimed.encode("latin-1")}
    made = server.http.post("/procedures", json={"script": script}, headers=headers).json()["procedure"]
    server.http.put(f"/procedures/{made['id']}", json={"state": "STOPPED"})
    assert made["requested_by"]["create"]
    assert made["requested_by"]["create"].isprintable()


def test_end_of_the_service_is_told_as_what_has_stopped_a_procedure(tmp_path, script):
    with serve(tmp_path / "x") as server:
        ask(server, "POST", "/procedures", {"script": script}, "alice")
        server.until(1, "READY")
        server.end(signal.SIGINT)
    with serve(tmp_path / "x") as server:
        procedure = server.http.get("/procedures/1").json()["procedure"]
    assert procedure["state"] == "STOPPED"
    assert procedure["requested_by"] == {"create": "alice", "stop": "the service, which ended"}
