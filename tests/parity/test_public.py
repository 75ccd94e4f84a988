"""Scripts and notebooks that others have published do as procedures what they do under Python and in Jupyter.

They were written by many hands for a plain interpreter or a notebook server, and none for this project.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

from tests.conftest import DEADLINE, Server, serve
from tests.ipynb import execute
from tests.parity import both, published

pytestmark = pytest.mark.timeout(900)  # the first fetches its packages
SCRIPTS = published.scripts()
NOTEBOOKS = published.notebooks()


@pytest.fixture(scope="session")
def fetched(shared: Path) -> Path:
    """A folder with what the scripts import."""
    try:
        published.libraries(shared)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no package index answers: {error}")
    return shared


@pytest.fixture(scope="session")
def server(fetched: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose scripts find their packages."""
    with serve(
        tmp_path_factory.mktemp("public"),
        "--OetApp.exclusive=False",
        PYTHONPATH=str(published.libraries(fetched)),
        PYTHONHASHSEED="0",
    ) as made:
        yield made


@pytest.mark.parametrize("name", SCRIPTS)
def test_published_script_does_what_it_does_under_python(server, fetched, tmp_path, name):
    one = SCRIPTS[name]
    argv = one.get("argv", [])
    path = published.source(fetched, one["package"], one["version"]) / one["path"]
    plain, here = (shutil.copytree(path.parent, tmp_path / kind) / path.name for kind in ("plain", "here"))
    before = both.names(plain.parent)
    done = subprocess.run(
        [sys.executable, path.name, *argv],
        cwd=plain.parent,
        env={**os.environ, "PYTHONPATH": str(published.libraries(fetched)), "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=DEADLINE,
    )
    procedure = run(server, here, before, {"args": argv})
    assert procedure.ran.succeeded == (done.returncode == 0), procedure.stacktrace
    assert procedure.ran.stdout.replace(str(here.parent), "") == done.stdout.replace(str(plain.parent), "")
    assert procedure.ran.files == both.written(plain.parent, before)


def run(server: Server, path: Path, before: frozenset[str], main: dict[str, Any]) -> both.Procedure:
    """Run a file as a procedure, in the folder that it is in."""
    script = {"script_type": "filesystem", "script_uri": path.as_uri(), "own_folder": True}
    reply = server.http.post("/procedures", json={"script": script})
    assert reply.status_code == 201, reply.text
    pid = int(reply.json()["procedure"]["id"])
    summary = server.until(pid, "READY")
    if summary["state"] == "READY":
        body = {"state": "RUNNING", "script_args": {"main": main}}
        assert server.http.put(f"/procedures/{pid}", json=body).status_code == 200
        summary = server.until(pid)
    return both.ended(server, pid, summary, path.parent, before)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_published_notebook_does_what_it_does_in_jupyter(server, fetched, tmp_path, monkeypatch, name):
    package, version, file = NOTEBOOKS[name]
    path = published.source(fetched, package, version) / file
    # with what lies beside it, which it may show
    here = shutil.copytree(path.parent, tmp_path / "here") / path.name
    notebook = nbformat.read(path, 4)
    monkeypatch.setenv("PYTHONPATH", str(published.libraries(fetched)))
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    try:
        execute(notebook, path.parent, timeout=DEADLINE, kernel_name="python3")
        succeeded = True
    except nbclient.exceptions.CellExecutionError:
        succeeded = False
    procedure = run(server, here, both.names(here.parent), {})
    assert procedure.ran.succeeded == succeeded, procedure.stacktrace
    record = nbformat.reads(server.http.get(f"/procedures/{procedure.id}/record").text, 4)
    nbformat.validate(record)
    notebook = CoalesceStreamsPreprocessor().preprocess(notebook, {})[0]
    ran = [cell for cell in record.cells if cell.cell_type == "code"]
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()):
        # the record has cells of its own besides; what was not reached has no outputs in either
        twin = ran.pop(next(number for number, other in enumerate(ran) if other.source == cell.source))
        seen, expected = shown(twin.outputs), shown(cell.outputs)
        if seen != expected and not succeeded:
            seen = seen[:-1]  # a magic that is used wrongly says so on standard error alone in Jupyter
        assert seen == expected, cell.source


def shown(outputs: list[Any]) -> list[Any]:
    """Return what one sees of a cell's outputs, but for addresses in memory and colours."""
    seen: list[Any] = []
    for one in json.loads(json.dumps(outputs)):
        match one["output_type"]:
            case "stream" if seen and seen[-1][0] == one["name"]:
                seen[-1][1] += text(one["text"])
            case "stream":
                seen.append([one["name"], text(one["text"])])
            case "error":
                seen.append(["error", one["ename"], text(one["evalue"])])
            case kind:
                seen.append([kind, {mime: text(value) for mime, value in one["data"].items()}])
    return seen


def text(value: Any) -> str:
    """Return a text without colours, addresses in memory and where a syntax error is."""
    joined = "".join(value) if isinstance(value, list) else str(value)
    for varying in (r"\x1b\[[0-9;]*m", r"0x[0-9a-f]{6,}", r" \(.*, line \d+\)$"):
        joined = re.sub(varying, "", joined)
    return joined
