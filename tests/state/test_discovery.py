"""Clients find the services of their user that run, and no others."""

import json
import os
import stat
import subprocess

import msgspec
import pytest

from oet_kernel.state import discovery
from oet_kernel.system.process_identity import start_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OET_RUNTIME_DIR", str(tmp_path / "services"))
    return tmp_path / "services"


def test_service_that_runs_is_found_until_it_withdraws(folder):
    path = discovery.announce("http://127.0.0.1:5000/api/v1.0", "secret", "/state")
    (found,) = discovery.find()
    assert (found.pid, found.url, found.token) == (os.getpid(), "http://127.0.0.1:5000/api/v1.0", "secret")
    discovery.withdraw(path)
    assert discovery.find() == []
    discovery.withdraw(path)


def test_token_is_for_the_user_alone(folder):
    path = discovery.announce("http://x", "secret", "/state")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("change", [{"pid": 2**22 + 1}, {"started": 1}])
def test_service_that_is_gone_is_not_found_and_its_file_removed(folder, change):
    path = discovery.announce("http://x", None, "/state")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert discovery.find() == []
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}'])
def test_file_that_is_no_announcement_is_passed_over(folder, text):
    discovery.announce("http://x", None, "/state")
    (folder / "other.json").write_text(text)
    assert len(discovery.find()) == 1


def test_newest_service_comes_first(folder):
    path = discovery.announce("http://new", None, "/state")
    new = msgspec.json.decode(path.read_bytes(), type=discovery.Service)
    with subprocess.Popen(["sleep", "60"]) as other:
        changed = {"pid": other.pid, "started": start_of(other.pid), "url": "http://newer"}
        newer = msgspec.structs.replace(new, **changed)
        (folder / f"{other.pid}.json").write_bytes(msgspec.json.encode(newer))
        assert [service.url for service in discovery.find()] == ["http://newer", "http://new"]
        other.kill()


def test_without_services_nothing_is_found(folder):
    assert discovery.find() == []
