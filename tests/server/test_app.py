"""The service as it is started: options, refusals, who may use it, and its life inside another Jupyter server."""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from oet_kernel.errors import BadConfiguration
from oet_kernel.server.app import OetApp
from oet_kernel.server.command_line import arguments, check_words
from tests.conftest import DEADLINE, TOKEN, serve


def start(folder, *words, **environment):
    """Run `oet serve` to its end."""
    env = {**os.environ, "OET_RUNTIME_DIR": str(folder / "runtime"), **environment}
    argv = [sys.executable, "-m", "oet_kernel.cli", "serve", *words]
    return subprocess.run(argv, env=env, cwd=folder, capture_output=True, text=True, timeout=DEADLINE)


def threads_of(pid):
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


def blocks(pid, thread, signum):
    """Tell whether a thread never gets a signal: those of libzmq get none."""
    status = Path(f"/proc/{pid}/task/{thread}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:"))
    return bool(int(mask, 16) & 1 << signum - 1)


# --- options


@pytest.mark.parametrize(
    ("argv", "environ", "complete"),
    [
        (["--port=1"], {"OET_PORT": "2"}, ["--port=1"]),
        (["--port", "1"], {"OET_PORT": "2"}, ["--port", "1"]),
        ([], {"OET_PORT": "2"}, ["--port=2"]),
        ([], {"OET_SCRIPTS_ROOT": "/a:/b"}, ["--scripts-root=/a", "--scripts-root=/b"]),
        ([], {"OET_STATE_DIR": "/s", "OET_ABORT_SCRIPT": "/a.py"}, ["--abort-script=/a.py", "--state-dir=/s"]),
        ([], {"OET_INSECURE_NO_TOKEN": "1"}, ["--insecure-no-token"]),
        ([], {"OET_INSECURE_NO_TOKEN": "1", "OET_TOKEN": "t"}, ["--insecure-no-token"]),
        ([], {"OET_INSECURE_NO_TOKEN": "0", "OET_TOKEN": "t"}, ["--token=t"]),
        (["--token=t"], {"OET_INSECURE_NO_TOKEN": "1"}, ["--token=t"]),
        (["--insecure-no-token"], {"OET_TOKEN": "t"}, ["--insecure-no-token"]),
    ],
)
def test_every_option_is_also_an_environment_variable_and_the_command_line_wins(argv, environ, complete):
    assert arguments(argv, environ) == complete


@pytest.mark.parametrize(
    "argv",
    [
        ["--ip=127.0.0.1", "--port", "5000", "--token=t", "--scripts-root=/a", "--scripts-root=/b", "--archive=/x"],
        ["--abort-script", "-odd-name.py", "--state-dir=/s", "--config=x.py", "--debug", "--OetApp.history=3"],
        ["--insecure-no-token"],
        ["--help-all"],
        ["--version"],
    ],
)
def test_options_are_accepted_in_every_form(argv):
    check_words(argv)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--nope=1"], "'--nope=1' is not a valid option"),
        (["extra"], "'extra' is not an option"),
        (["--port", "1", "2"], "'2' is not an option"),
        (["--token=t", "--insecure-no-token"], "contradict each other"),
    ],
)
def test_what_means_nothing_is_refused_not_passed_over(argv, says):
    with pytest.raises(BadConfiguration, match=says):
        check_words(argv)


def test_help_lists_every_option(tmp_path):
    done = start(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for option in (*OetApp.aliases, "insecure-no-token"):
        assert f"--{option}" in done.stdout


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--nope=1"], 2, "'--nope=1' is not a valid option"),
        (["--port=70000"], 2, "--port 70000 is not a valid port"),
        (["--scripts-root=/nowhere"], 2, "--scripts-root /nowhere is not a folder"),
        (["--abort-script=/nowhere.py"], 2, "--abort-script /nowhere.py is not a file"),
        (["--archive=/nowhere"], 2, "--archive /nowhere is not a folder"),
        (["--config=/nowhere.py"], 2, "--config /nowhere.py is not a file"),
        (["--port=abc"], 1, "expected an int"),
        (["--ip=203.0.113.9"], 1, "Cannot assign requested address"),
        (["--state-dir=/proc/nowhere"], 1, "/proc/nowhere"),
    ],
)
def test_service_that_cannot_start_says_why_without_a_traceback(tmp_path, words, status, says):
    done = start(tmp_path, *words, *(["--port=0"] if "--port" not in words[0] else []), OET_STATE_DIR=str(tmp_path))
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == "", "it never said that it was ready"


def test_second_service_on_a_port_or_a_state_folder_is_refused(server, tmp_path):
    port = httpx.URL(server.url).port
    done = start(tmp_path, f"--port={port}", f"--state-dir={tmp_path}")
    assert done.returncode == 1
    assert f"port {port} is not available" in done.stderr
    done = start(tmp_path, "--port=0", f"--state-dir={server.folder / 'state'}")
    assert done.returncode == 1
    assert f"in use by the service with process id {server.process.pid}" in done.stderr
    assert "Traceback" not in done.stderr


def test_configuration_file_is_read(tmp_path):
    (tmp_path / "config.py").write_text("c.OetApp.body_limit = 7\n")
    with serve(tmp_path / "server", f"--config={tmp_path / 'config.py'}") as server:
        assert "7 are allowed" in server.http.post("/procedures", content=b"[1,2,3,4]").json()["Message"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_the_service_whole_with_what_it_runs(tmp_path, signum):
    with serve(tmp_path) as server:
        pid = server.create("import os\nprint(os.getpid(), flush=True)\ndef main(): pass\n")
        server.until(pid, "READY")
        kernels = list((tmp_path / "state" / "kernels").iterdir())
        assert kernels
        server.process.send_signal(signum)
        assert server.process.wait(DEADLINE) == 0
    assert "Traceback" not in (tmp_path / "server.log").read_text()
    assert not list((tmp_path / "runtime").glob("*.json")), "nobody finds it any more"


def test_service_that_has_nothing_to_leave_behind_leaves_nothing(tmp_path):
    runtime = tmp_path / "sockets"
    runtime.mkdir(mode=0o700)
    with serve(tmp_path / "server", "--OetApp.detach=True", XDG_RUNTIME_DIR=str(runtime)):
        assert list(runtime.iterdir())
    assert not list(runtime.iterdir())


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signal_that_another_thread_gets_ends_the_service_too(tmp_path, signum):
    with serve(tmp_path, "--warm-kernels=0", "--OetApp.fork=False") as server:
        pid = server.process.pid
        assert server.http.get("/procedures").status_code == 200  # it is up, and has nothing to do any more
        other = next(thread for thread in threads_of(pid) if thread != pid and not blocks(pid, thread, signum))
        assert ctypes.CDLL(None).tgkill(pid, other, signum) == 0
        assert server.process.wait(DEADLINE) == 0


# --- who may use it


def test_it_listens_on_the_loopback_interface_and_makes_a_token_unless_told_otherwise(tmp_path):
    with serve(tmp_path, token=None) as server:
        assert httpx.URL(server.url).host == "localhost"
        assert server.http.get("/procedures").status_code == 403
        (found,) = (tmp_path / "runtime").glob("*.json")
        token = httpx.Response(200, content=found.read_bytes()).json()["token"]
        assert len(token) >= 32
        assert server.http.get("/procedures", headers={"Authorization": f"token {token}"}).status_code == 200


ROUTES = [
    ("GET", "/procedures"), ("POST", "/procedures"), ("GET", "/procedures/1"), ("PUT", "/procedures/1"),
    ("GET", "/activities"), ("POST", "/activities"), ("GET", "/activities/1"),
    ("GET", "/stream"), ("GET", "/openapi.json"), ("GET", "/asyncapi.json"), ("GET", "/nowhere"),
    ("DELETE", "/procedures"),
]  # fmt: skip


@pytest.mark.parametrize("root", ["/api/v1.0", "/api/v1", "/oet/api/v1.0", "/oet/api/v1"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_wants_the_token(server, root, method, path):
    url = str(httpx.URL(server.url).join(root + path))
    reply = httpx.request(method, url, json={} if method in ("POST", "PUT") else None)
    assert reply.status_code == 403
    assert reply.json()["error"] == "403 Forbidden"
    assert reply.json()["type"] == "Forbidden"
    assert "Authorization: token" in reply.json()["Message"]


def test_health_is_told_to_monitors_without_a_token(server):
    reply = httpx.get(f"{server.url}/health")
    assert (reply.status_code, reply.json()["status"]) == (200, "ok")


@pytest.mark.parametrize("header", [f"token {TOKEN}", f"Token {TOKEN}", f"Bearer {TOKEN}", f"bearer {TOKEN}"])
def test_token_is_taken_in_every_form_of_the_header(server, header):
    assert httpx.get(f"{server.url}/procedures", headers={"Authorization": header}).status_code == 200


def test_token_is_taken_from_the_address_for_what_can_send_no_header(server):
    assert httpx.get(f"{server.url}/procedures", params={"token": TOKEN}).status_code == 200
    with httpx.stream("GET", f"{server.url}/stream", params={"token": TOKEN}) as stream:
        assert stream.status_code == 200


ANTI_FORGERY = "0123456789abcdef0123456789abcdef"


def log_in(server, browser, password=TOKEN, **fields):
    """Send the login form as a browser does."""
    url = httpx.URL(server.url).join("/login")
    form = {"password": password, "_xsrf": ANTI_FORGERY, **fields}
    browser.cookies.set("_xsrf", ANTI_FORGERY)
    reply = browser.post(url, data=form)
    assert reply.status_code == (302 if password == TOKEN else 401)
    return reply


CREATE = {"script": {"script_type": "filesystem", "script_uri": "file:///nowhere.py"}}


def test_browser_that_is_logged_in_cannot_be_made_to_post_by_another_site(server):
    """A request that only a cookie vouches for must carry the anti-forgery token too, and come from the same site."""
    with httpx.Client() as browser:
        log_in(server, browser)
        assert browser.get(f"{server.url}/procedures").status_code == 200
        for headers, says in (({}, "_xsrf"), ({"Origin": "http://attacker.example"}, "http://attacker.example")):
            reply = browser.post(f"{server.url}/procedures", json=CREATE, headers=headers)
            assert reply.status_code == 403
            assert reply.json()["type"] == "Forbidden"
            assert says in reply.json()["Message"]


def test_program_with_a_token_needs_no_anti_forgery_token_whatever_its_origin_says(server):
    headers = {"Authorization": f"token {TOKEN}", "Origin": "http://dashboard.example"}
    reply = httpx.post(f"{server.url}/procedures", json=CREATE, headers=headers)
    assert reply.status_code == 201
