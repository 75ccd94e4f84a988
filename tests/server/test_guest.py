"""In another Jupyter server: the extension takes nothing before it is asked, and harms nobody when it cannot work."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from oet_kernel.state import discovery
from tests.conftest import DEADLINE, serve

BIN = Path(sys.executable).parent


class Host:
    """A plain Jupyter server, which finds the extension by itself."""

    def __init__(self, process, log):
        self.process = process
        self._log = log
        line = self.until("http://127.0.0.1:")
        self.url = "http://127.0.0.1:" + line.split("http://127.0.0.1:")[1].split("/")[0]
        self.root = f"{self.url}/oet/api/v1.0"
        # Jupyter tells where it runs before it listens there
        patient = httpx.HTTPTransport(retries=6)
        self.http = httpx.Client(headers={"Authorization": "token t"}, timeout=DEADLINE, transport=patient)

    def until(self, text):
        for line in self.process.stderr:
            self._log.append(line)
            if text in line:
                return line
        raise AssertionError("".join(self._log))

    def ends(self):
        """Wait for its end; what it has logged."""
        _, rest = self.process.communicate(timeout=DEADLINE)
        return "".join(self._log) + rest

    def create(self, folder):
        script = folder / "script.py"
        script.write_text("def main(): pass\n")
        body = {"script": {"script_type": "filesystem", "script_uri": script.as_uri()}}
        return self.http.post(f"{self.root}/procedures", json=body)


@contextmanager
def host(folder, *options, **environment):
    env = {
        **os.environ, "OET_STATE_DIR": str(folder / "state"), "OET_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_RUNTIME_DIR": str(folder / "jupyter"), **environment,
    }  # fmt: skip
    argv = [
        BIN / "jupyter", "server", "--port=0", "--no-browser", "--allow-root", "--IdentityProvider.token=t",
        f"--ServerApp.root_dir={folder}", "--OetApp.detach=False", *options,
    ]  # fmt: skip
    process = subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    try:
        yield Host(process, [])
    finally:
        process.terminate()  # so that it takes its fork server with it
        try:
            process.communicate(timeout=DEADLINE)
        finally:
            process.kill()


@pytest.fixture
def found(tmp_path, monkeypatch):
    """Give the services that a command finds."""
    monkeypatch.setenv("OET_RUNTIME_DIR", str(tmp_path / "runtime"))
    return discovery.find


def test_state_folder_is_taken_when_procedures_are_asked_for_and_not_before(tmp_path, found):
    with host(tmp_path) as one:
        assert one.http.get(f"{one.url}/api/status").status_code == 200
        assert httpx.get(f"{one.root}/procedures").status_code == 403, "a stranger makes nothing"
        assert one.http.get(f"{one.root}/health").json()["status"] == "ok"
        assert one.http.get(f"{one.root}/openapi.json").status_code == 200
        assert not (tmp_path / "state").exists()
        assert [service.serves for service in found()] == [False]
        assert one.create(tmp_path).status_code == 201
        assert (tmp_path / "state" / "lock").exists()
        (service,) = found()
        assert (service.serves, httpx.URL(service.url).port) == (True, httpx.URL(one.root).port)
        one.process.terminate()
        assert "Traceback" not in one.ends()
    assert found() == []


def test_state_folder_is_taken_at_the_start_where_that_is_wanted(tmp_path, found):
    with host(tmp_path, "--OetApp.open_at_start=True", "--log-level=DEBUG") as one:
        one.until("oet_kernel | extension was successfully started")
        assert (tmp_path / "state" / "lock").exists()
        assert [service.serves for service in found()] == [True]


def test_beside_another_service_it_says_where_that_is_and_takes_over_when_that_has_ended(tmp_path, found):
    with host(tmp_path) as one:
        with serve(tmp_path) as other:
            reply = one.create(tmp_path)
            assert (reply.status_code, reply.json()["type"]) == (503, "StateFolderInUse")
            assert f"process id {other.process.pid} at {other.url}; use that service" in reply.json()["Message"]
            assert found()[0].url == other.url, "commands go to the one that serves, not to the newest"
        assert one.create(tmp_path).status_code == 201


ENDS = {
    "SIGTERM": lambda one: one.process.terminate(),
    "Ctrl-C": lambda one: one.process.send_signal(signal.SIGINT),
    "File > Shut Down": lambda one: one.http.post(f"{one.url}/api/shutdown"),
}


@pytest.mark.parametrize("end", ENDS)
def test_host_whose_guest_was_refused_ends_as_any_other(tmp_path, server, end):
    options = ("--OetApp.open_at_start=True", f"--OetApp.state_dir={server.folder / 'state'}")
    with host(tmp_path, *options) as one:
        line = one.until("This server cannot run procedures at present")
        assert server.url in line or f"process id {server.process.pid}" in line
        # a signal amid a line of its log is lost in any Jupyter server: its handler logs, too
        assert one.http.get(f"{one.url}/api/status").status_code == 200
        ENDS[end](one)
        assert "Traceback" not in one.ends()
        assert one.process.returncode == 0


WRONG = {
    "a state folder that is a file": ("--OetApp.state_dir={folder}/file",),
    "a folder of scripts that is not there": ("--OetApp.scripts_roots=['/nowhere']",),
    "an abort script that is not there": ("--OetApp.abort_script=/nowhere.py",),
    "no place to be found at": (),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_host_is_well_whatever_is_wrong_with_its_guest(tmp_path, wrong):
    (tmp_path / "file").touch()
    environment = {"OET_RUNTIME_DIR": str(tmp_path / "file" / "runtime")} if wrong == "no place to be found at" else {}
    options = [option.format(folder=tmp_path) for option in WRONG[wrong]]
    with host(tmp_path, *options, **environment) as one:
        reply = one.create(tmp_path)
        if environment:
            assert reply.status_code == 201
        else:
            assert reply.status_code >= 500
            assert "Message" in reply.json()
        assert one.http.get(f"{one.url}/api/status").status_code == 200
        one.process.terminate()
        log = one.ends()
        assert one.process.returncode == 0
        assert "Traceback" not in log
