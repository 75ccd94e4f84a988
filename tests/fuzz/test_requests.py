"""Whatever a client sends to whatever path, it gets an answer, no 5xx, and the service and others' scripts go on."""

import json
import socket
from contextlib import suppress
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import DEADLINE, serve
from tests.fuzz import strategies as odd

ROUTES = (
    "/procedures", "/procedures/{}", "/procedures/{}/pause", "/procedures/{}/resume", "/procedures/{}/events",
    "/procedures/{}/kernel", "/procedures/{}/record", "/archive", "/activities", "/activities/{}", "/scripts",
    "/scripts/schema", "/stream", "/health", "/openapi.json", "/asyncapi.json", "/{}",
)  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW")
PARAMETERS = (
    "after", "before", "limit", "topic", "exclude", "procedure", "state", "script", "since", "until", "uri", "format",
    "lastEventId", "format", "compact", "heartbeat",
)  # fmt: skip
HEADERS = ("Last-Event-ID", "Accept", "Content-Type", "Cookie", "Origin", "X-Forwarded-For", "Range", "Expect", "Host")

ids = st.just("1") | odd.texts | st.sampled_from(odd.ODD_NUMBERS).map(str)
scripts = odd.values | odd.fields(
    "script_type", "script_uri", "git_args", "create_env",
    allowed=odd.values | st.sampled_from(("filesystem", "git", "file:///nowhere.py", "git:///nowhere.py", True)),
)  # fmt: skip
calls = odd.values | odd.fields("args", "kwargs")
bodies = (
    odd.documents
    | odd.fields("script", "script_args", "state", "abort", "at", "who", "taken", "working_folder")
    .map(odd.encode)
    .filter(lambda body: len(body) < 1 << 20)
    | st.fixed_dictionaries({"script": scripts, "script_args": odd.fields("init", "main", allowed=calls)}).map(
        odd.encode
    )
    | st.fixed_dictionaries({"state": st.sampled_from(("RUNNING", "FLYING")) | odd.values, "script_args": calls}).map(
        odd.encode
    )
    | odd.fields("activity_name", "sbd_id", "script_args", "prepare_only", "create_env").map(odd.encode)
)
queries = st.lists(st.tuples(st.sampled_from(PARAMETERS), odd.texts), max_size=4)
headers = st.lists(st.tuples(st.sampled_from(HEADERS), odd.texts), max_size=2)

COUNTING = """
import itertools, time
from oet_kernel.api import publish
def init(subarray_id): pass
def main():
    for number in itertools.count():
        publish("user.count", number=number)
        time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service, and a script of somebody else's that counts; at the end nothing is missing, and it can be stopped."""
    folder = tmp_path_factory.mktemp("fuzz")
    with serve(folder) as server:
        pid = server.create(COUNTING, subarray_id=1)
        server.until(pid, "READY")
        server.http.put(f"/procedures/{pid}", json={"state": "RUNNING"})
        server.until(pid, "RUNNING")
        yield server, pid
        reply = server.http.put(f"/procedures/{pid}", json={"state": "STOPPED", "abort": False})
        assert reply.status_code == 200, reply.text
        assert server.http.get(f"/procedures/{pid}").json()["procedure"]["state"] == "STOPPED"
    with serve(folder) as server:
        numbers, after = [], 0
        while after is not None:
            page = server.http.get(f"/procedures/{pid}/events", params={"after": after, "topic": "user.count"}).json()
            numbers += [one["data"]["number"] for one in page["events"]]
            after = page["next"]
        assert numbers == list(range(len(numbers)))
        assert numbers


def ask(server, method, path, query, headers, body):
    """Send bytes that no client library would; the answer's head."""
    url = httpx.URL(server.url)
    query = "&".join(f"{name}={quote(value.encode('utf-8', 'surrogatepass'))}" for name, value in query)
    lines = [f"{method} {url.path}{path}{'?' if query else ''}{query} HTTP/1.1", f"Authorization: token {server.token}"]
    if not any(name == "Host" for name, _ in headers):
        lines.append(f"Host: {url.host}")
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    with socket.create_connection((url.host, url.port), timeout=DEADLINE) as connection:
        with suppress(OSError):  # refused before it was sent
            connection.sendall("\r\n".join(lines).encode("utf-8", "surrogatepass") + body)
        try:
            return connection.recv(1 << 16)
        except ConnectionResetError:
            return b""


@settings(max_examples=300)
@given(st.sampled_from(METHODS), st.sampled_from(ROUTES), ids, queries, headers, bodies)
def test_any_request_is_answered_and_harms_nobody(service, method, route, number, query, extra, body):
    server, pid = service
    number = "2" if number == str(pid) else number  # what somebody else's script is asked is not odd but meant
    path = route.format(quote(number.encode("utf-8", "surrogatepass"), safe=""))
    head = ask(server, method, path, query, extra, body)
    status = int(head.split(b" ", 2)[1]) if head else None  # what is no HTTP is cut off
    assert status is None or 100 <= status < 500, (method, path, query, extra, body, head)
    health = server.http.get("/health")
    assert health.status_code == 200
    said = health.json()
    assert (said["status"], said.get("faults")) == ("ok", None), said
    assert json.loads(server.http.get(f"/procedures/{pid}").text)["procedure"]["state"] == "RUNNING"
