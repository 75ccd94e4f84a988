"""Runs the notebooks as they stand, each in a kernel of its own that finds no service outside of it."""

from pathlib import Path

import nbformat
import pytest

from tests.ipynb import execute as in_jupyter

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(scope="module")
def execute(tmp_path_factory):
    """Run a notebook from top to bottom, and more cells after it; gives its cells."""

    def run(name, *more):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
            patch.setenv("OET_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
            patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
            for variable in ("OET_URL", "OET_REST_URI", "OET_TOKEN"):
                patch.delenv(variable, raising=False)
            notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
            notebook.cells += map(nbformat.v4.new_code_cell, more)
            in_jupyter(notebook, NOTEBOOKS, timeout=60)
            return notebook.cells

    return run
