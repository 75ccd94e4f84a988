"""A service takes up what one of an older version has left at work: kernels outlive an upgrade."""

import contextlib
import os
import sqlite3
import zipfile
from pathlib import Path

import pytest

from oet_kernel.state.layout import DATABASE
from oet_kernel.store import tables
from tests.conftest import launch, serve

WHEEL = Path(__file__).parents[1] / "recorded" / "oet_kernel-0.1.0.dev0-py3-none-any.whl"
"""Version 0.1.0 as it was before its kernels told which version they speak."""
SCRIPT = """
from oet_kernel.api import checkpoint
def main(gate):
    print("begun", flush=True)
    for n in range(2):
        with open(gate) as opened:
            opened.read()
        checkpoint(f"scan {n}")
    print("done")
    return 5
"""


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    folder = tmp_path_factory.mktemp("older")
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(folder)
    return folder


@contextlib.contextmanager
def left_at_work(tmp_path, older, fork):
    """Procedures in the midst of `main`, whose service of the older version has ended; and the next service."""
    options = (f"--OetApp.fork={fork}", "--OetApp.detach=True")
    first = launch(tmp_path, *options, module="oet_kernel.serve", PYTHONPATH=str(older))
    try:
        assert (older / "oet_kernel" / "serve.py").exists()
        gates = [tmp_path / f"gate{n}" for n in range(2)]
        pids = []
        for subarray, gate in enumerate(gates, 1):
            os.mkfifo(gate)
            pid = first.create(
                SCRIPT.replace("def main(", "def init(subarray_id): pass\ndef main("), subarray_id=subarray
            )
            first.until(pid, "READY")
            main = {"args": [str(gate)]}
            started = first.http.put(f"/procedures/{pid}", json={"state": "RUNNING", "script_args": {"main": main}})
            assert started.status_code == 200, started.text
            with first.http.stream("GET", f"/stream?after=0&topic=procedure.output&procedure={pid}") as told:
                assert any("begun" in line for line in told.iter_lines())
            pids.append(pid)
        identities = [one.read_text() for one in (tmp_path / "state" / "kernels").glob("*/process.json")]
        assert identities
        assert not any("protocol" in one for one in identities), "they are of the older version"
        assert revision(tmp_path) == "0001"
    finally:
        first.end()
    with serve(tmp_path, f"--OetApp.fork={fork}") as second:
        assert revision(tmp_path) == tables.REVISION
        yield second, pids, gates


@pytest.mark.parametrize("fork", [True, False], ids=["forked", "plain"])
def test_procedures_of_an_older_version_go_on_are_commanded_and_stopped(tmp_path, older, fork):
    with left_at_work(tmp_path, older, fork) as (service, (first, second), (gate, _)):
        found = {one["id"]: one["state"] for one in service.http.get("/procedures").json()["procedures"]}
        assert found == {first: "RUNNING", second: "RUNNING"}

        paused = service.http.post(f"/procedures/{first}/pause")
        assert paused.status_code == 200, paused.text
        taken = service.http.put(f"/procedures/{first}/kernel", json={"control": True})
        assert taken.status_code == 200, taken.text
        gate.write_text("go")
        with service.http.stream("GET", f"/stream?after=0&topic=procedure.lifecycle.paused&procedure={first}") as told:
            assert any("scan 0" in line for line in told.iter_lines())
        assert service.http.post(f"/procedures/{first}/resume").status_code == 200
        gate.write_text("go")
        ended = service.until(first, "COMPLETE")
        assert (ended["state"], ended["returned"]["value"]) == ("COMPLETE", 5)
        output = [one["data"]["text"] for one in events(service, first) if one["topic"] == "procedure.output.stream"]
        assert "".join(output) == "begun\ndone\n", "nothing is lost, and nothing told twice"

        stopped = service.http.put(f"/procedures/{second}", json={"state": "STOPPED", "abort": False})
        assert stopped.status_code == 200, stopped.text
        assert service.until(second)["state"] == "STOPPED"
        fresh = service.create("def main(): pass\n")
        assert service.until(fresh, "READY")["state"] == "READY"


def revision(folder):
    """Schema of the database."""
    with contextlib.closing(sqlite3.connect(folder / "state" / DATABASE)) as database:
        return database.execute("SELECT version_num FROM alembic_version").fetchone()[0]


def events(service, pid):
    return service.http.get(f"/procedures/{pid}/events").json()["events"]
