"""What a request may bring before anybody has looked at it, on every route; what connections leave to the service."""

import resource
import socket
from contextlib import suppress

import httpx
import pytest
from tornado.httputil import HTTPHeaders

from oet_kernel.server.admission import BODY_LIMIT, TARGET_LIMIT, Admission, host_name
from tests.conftest import TOKEN, serve

DOOR = Admission(is_api=lambda path: path.startswith("/api/v1"))


def refusal(target, **headers):
    found = DOOR.refusal(target, HTTPHeaders({name.replace("_", "-"): value for name, value in headers.items()}))
    return found and found.status.value


@pytest.mark.parametrize("path", ["/login", "/logout", "/metrics", "/static/x", "/api/me", "/", "/api", "//api/v1"])
def test_bodies_that_are_not_the_apis_have_64_kilobytes(path):
    assert refusal(path, Content_Length=str(BODY_LIMIT)) is None
    for length in (BODY_LIMIT + 1, 10**8, 10**30):
        assert refusal(path, Content_Length=str(length)) == 413
        assert refusal(f"{path}?x=/api/v1", Content_Length=str(length)) == 413
    assert refusal("/api/v1/procedures", Content_Length=str(10**8)) is None, "the API says that itself"


def test_path_and_query_have_16_kilobytes():
    assert refusal("/api/v1/scripts/schema?uri=" + "%20" * 4096) is None
    assert refusal("/" + "x" * TARGET_LIMIT) == 414


@pytest.mark.parametrize("path", ["/login", "/logout", "/static/x", "/api/me", "/metrics", "/nothing"])
@pytest.mark.parametrize("chunked", [False, True])
def test_large_body_without_a_credential_is_cut_off_on_every_route(server, path, chunked):
    url = httpx.URL(server.url)
    length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 100000000"
    with socket.create_connection((url.host, url.port), timeout=60) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: {url.host}\r\n{length}\r\n\r\n".encode())
        sent, piece = 0, (b"10000\r\n" if chunked else b"") + b"x" * 65536 + (b"\r\n" if chunked else b"")
        with suppress(OSError):
            while sent < 100_000_000:
                connection.sendall(piece)
                sent += len(piece)
    assert sent < 20_000_000


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:80", "localhost"),
        ("localhost.", "localhost"),
        ("[::1]:80", "::1"),
        ("[::1]", "::1"),
        ("127.0.0.1:5000", "127.0.0.1"),
        ("", None),
        (":80", None),
        ("a:b", None),
        ("a:1:2", None),
        ("x[::1]", None),
        ("user@localhost", "user@localhost"),
    ],
)
def test_name_of_a_host_header(host, name):
    assert host_name(host) == name


def test_idle_connections_leave_descriptors_to_a_service_that_has_few(tmp_path):
    """The connection that has asked before stays; those that never ask make room."""
    with serve(tmp_path) as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (128, 128))
        pid = server.create("def main(): pass\n")
        server.until(pid, "READY")
        url = httpx.URL(server.url)
        idle = [socket.create_connection((url.host, url.port), timeout=60) for _ in range(200)]
        try:
            assert server.http.get("/health").status_code == 200
            stopped = server.http.put(f"/procedures/{pid}", json={"state": "STOPPED"})
            assert stopped.status_code == 200, stopped.text
            headers = {"Authorization": f"token {TOKEN}"}
            assert httpx.get(f"{server.url}/procedures", headers=headers).status_code == 200
        finally:
            for one in idle:
                one.close()
