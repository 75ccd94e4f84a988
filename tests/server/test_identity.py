"""Who gets in without a token of this service: nobody, whatever was given out before or elsewhere."""

import http.client
import os
import re
import stat

import httpx
import pytest

from oet_kernel.errors import BadConfiguration
from oet_kernel.server.app import OetApp
from oet_kernel.server.command_line import arguments
from oet_kernel.server.identity import (
    FORGET_SECONDS,
    FREE_MISTAKES,
    Brake,
    TokenIdentityProvider,
    cookie_secret,
)
from oet_kernel.system.children import SETTINGS, inherited, variable
from tests.conftest import TOKEN, serve
from tests.server.test_app import log_in, start


def provider(**settings):
    return TokenIdentityProvider(**settings)


@pytest.mark.parametrize(
    ("headers", "params"),
    [
        ({"Authorization": f"token {TOKEN}"}, {}),
        ({"Authorization": f"Bearer {TOKEN}"}, {}),
        ({}, {"token": TOKEN}),
        ({"Authorization": "token wrong"}, {}),
        ({}, {}),
    ],
)
@pytest.mark.parametrize("path", ["/procedures", "/health", "/nothing"])
def test_no_request_but_a_login_is_given_a_cookie(server, path, headers, params):
    reply = httpx.get(f"{server.url}{path}", headers=headers, params=params)
    assert "username" not in reply.headers.get("Set-Cookie", "")


def test_login_gives_a_cookie_of_twelve_hours_and_keeps_no_password(server):
    with httpx.Client() as browser:
        cookie = log_in(server, browser, new_password="mine").headers["Set-Cookie"]
        assert re.search("SameSite=Strict", cookie, re.IGNORECASE)
        assert re.search("HttpOnly", cookie, re.IGNORECASE)
        assert browser.get(f"{server.url}/procedures").status_code == 200
    with httpx.Client() as browser:
        log_in(server, browser, password="mine")
        assert browser.get(f"{server.url}/procedures").status_code == 403


def test_cookies_are_of_one_state_folder_and_one_token(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    first = cookie_secret(one, provider(token="a"))
    assert cookie_secret(one, provider(token="a")) == first, "the next service takes those of the one before it"
    assert len({first, cookie_secret(one, provider(token="b")), cookie_secret(other, provider(token="a"))}) == 3
    assert stat.S_IMODE((one / "cookie_secret").stat().st_mode) == 0o600
    (one / "cookie_secret").write_bytes(b"")
    assert cookie_secret(one, provider(token="a")) != cookie_secret(other, provider(token="a"))


@pytest.mark.parametrize("given", ["", "t", "toke", "token ", " token", "token\0", "Token", "tokén", "token" * 9999])
def test_only_the_token_is_the_token(given):
    assert provider(token="token").is_token("token")
    assert not provider(token="token").is_token(given)


@pytest.mark.parametrize("given", ["", "anything"])
def test_nothing_is_the_token_of_a_service_without_one(given):
    assert not provider(token="").is_token(given)


def test_wrong_tokens_are_answered_late_and_only_to_who_sends_them():
    brake = Brake()
    assert [brake.wrong("a", 1.0) for _ in range(FREE_MISTAKES)] == [False] * FREE_MISTAKES
    assert brake.wrong("a", 1.0)
    assert not brake.wrong("b", 1.0)
    assert not brake.wrong("a", 1.0 + FORGET_SECONDS + 1)


def test_brake_remembers_a_bounded_number_of_addresses():
    brake = Brake()
    for number in range(10_100):
        brake.wrong(str(number), 0.0)
    assert len(brake._wrong) == 10_000


@pytest.mark.parametrize("text", ["s3cret\n", "s3cret", "\n s3cret \r\n"])
def test_token_is_read_from_a_file(tmp_path, text):
    path = tmp_path / "token"
    path.write_text(text)
    assert provider(token_file=str(path)).token == "s3cret"


@pytest.mark.parametrize("text", ["", "\n", " \t\n", None, b"\xff\xfe"])
def test_token_file_without_a_token_is_an_error_and_not_a_service_without_one(tmp_path, text):
    path = tmp_path / "token"
    if isinstance(text, bytes):
        path.write_bytes(text)
    elif text is not None:
        path.write_text(text)
    with pytest.raises(BadConfiguration, match="--token-file"):
        _ = provider(token_file=str(path)).token


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        (["--token="], {}),
        (["--token", ""], {}),
        (["--token= "], {}),
        (["--IdentityProvider.token="], {}),
        (["--TokenIdentityProvider.token="], {}),
        (["--token-file=/dev/null"], {}),
        ([], {"JUPYTER_TOKEN_FILE": "/dev/null"}),
    ],
)
def test_service_with_an_empty_token_does_not_start(tmp_path, words, environ):
    done = start(tmp_path, "--port=0", f"--state-dir={tmp_path / 's'}", *words, **environ)
    assert done.returncode == 2, done.stderr
    assert "empty" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("argv", "environ", "complete"),
    [
        ([], {"OET_TOKEN_FILE": "/t"}, ["--token-file=/t"]),
        (["--token=t"], {"OET_TOKEN_FILE": "/t"}, ["--token=t"]),
        (["--token-file=/t"], {"OET_TOKEN": "t", "OET_INSECURE_NO_TOKEN": "1"}, ["--token-file=/t"]),
        (["--insecure-no-token"], {"OET_TOKEN_FILE": "/t"}, ["--insecure-no-token"]),
    ],
)
def test_where_the_token_comes_from_is_said_once(argv, environ, complete):
    assert arguments(argv, environ) == complete


def test_children_get_neither_the_services_secrets_nor_its_settings():
    assert {*OetApp.aliases, "insecure-no-token"} <= {*SETTINGS}
    secrets = [*map(variable, SETTINGS), "JUPYTER_TOKEN", "JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN"]
    kept = {"PATH": "/bin", "OET_URL": "http://x", "OET_RUNTIME_DIR": "/r", "OET_OF_A_USER": "1"}
    assert inherited({**dict.fromkeys(secrets, "x"), **kept}) == kept
    assert inherited({"GIT_TRACE": "1", "GIT_DIR": "x"}, without=["GIT_TRACE"]) == {"GIT_DIR": "x"}


def test_no_script_is_given_a_secret_of_its_service(tmp_path):
    text = "import os\ndef main(): print(dict(os.environ))\n"
    with serve(tmp_path, token=None, OET_TOKEN="S3CRET", JUPYTERHUB_API_TOKEN="S3CRET") as server:
        server.http.headers["Authorization"] = "token S3CRET"
        pid = server.create(text)
        server.until(pid, "READY")
        server.http.put(f"/procedures/{pid}", json={"state": "RUNNING"})
        assert server.until(pid)["state"] == "COMPLETE"
        assert "S3CRET" not in server.http.get(f"/procedures/{pid}/events").text


@pytest.mark.parametrize(
    ("host", "headers", "status"),
    [
        ("127.0.0.1:{port}", {}, 200),
        ("localhost:{port}", {"Origin": "http://localhost:{port}"}, 200),
        ("LOCALHOST:{port}", {"Sec-Fetch-Site": "same-origin"}, 200),
        ("[::1]:{port}", {}, 200),
        ("obs.example:{port}", {"Origin": "http://obs.example:{port}"}, 200),
        ("evil.example:{port}", {}, 403),
        ("evil.example:{port}", {"Origin": "http://evil.example:{port}"}, 403),
        ("localhost.evil.example", {}, 403),
        ("127.0.0.1.evil.example", {}, 403),
        ("2130706433.example", {}, 403),
        ("", {}, 403),
        ("[evil]", {}, 403),
        ("localhost:{port}", {"Origin": "http://evil.example"}, 403),
        ("localhost:{port}", {"Origin": "http://localhost:1"}, 403),
        ("localhost:{port}", {"Origin": "null"}, 403),
        ("localhost:{port}", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("localhost:{port}", {"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1.0/procedures", "/api/me", "/login"])
def test_service_without_a_token_serves_its_own_names_and_pages_alone(open_server, path, host, headers, status):
    url = httpx.URL(open_server.url)
    connection = http.client.HTTPConnection(url.host, url.port, timeout=60)
    sent = {name: value.format(port=url.port) for name, value in headers.items()}
    connection.request("GET", path, headers={"Host": host.format(port=url.port), **sent})
    reply = connection.getresponse()
    reply.read()
    assert (reply.status == 403) == (status == 403), reply.status


@pytest.fixture(scope="module")
def open_server(tmp_path_factory):
    """A service that asks for no token, and may be reached from anywhere under one more name."""
    options = ["--insecure-no-token", "--ServerApp.allow_remote_access=True"]
    options.append("--ServerApp.local_hostnames=obs.example")
    with serve(tmp_path_factory.mktemp("open"), *options, token=None) as made:
        yield made


def test_authorizer_decides_who_may_create_and_is_named_when_it_refuses(tmp_path):
    (tmp_path / "someauth.py").write_text(
        "from jupyter_server.auth import Authorizer\n"
        "class A(Authorizer):\n"
        "    def is_authorized(self, handler, user, action, resource): return action in ('read', 'write')\n"
    )
    script = {"script": {"script_type": "filesystem", "script_uri": "file:///nowhere.py"}}
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    with serve(tmp_path / "s", "--ServerApp.authorizer_class=someauth.A", PYTHONPATH=path) as server:
        asked = [
            server.http.post("/procedures", json=script),
            server.http.put("/procedures/1", json={"state": "STOPPED"}),
            server.http.post("/procedures/1/pause"),
            server.http.post("/procedures/1/resume"),
            server.http.get("/procedures/1/kernel"),
            server.http.post("/activities", json={}),
        ]
        assert server.http.get("/procedures").status_code == 200
    for reply in asked:
        assert reply.status_code == 403
        assert reply.json()["type"] == "NotAuthorized"
        assert "right to execute" in reply.json()["Message"]
