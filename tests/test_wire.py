"""The wire contract, row by row, over real HTTP with real kernels: what clients of the original rely on."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.conftest import TOKEN, Listener, serve, until
from tests.wire import FOREVER, NOTHING, procedure, start, states, stop

# --- REST, row by row


def test_get_procedures_lists_them_in_order_of_creation(server):
    first, second = server.create(NOTHING), server.create(NOTHING)
    reply = server.http.get("/procedures")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("application/json")
    ids = [int(one["uri"].rsplit("/", 1)[1]) for one in reply.json()["procedures"]]
    assert ids == sorted(ids)
    assert {first, second} <= set(ids)
    for pid in (first, second):
        server.until(pid, "READY")
        stop(server, pid)


def test_get_procedure_describes_it(server):
    pid = server.create("def init(*args, **kwargs): pass\n" + NOTHING, "x", subarray_id=41)
    one = server.until(pid, "READY")
    assert set(one) >= {"uri", "script", "script_args", "history", "state"}
    assert one["uri"] == str(httpx.URL(server.url).join(f"/api/v1.0/procedures/{pid}"))
    assert one["script"]["script_type"] == "filesystem"
    assert one["script_args"] == {"init": {"args": ["x"], "kwargs": {"subarray_id": 41}}}, "main was not called yet"
    assert one["history"]["stacktrace"] is None
    assert all(isinstance(at, float) for _, at in one["history"]["process_states"])
    stop(server, pid)


def test_post_procedures_answers_before_the_procedure_is_ready(server):
    script = server.folder / "slow.py"
    script.write_text("import time\ntime.sleep(1000)\ndef main(): pass\n")
    body = {"script": {"script_type": "filesystem", "script_uri": script.as_uri()}}
    reply = server.http.post("/procedures", json=body)
    assert reply.status_code == 201
    one = reply.json()["procedure"]
    assert one["state"] == "CREATING"
    assert reply.headers["location"] == one["uri"]
    stop(server, one["id"])


@pytest.mark.parametrize("name", ["main", "run"])
def test_put_running_starts_main_with_its_arguments_under_either_name(server, name):
    pid = server.create("def main(a, *, b): print(a, b)\n")
    server.until(pid, "READY")
    reply = start(server, pid, **{name: {"args": [1], "kwargs": {"b": 2}}})
    assert reply.status_code == 200
    assert reply.json()["procedure"]["state"] in ("READY", "RUNNING")
    assert reply.json()["procedure"]["script_args"]["main"] == {"args": [1], "kwargs": {"b": 2}}
    one = server.until(pid)
    assert one["state"] == "COMPLETE"
    assert set(one["script_args"]) == {"init", "main"}


def test_put_stopped_answers_with_the_message_that_clients_print(server):
    pid = server.create(FOREVER, subarray_id=42)
    server.until(pid, "READY")
    start(server, pid)
    server.until(pid, "RUNNING")
    reply = stop(server, pid)
    assert (reply.status_code, reply.json()) == (200, {"abort_message": f"Successfully stopped script with ID {pid}"})
    assert procedure(server, pid)["state"] == "STOPPED"
    again = stop(server, pid)
    assert again.status_code == 200
    assert again.json() == {"abort_message": f"Cannot stop script with ID {pid}: Script is not running"}


@pytest.mark.parametrize("body", [{}, {"state": "READY"}, {"state": "COMPLETE"}, {"state": None}])
def test_put_without_a_state_that_means_something_changes_nothing(server, body):
    pid = server.create(NOTHING)
    before = server.until(pid, "READY")
    reply = server.http.put(f"/procedures/{pid}", json=body)
    assert (reply.status_code, reply.json()["procedure"]) == (200, before)
    stop(server, pid)


@pytest.mark.parametrize("root", ["/api/v1.0", "/api/v1", "/oet/api/v1.0"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_root_and_a_trailing_slash_are_accepted(server, root, slash):
    pid = server.create(NOTHING)
    url = httpx.URL(server.url)
    one = server.http.get(url.join(f"{root}/procedures/{pid}{slash}")).json()["procedure"]
    assert one["uri"] == str(url.join(f"{root}/procedures/{pid}")), "from the request's own prefix"
    assert server.http.get(url.join(f"{root}/procedures{slash}")).status_code == 200
    server.until(pid, "READY")
    stop(server, pid)


def test_uri_is_of_the_host_that_the_client_has_asked(server):
    port = httpx.URL(server.url).port
    for host in ("localhost", "127.0.0.1"):
        reply = server.http.get(f"http://{host}:{port}/api/v1.0/procedures")
        assert all(one["uri"].startswith(f"http://{host}:{port}/api/v1.0/") for one in reply.json()["procedures"])


def test_activities_are_run_and_listed(tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    script = tmp_path / "observe.py"
    script.write_text("def init(**k): pass\ndef main(sb_json, sbi_id, a): print(sbi_id, a)\n")
    call = {"main": {"args": [], "kwargs": {"a": 1}}}
    activity = {"kind": "filesystem", "path": str(script), "function_args": call}
    (archive / "sbd-1.json").write_text(json.dumps({"sbd_id": "sbd-1", "activities": {"observe": activity}}))
    with serve(tmp_path / "server", f"--archive={archive}") as server, Listener(server) as listener:
        reply = server.http.post("/activities", json={"sbd_id": "sbd-1", "activity_name": "observe"})
        assert reply.status_code == 201
        one = reply.json()["activity"]
        assert set(one) >= {
            "uri", "activity_name", "sbd_id", "procedure_id", "prepare_only", "script_args", "activity_states", "state",
            "sbi_id",
        }  # fmt: skip
        assert one["uri"] == f"{server.url}/activities/1"
        seen = until(listener.events(), one["procedure_id"], "COMPLETE")
        (request,) = [event for event in seen if event["topic"] == "request.activity.run"]
        (running,) = [event for event in seen if event["topic"] == "activity.lifecycle.running"]
        assert request["cmd"] == {
            "sbd_id": "sbd-1", "activity_name": "observe", "script_args": {}, "prepare_only": False,
            "create_env": False,
        }  # fmt: skip
        assert running["request_id"] == request["request_id"]
        assert (running["result"]["id"], running["result"]["procedure_id"]) == (1, one["procedure_id"])
        assert "activity.pool.list" not in [event["topic"] for event in seen]
        assert server.http.get("/activities/1").json()["activity"]["state"] == "COMPLETE"
        assert [a["id"] for a in server.http.get("/activities").json()["activities"]] == [1]
        missing = server.http.get("/activities/2")
        assert (missing.status_code, missing.json()["type"]) == (404, "ResourceNotFound")


# --- lifecycle


def test_history_of_a_good_run(server):
    pid = server.create("def init(): pass\n" + NOTHING)
    server.until(pid, "READY")
    start(server, pid)
    assert states(server.until(pid)) == [
        "CREATING", "IDLE", "LOADING", "IDLE", "INITIALISING", "READY", "RUNNING", "READY", "COMPLETE",
    ]  # fmt: skip


def test_unknown_script_file_is_no_http_error_but_a_failed_procedure(server):
    body = {"script": {"script_type": "filesystem", "script_uri": "file:///nowhere/x.py"}}
    reply = server.http.post("/procedures", json=body)
    assert reply.status_code == 201
    one = server.until(reply.json()["procedure"]["id"])
    assert one["state"] == "FAILED"
    assert "FileNotFoundError" in one["history"]["stacktrace"]
    assert "/nowhere/x.py" in one["history"]["stacktrace"]


def test_start_that_is_refused_names_the_procedure_that_runs(server):
    first, second = server.create(FOREVER, subarray_id=43), server.create(FOREVER, subarray_id=43)
    for pid in (first, second):
        server.until(pid, "READY")
    start(server, first)
    reply = start(server, second)
    assert reply.status_code == 409
    assert reply.json()["error"] == "409 Conflict"
    assert reply.json()["Message"] == f"Cannot start PID {second}: PID #{first} is RUNNING"
    assert procedure(server, second)["state"] == "READY"
    for pid in (first, second):
        stop(server, pid)


@pytest.mark.parametrize("state", ["LOADING", "INITIALISING"])
def test_start_of_what_is_not_ready_changes_nothing(server, state):
    wait = "import time; time.sleep(1000)"
    pid = server.create(
        f"{wait}\ndef main(): pass\n" if state == "LOADING" else f"def init(): {wait}\ndef main(): pass\n"
    )
    before = server.until(pid, state)
    reply = start(server, pid)
    assert (reply.status_code, reply.json()["procedure"]) == (200, before)
    assert stop(server, pid).json()["abort_message"] == f"Successfully stopped script with ID {pid}"


STUBBORN = """
import threading
def init(subarray_id): pass
def main():
    while True:
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
"""


def test_two_stops_at_once_both_say_that_it_was_stopped(server):
    pid = server.create(STUBBORN, subarray_id=44)  # the first takes its time, so that the second comes meanwhile
    server.until(pid, "READY")
    start(server, pid)
    with ThreadPoolExecutor(2) as threads:
        replies = list(threads.map(lambda _: stop(server, pid).json(), range(2)))
    assert replies == [{"abort_message": f"Successfully stopped script with ID {pid}"}] * 2


def test_ten_newest_inactive_procedures_are_listed_and_older_ones_are_not_found(tmp_path):
    with serve(tmp_path) as server:
        pids = []
        for _ in range(11):
            pids.append(server.create("x = 1"))
            server.until(pids[-1])
        listed = [one["id"] for one in server.http.get("/procedures").json()["procedures"]]
        assert listed == pids[-10:]
        reply = server.http.get(f"/procedures/{pids[0]}")
        assert reply.status_code == 404
        assert reply.json() == {
            "error": "404 Not Found",
            "type": "ResourceNotFound",
            "Message": f"No information available for PID={pids[0]}",
        }


def test_ids_count_up_from_one_and_are_never_used_again_a_restart_included(tmp_path):
    for expected in (1, 2):
        with serve(tmp_path) as server:
            assert server.create("x = 1") == expected


def test_stop_with_abort_runs_the_abort_script_on_the_subarray(tmp_path):
    abort = tmp_path / "abort.py"
    abort.write_text("def init(subarray_id):\n    global n\n    n = subarray_id\ndef main(): print('aborting', n)\n")
    with serve(tmp_path / "server", f"--abort-script={abort}") as server, Listener(server) as listener:
        events = listener.events()
        pid = server.create(FOREVER, subarray_id=5)
        until(events, pid, "READY")
        start(server, pid)
        until(events, pid, "RUNNING")
        message = stop(server, pid, abort=True).json()["abort_message"]
        assert message == f"Successfully stopped script with ID {pid} and aborted subarray activity"
        seen = until(events, pid + 1, "COMPLETE")
        assert "aborting 5\n" in [event.get("text") for event in seen]
        (stopped,) = [event for event in seen if event["topic"] == "procedure.lifecycle.stopped"]
        assert [one["id"] for one in stopped["result"]] == [pid + 1]


def test_clients_that_know_no_token_can_be_let_in(tmp_path):
    with serve(tmp_path, "--insecure-no-token", token=None) as server:
        assert server.http.get("/procedures").status_code == 200
        pid = server.create("x = 1")
        assert server.until(pid)["state"] == "FAILED"
        assert "No token is asked" in (tmp_path / "server.log").read_text()


@pytest.mark.parametrize("path", ["/procedures", "/stream", "/openapi.json", "/asyncapi.json", "/nowhere"])
def test_without_a_token_nothing_is_told(server, path):
    for headers in ({}, {"Authorization": "token wrong"}):
        reply = httpx.get(f"{server.url}{path}", headers=headers)
        assert reply.status_code == 403
        assert reply.json()["type"] == "Forbidden"
    assert httpx.get(f"{server.url}/procedures", params={"token": TOKEN}).status_code == 200
