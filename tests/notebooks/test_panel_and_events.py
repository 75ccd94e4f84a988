"""The notebooks of the panel and of the event stream do, from top to bottom, what they say."""

import json

import nbformat
import pytest

from tests.notebooks.conftest import NOTEBOOKS

LOOK = """
import asyncio, json

async def until(widget, name, holds):
    held = asyncio.Event()
    widget.observe(lambda change: holds(change.new) and held.set(), name)
    if not holds(getattr(widget, name)):
        await asyncio.wait_for(held.wait(), 30)

await until(panel.details.about, "value", lambda html: "READY" in html)
await until(panel.create.script, "options", lambda options: len(options) > 1)
rows = [row.about.value for row in panel.procedures.rows.values()]
print(json.dumps([panel.connection.value, rows, [name for name, _ in panel.create.script.options]]))
"""
"""What a person would wait for, and see; nbclient does not show what changes after a cell has ended."""


@pytest.mark.parametrize("name", ["control-panel.ipynb", "events.ipynb"])
def test_it_is_valid_and_stored_without_outputs(name):
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    nbformat.validate(notebook)
    assert all(not one.outputs and one.execution_count is None for one in notebook.cells if one.cell_type == "code")


def test_the_panel_shows_the_procedure_that_another_cell_has_made(execute):
    cells = execute("control-panel.ipynb", LOOK)
    (shown,) = next(cell for cell in cells if "ControlPanel()" in cell.source).outputs
    assert "application/vnd.jupyter.widget-view+json" in shown["data"]
    connection, (row,), scripts = json.loads(cells[-1].outputs[0]["text"])
    assert "connected" in connection
    assert "http://" in connection
    assert "observe.py · subarray 2" in row
    assert {"observe.py", "calibrate.py", "hello.py"} <= set(scripts)


def test_the_plot_has_all_points_of_the_scan_and_its_picture_is_updated_in_place(execute):
    cells = execute("events.ipynb")
    (picture,) = next(cell for cell in cells if "picture.update" in cell.source).outputs
    assert "image/png" in picture["data"]
    *_, last = cells
    assert "".join(one["text"] for one in last.outputs) == "41 points; the beam is 30 arcsec wide\n"
