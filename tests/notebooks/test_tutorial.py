"""The tutorial does from top to bottom, in a kernel of its own, what it says."""

import ast

import nbformat
import pytest

from tests.notebooks.conftest import NOTEBOOKS


@pytest.fixture(scope="module")
def tutorial(execute):
    """Run the tutorial; gives its cells."""
    return execute("tutorial.ipynb")


def shown(cell):
    """Join what a cell shows, as text."""
    return "\n".join(output.get("text") or output["data"]["text/plain"] for output in cell.outputs)


def cell(cells, start):
    return next(one for one in cells if one.cell_type == "code" and one.source.startswith(start))


def test_it_is_stored_without_outputs_and_has_fifteen_cells():
    notebook = nbformat.read(NOTEBOOKS / "tutorial.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert len(notebook.cells) == 15
    assert all(not one.outputs and one.execution_count is None for one in notebook.cells if one.cell_type == "code")


def test_it_starts_a_service_of_its_own(tutorial):
    assert shown(cell(tutorial, "%load_ext")).startswith("Connected to http://127.0.0.1:")


def test_the_observation_ends_as_stopped_and_gives_its_resources_back(tutorial):
    said = shown(cell(tutorial, "%oet stop"))
    assert "Successfully stopped script with ID 1" in said
    assert "'STOPPED'" in said
    announced = shown(cell(tutorial, "announced = "))
    assert "- Subarray 2: scan started" in announced
    assert "- Subarray 2: resources deallocated" in announced


def test_what_earlier_cells_show_has_changed_in_place(tutorial):
    for start in ("observation = ", "announced = "):
        assert "Procedure 1 (observe.py) is STOPPED" in shown(cell(tutorial, start))


def test_the_description_has_every_state_and_both_calls(tutorial):
    said = shown(cell(tutorial, "announced.stop"))
    for word in ("READY", "RUNNING 1", "STOPPED", "init", "main", "'subarray_id': 2"):
        assert word in said


def test_a_cell_runs_as_a_script(tutorial):
    said = shown(cell(tutorial, "(await pointing)"))
    told = "Script message: Subarray 3 points 40 arcsec off"
    assert ast.literal_eval(said) == ("COMPLETE", told, "3 offsets, mean 18.3 arcsec\n")


def test_the_list_names_both(tutorial):
    said = shown(cell(tutorial, "%oet list"))
    assert "procedures/observe.py" in said
    assert "cells/pointing-" in said
