"""Requests that go wrong, and many at once, over real HTTP: every answer is one JSON object that says what to do."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.conftest import Listener, serve, until

QUIET = "def main(*args, **kwargs): pass\n"


def refusal(reply, status, kind):
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"].startswith("application/json")
    body = reply.json()
    assert body["error"].startswith(f"{status} ")
    assert body["type"] == kind
    return body["Message"]


@pytest.mark.parametrize("path", ["/nothing", "/procedures/1/nothing", "/procedures//", "/activities/1/2/3"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_path_that_is_not_there_says_where_to_look(server, path, method):
    message = refusal(server.http.request(method, path), 404, "ResourceNotFound")
    assert "openapi.json" in message


@pytest.mark.parametrize("path", ["/", "/api", "/tree", "/lab", "/api/contents", "/api/kernels", "/api/sessions"])
def test_stand_alone_nothing_else_of_jupyter_is_served(server, path):
    refusal(server.http.get(str(httpx.URL(server.url).join(path))), 404, "ResourceNotFound")


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/procedures"), ("PATCH", "/procedures/1"), ("POST", "/stream"), ("PUT", "/health")]
)
def test_a_method_that_a_path_does_not_have(server, method, path):
    assert "does not support this method" in refusal(server.http.request(method, path), 405, "MethodNotAllowed")


@pytest.mark.parametrize("number", ["0", "999999", "x", "-1", "1.0", "%C2%B2", "1" * 40, "..%2f1", "1%00"])
@pytest.mark.parametrize("kind", ["procedures", "activities"])
def test_an_id_that_names_nothing(server, kind, number):
    refusal(server.http.get(f"/{kind}/{number}"), 404, "ResourceNotFound")


@pytest.mark.parametrize("token", ["", "token wrong", "Bearer", "Basic dTpw"])
@pytest.mark.parametrize("path", ["/procedures", "/stream", "/nothing"])
def test_who_does_not_know_the_token_is_told_nothing(server, path, token):
    reply = httpx.get(server.url + path, headers={"Authorization": token})
    assert "needs a valid token" in refusal(reply, 403, "Forbidden")


def test_a_foreign_host_is_refused(server):
    reply = server.http.get("/procedures", headers={"Host": "attacker.example"})
    assert reply.status_code == 403


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A service that takes bodies of 1000 bytes."""
    with serve(tmp_path_factory.mktemp("small"), "--OetApp.body_limit=1000") as server:
        yield server


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused(small, chunked):
    body = json.dumps({"script": {"script_type": "filesystem", "script_uri": "file:///" + "x" * 2000}}).encode()
    content = iter([body[:600], body[600:]]) if chunked else body
    message = refusal(small.http.post("/procedures", content=content), 413, "BodyTooLarge")
    assert "1000 are allowed" in message
    assert small.http.get("/procedures").json() == {"procedures": []}


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(small):
    url = httpx.URL(small.url)
    with socket.create_connection((url.host, url.port), timeout=60) as connection:
        connection.sendall(
            f"POST {url.path}/procedures HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: token {small.token}\r\n"
            "Content-Length: 5000000\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_request_that_breaks_off_changes_nothing(small):
    url = httpx.URL(small.url)
    with socket.create_connection((url.host, url.port), timeout=60) as connection:
        connection.sendall(
            f"POST {url.path}/procedures HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: token {small.token}\r\n"
            'Content-Length: 500\r\n\r\n{"script":'.encode()
        )
    assert small.http.get("/procedures").json() == {"procedures": []}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'"x"', b'{"script": 1}'])
def test_a_body_that_is_no_request_is_refused_and_changes_nothing(small, body):
    reply = small.http.post("/procedures", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 400
    assert reply.json()["Message"]
    assert small.http.get("/procedures").json() == {"procedures": []}


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        (
            "POST", "/procedures", '{"script": FILE, "script_args": {"init": {"kwargs": "x"}}}',
            "$.script_args.init.kwargs: expected object, got str",
        ),
        (
            "POST", "/procedures", '{"script": FILE, "script_args": {"init": {"args": "ab"}}}',
            "$.script_args.init.args: expected array, got str",
        ),
        (
            "POST", "/procedures", '{"script": {"script_type": "ftp", "script_uri": "x"}}',
            "Script type ftp not supported",
        ),
        ("POST", "/procedures", '{"script": {"script_type": "filesystem"}}', "Malformed script in request"),
        ("POST", "/procedures", "{}", "Script missing"),
        ("PUT", "/procedures/PID", '{"state": "RUNNING", "script_args": 1}', "Malformed script_args in response"),
        ("PUT", "/procedures/PID", '{"state": "STOPPED", "abort": "yes"}', "$.abort: expected bool, got str"),
        ("PUT", "/procedures/PID", '{"state": "RUN"}', "$.state: 'RUN' is not a valid state"),
        ("PUT", "/procedures/PID", "", "No JSON available in response"),
        ("POST", "/activities", '{"activity_name": "observe"}', "$.sbd_id: required"),
        (
            "POST", "/activities", '{"sbd_id": "a", "activity_name": "b", "script_args": {"main": {"args": 1}}}',
            "$.script_args[...].args: expected array, got int",
        ),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong_is_named_by_its_path(server, method, path, body, message):
    pid = server.create(QUIET)
    before = server.until(pid, "READY")
    body = body.replace("FILE", '{"script_type": "filesystem", "script_uri": "file:///x.py"}')
    reply = server.http.request(method, path.replace("PID", str(pid)), content=body)
    assert reply.status_code == 400
    assert reply.json()["error"] == "400 Bad Request"
    assert reply.json()["Message"].startswith(message)
    assert server.http.get(f"/procedures/{pid}").json()["procedure"] == before, "nothing has changed"
    server.http.put(f"/procedures/{pid}", json={"state": "STOPPED"})


def test_fifty_creations_at_once_all_become_ready_each_with_an_id_of_its_own(tmp_path):
    with serve(tmp_path) as server, Listener(server, "?topic=procedure.lifecycle.statechange") as listener:
        with ThreadPoolExecutor(50) as many:
            ids = list(many.map(lambda number: server.create(QUIET, subarray_id=number), range(50)))
        assert sorted(ids) == list(range(1, 51))
        waiting, events = set(ids), listener.events()
        while waiting:
            event = next(events)
            assert event["new_state"] != "FAILED"
            if event["new_state"] == "READY":
                waiting.discard(int(event["msg_src"]))
        stopped = {"state": "STOPPED", "abort": False}
        with ThreadPoolExecutor(50) as many:
            replies = list(many.map(lambda pid: server.http.put(f"/procedures/{pid}", json=stopped), ids))
        assert {reply.status_code for reply in replies} == {200}


def test_more_procedures_than_are_allowed_are_refused_with_what_to_do(tmp_path):
    with serve(tmp_path, "--OetApp.max_kernels=1") as server:
        pid = server.create(QUIET)
        body = {"script": {"script_type": "filesystem", "script_uri": "file:///x.py"}}
        reply = server.http.post("/procedures", json=body)
        assert reply.status_code == 409
        assert "max_kernels" in reply.json()["Message"]
        server.http.put(f"/procedures/{pid}", json={"state": "STOPPED", "abort": False})
        with Listener(server) as listener:
            events = listener.events()
            until(events, server.create(QUIET), "READY")
