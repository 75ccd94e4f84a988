"""What main returns is told wherever a procedure is."""

import asyncio
import itertools
import subprocess
import sys
import threading

import pytest

from oet_kernel.client import AsyncClient, Client
from oet_kernel.models import Returned
from oet_kernel.topics import SCRIPT_RETURNED
from tests.conftest import DEADLINE, launch
from tests.ipynb import notebook
from tests.parity.both import events_of

TEXT = "def init(subarray_id=None): return 'not this'\ndef main(): return {'scans': [1, 2], 'seeing': 0.8}\n"
VALUE = {"type": "dict", "value": {"scans": [1, 2], "seeing": 0.8}, "text": None}
subarrays = itertools.count(9100)


def run(server, text=TEXT):
    pid = server.create(text, subarray_id=next(subarrays))
    assert server.until(pid, "READY")["returned"] is None
    server.http.put(f"/procedures/{pid}", json={"state": "RUNNING"}).raise_for_status()
    return pid, server.until(pid)


def test_service_tells_it_in_summary_events_archive_and_record(server):
    pid, summary = run(server)
    assert summary["returned"] == VALUE
    events = [event["data"] for event in events_of(server, pid)]
    told = next(at for at, one in enumerate(events) if one["topic"] == SCRIPT_RETURNED)
    assert {name: events[told][name] for name in VALUE} == VALUE
    assert events[told]["msg_src"] == str(pid)
    ended = next(at for at, one in enumerate(events) if one.get("new_state") == "COMPLETE")
    assert told < ended
    complete = next(one for one in events if one["topic"] == "procedure.lifecycle.complete")
    assert complete["result"]["returned"] == VALUE
    archived = server.http.get("/archive").json()["procedures"]
    assert next(one for one in archived if one["id"] == pid)["returned"] == VALUE
    record = server.http.get(f"/procedures/{pid}/record").json()
    assert record["metadata"]["oet"]["procedure"]["returned"] == VALUE
    (main,) = [cell for cell in record["cells"] if cell["id"] == "main"]
    assert main["outputs"][-1]["data"] == {"text/plain": '{"scans":[1,2],"seeing":0.8}'}


@pytest.mark.parametrize(
    ("text", "returned"),
    [
        ("def main(): pass", None),
        ("def main(): raise ValueError", None),
        ("def main(): return object", {"type": "type", "value": None, "text": "<class 'object'>"}),
        ("async def main(): return 5", {"type": "int", "value": 5, "text": None}),
        ("def main(): return ''", {"type": "str", "value": "", "text": None}),
    ],
)
def test_summary_says_what_kind_it_is(server, text, returned):
    assert run(server, text)[1]["returned"] == returned


def test_clients_tell_it(server):
    pid, _ = run(server)
    with Client(server.url, server.token) as client:
        assert client.procedure(pid).returned == Returned(**VALUE)
        assert next(client.archive(limit=1)).returned == Returned(**VALUE)

    async def ask():
        async with AsyncClient(server.url, server.token) as client:
            return (await client.procedure(pid)).returned

    assert asyncio.run(ask()) == Returned(**VALUE)


def test_oet_tells_it(server, tmp_path):
    path = tmp_path / "script.py"
    path.write_text(TEXT)
    oet = [sys.executable, "-m", "oet_kernel.cli"]
    options = ["--server-url", server.url, "--token", server.token]
    argv = [*oet, "run", *options, str(path), f"--subarray_id={next(subarrays)}"]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE, check=True)
    line = next(line for line in ran.stdout.splitlines() if "returned" in line)
    assert line.endswith(' returned {"scans":[1,2],"seeing":0.8}')
    pid = line.split()[2]
    argv = [*oet, "describe", *options, "--pid", pid]
    described = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE, check=True).stdout
    assert 'Returned (dict): {"scans":[1,2],"seeing":0.8}' in described


def test_next_service_tells_it(tmp_path):
    first = launch(tmp_path)
    try:
        pid, summary = run(first)
    finally:
        first.end()
    second = launch(tmp_path)
    try:
        assert second.http.get(f"/procedures/{pid}").json()["procedure"]["returned"] == summary["returned"] == VALUE
    finally:
        second.end()


def test_service_that_adopts_the_kernel_tells_it(tmp_path):
    text = "import time, pathlib\nGO = pathlib.Path(__file__).with_suffix('.go')\nimport os\nos.mkfifo(GO)\n"
    text += "def main():\n    open(GO).read()\n    return 5\n"
    first = launch(tmp_path, "--OetApp.detach=True")
    try:
        pid = first.create(text)
        assert first.until(pid, "READY")["state"] == "READY"
        first.http.put(f"/procedures/{pid}", json={"state": "RUNNING"}).raise_for_status()
        first.until(pid, "RUNNING")
    finally:
        first.end()
    (gate,) = tmp_path.glob("*.go")
    threading.Thread(target=gate.write_text, args=("",), daemon=True).start()
    second = launch(tmp_path)
    try:
        assert second.until(pid)["returned"] == {"type": "int", "value": 5, "text": None}
    finally:
        second.end()


def test_notebook_that_defines_main_returns_it_and_one_that_runs_by_cell_nothing(server):
    for cells, returned in (
        ([("", "def main(): return 5")], {"type": "int", "value": 5, "text": None}),
        ([("", "5")], None),
    ):
        path = server.folder / f"book-{next(subarrays)}.ipynb"
        path.write_text(notebook(*cells))
        body = {"script": {"script_type": "filesystem", "script_uri": path.as_uri()}}
        pid = server.http.post("/procedures", json=body).json()["procedure"]["id"]
        server.until(pid, "READY")
        server.http.put(f"/procedures/{pid}", json={"state": "RUNNING"}).raise_for_status()
        assert server.until(pid)["returned"] == returned
