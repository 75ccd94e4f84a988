"""The record of a notebook holds what nbclient would have written into it, whatever the notebook shows."""

import json
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

from tests.conftest import Server
from tests.ipynb import execute, notebook

pytestmark = pytest.mark.timeout(300)
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WIDGETS = "import ipywidgets\nfrom IPython.display import display\n"


def executed(text: str) -> Any:
    """Run a notebook by nbclient; a cell that fails ends it."""
    book = nbformat.reads(text, as_version=4)
    with tempfile.TemporaryDirectory() as folder, suppress(nbclient.exceptions.CellExecutionError):
        execute(book, folder, timeout=120)
    return CoalesceStreamsPreprocessor().preprocess(book, {})[0]


def recorded(server: Server, folder: Path, text: str) -> Any:
    """Run a notebook as a procedure, and return its record."""
    path = folder / "book.ipynb"
    path.write_text(text)
    body = {"script": {"script_type": "filesystem", "script_uri": path.as_uri()}}
    pid = int(server.http.post("/procedures", json=body).json()["procedure"]["id"])
    if server.until(pid, "READY")["state"] == "READY":
        server.http.put(f"/procedures/{pid}", json={"state": "RUNNING"}).raise_for_status()
        server.until(pid)
    page = server.http.get(f"/procedures/{pid}/record", params={"format": "html"})
    assert page.status_code == 200, page.text
    record = nbformat.reads(server.http.get(f"/procedures/{pid}/record").text, as_version=nbformat.NO_CONVERT)
    nbformat.validate(record)
    return record


def shown(book: Any) -> list[Any]:
    """Return what the code cells of a notebook show, and the widgets, without ids, addresses, colours and times."""
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    found = [[cell.source, cell.execution_count, [without_trace(one) for one in cell.outputs]] for cell in cells]
    text = json.dumps([found, book.metadata.get("widgets")], sort_keys=True)
    text = re.sub(r"\\u001b\[[0-9;]*m|0x[0-9a-f]{6,}|\d\d:\d\d", "", text)
    ids: dict[str, str] = {}
    # widgets by their first mention in the cells, which have an order
    text = re.sub(r"[0-9a-f]{32}", lambda match: ids.setdefault(match[0], f"id-{len(ids)}"), text)
    cells, widgets = json.loads(text)
    return [cells, sorted(map(json.dumps, unnamed(widgets)))]


def unnamed(widgets: Any) -> list[Any]:
    """Return the states of widgets without ids."""
    states = next(iter(widgets.values()))["state"].values() if widgets else ()
    return [json.loads(re.sub(r"id-\d+", "id", json.dumps(state))) for state in states]


def without_trace(output: Any) -> Any:
    """Return an output without the frames of its traceback, whose form is Jupyter's there and Python's here."""
    return {name: value for name, value in output.items() if name != "traceback"}


BOOKS = {
    "streams": ["import sys\nprint('a', flush=True)\nprint('b', file=sys.stderr, flush=True)\nprint('c')"],
    "results and displays": ["1 + 1", "display(3)\n4", "'semicolon';", "None", "print('x')\n5"],
    "rich displays": [
        f"import base64\nfrom IPython.display import Image\nImage(base64.b64decode('{PNG}'))",
        "from IPython.display import *\nHTML('<b>x</b>')", "Latex('$x$')", "JSON({'a': [1, None]})", "SVG('<svg/>')",
        "display({'application/vnd.x+json': {'a': 1}, 'text/plain': 't'}, raw=True, metadata={'m': {'w': 1}})",
        "display(Markdown('# t'), Math('x'), Javascript('1'))",
    ],
    "displays that are updated": [
        "h = display('old', display_id=True)", "h.update('new')\nh", "display('again', display_id='x')",
        "display('instead', display_id='x')", "update_display('last', display_id='x')",
    ],
    "output that is cleared": [
        "from IPython.display import clear_output\nprint('a')\nclear_output()\nprint('b')",
        "print('a')\nclear_output(wait=True)", "display('a')\nclear_output(wait=True)\nprint('b')",
    ],
    "lines that rewrite themselves": [
        "for i in range(5):\n    print(f'\\r{i}/5', end='', flush=True)\nprint()",
        "import sys\nfor i in range(5):\n    sys.stderr.write(f'\\r{i} {\"#\" * i}')\n    sys.stderr.flush()",
        "print('50%\\r100%\\r\\nnext')",
    ],
    "an error": ["print('before')", "1 / 0", "print('after')"],
    "widgets": [
        WIDGETS + "s = ipywidgets.IntSlider(value=3)\ndisplay(s)", "s.value = 7\ns",
        "ipywidgets.HBox([ipywidgets.Label('a'), ipywidgets.Text('é')])",
    ],
    "widgets with binary values": [
        WIDGETS + f"import base64\ni = ipywidgets.Image(value=base64.b64decode('{PNG}'))\ni", "i.value = b'abc'",
    ],
    "bars of widgets": [
        "from tqdm.notebook import tqdm\nfor i in tqdm(range(3), bar_format='{l_bar}{bar}'):\n    pass",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", BOOKS)
def test_record_is_the_notebook_as_nbclient_executes_it(side, tmp_path, name):
    text = notebook(*(("", source) for source in BOOKS[name]))
    seen, expected = shown(recorded(side, tmp_path, text)), shown(executed(text))
    assert seen[0] == expected[0]
    assert seen[1] == expected[1]
