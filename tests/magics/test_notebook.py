"""In a real kernel: what cells show changes while others run, and an interrupt ends a wait."""

import asyncio

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.magics.conftest import FOREVER

UNTIL_A_FILE = """
import time
from pathlib import Path
from oet_kernel.api import publish

def init(subarray_id, folder):
    global place
    place = Path(folder)

def main():
    publish("user.script.announce", msg="waiting")
    while not (place / "go").exists():
        time.sleep(0.02)
    print("gone")
"""


class Kernel:
    """A notebook whose cells are run one by one."""

    def __init__(self, client):
        self.client = client

    async def __call__(self, source):
        """Run a cell."""
        cells = self.client.nb.cells
        cells.append(nbformat.v4.new_code_cell(source))
        return await self.client.async_execute_cell(cells[-1], len(cells) - 1)


def text(cell):
    """Join what a cell shows."""
    return "\n".join(one.get("text") or one["data"]["text/plain"] for one in cell.outputs)


@pytest.fixture
async def kernel(server, tmp_path, monkeypatch):
    monkeypatch.setenv("OET_URL", server.url)
    monkeypatch.setenv("OET_TOKEN", server.token)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    client = NotebookClient(nbformat.v4.new_notebook(), timeout=60, resources={"metadata": {"path": str(tmp_path)}})
    async with client.async_setup_kernel():
        made = Kernel(client)
        await made("%load_ext oet_kernel")
        yield made


@pytest.mark.anyio
async def test_a_cell_is_not_blocked_and_what_it_shows_changes_in_place(kernel, tmp_path):
    (tmp_path / "until.py").write_text(UNTIL_A_FILE)
    first = await kernel(f"run = %oet run until.py --subarray_id=8001 --folder={tmp_path}")
    assert "is COMPLETE" not in text(first)
    (shown,) = first.outputs
    free = await kernel(f"running = not run.state.inactive\nopen('{tmp_path}/go', 'w').close()\nrunning")
    assert text(free) == "True", "this cell ran while the procedure did"
    ended = await kernel("(await run).state.name")
    assert text(ended) == "'COMPLETE'"
    assert first.outputs == [shown], "the same output, not one more"
    assert "is COMPLETE" in text(first)
    assert "Script message: waiting" in text(first)
    assert "gone" in first.outputs[0]["data"]["text/html"]


@pytest.mark.anyio
async def test_a_procedure_is_heard_while_a_cell_keeps_the_kernel_busy(kernel, tmp_path):
    (tmp_path / "go").touch()
    (tmp_path / "until.py").write_text(UNTIL_A_FILE)
    first = await kernel(f"run = %oet run until.py --subarray_id=8002 --folder={tmp_path}")
    await kernel("run.wait(30)")
    assert "is COMPLETE" in text(first)


@pytest.mark.anyio
async def test_an_interrupt_of_a_wait_stops_the_procedure_and_fails_the_cell(kernel, tmp_path, server):
    (tmp_path / "forever.py").write_text(FOREVER)
    listening = asyncio.create_task(asyncio.to_thread(until_running, server, 8003))
    waiting = asyncio.create_task(kernel("%oet run forever.py --wait --subarray_id=8003"))
    pid = await asyncio.wait_for(listening, 30)
    await kernel.client.km.interrupt_kernel()
    with pytest.raises(CellExecutionError, match="interrupted; it is STOPPED"):
        await asyncio.wait_for(waiting, 30)
    assert server.until(pid)["state"] == "STOPPED"


def until_running(server, subarray):
    """Wait until a procedure runs main on a subarray; gives its id."""
    from oet_kernel.client import Client

    with Client(server.url, server.token) as client, client.events(("procedure.lifecycle.started",)) as events:
        for event in events:
            calls = event.fields["result"]["script_args"]
            if "main" in calls and calls["init"]["kwargs"]["subarray_id"] == subarray:
                return event.fields["result"]["id"]
    raise AssertionError("it never ran")
