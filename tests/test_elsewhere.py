"""Windows and macOS: the client half works against a service on another machine, and what needs Linux says so."""

import json
import os
import subprocess
import sys

import pytest

from oet_kernel.cli.embedded import embedded_service
from oet_kernel.client import Client, ClientError
from oet_kernel.server.entry import main as serve_main
from oet_kernel.state import discovery
from tests.conftest import serve
from tests.elsewhere import SURFACES

SYSTEMS = ["win32", "darwin"]


@pytest.fixture(params=SYSTEMS)
def elsewhere(request, monkeypatch):
    monkeypatch.setattr(sys, "platform", request.param)
    monkeypatch.delattr("os.uname")
    monkeypatch.delattr("os.getuid")
    monkeypatch.setenv("USERNAME", "ann")


@pytest.mark.usefixtures("elsewhere")
def test_no_service_is_looked_for_where_none_can_run():
    assert discovery.find() == []
    with Client("http://127.0.0.1:9/api/v1.0") as client:
        assert client.address.token is None


@pytest.mark.usefixtures("elsewhere")
def test_service_says_that_it_needs_linux(capsys):
    with pytest.raises(SystemExit) as end:
        serve_main(["--port=0"])
    assert end.value.code == 1
    assert "needs Linux" in capsys.readouterr().err
    with pytest.raises(ClientError, match="needs Linux"), embedded_service():
        pass


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    """A service, as it is on a machine of its own: with scheduling blocks, and found by its address alone."""
    folder = tmp_path_factory.mktemp("remote")
    (folder / "archive").mkdir()
    (folder / "observe.py").write_text("def init(**kwargs): pass\ndef main(**kwargs): print('was here')\n")
    block = {"sbd_id": "sbd-1", "activities": {"observe": {"kind": "filesystem", "path": str(folder / "observe.py")}}}
    (folder / "archive" / "sbd-1.json").write_text(json.dumps(block))
    with serve(folder, f"--archive={folder / 'archive'}", "--OetApp.exclusive=False") as made:
        yield made


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("surface", SURFACES)
def test_client_half_works_against_a_service_elsewhere(remote, tmp_path, system, surface):
    env = {**os.environ, "OET_URL": remote.url, "OET_TOKEN": remote.token, "XDG_STATE_HOME": str(tmp_path)}
    argv = [sys.executable, "-m", "tests.elsewhere", system, surface, str(tmp_path)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
