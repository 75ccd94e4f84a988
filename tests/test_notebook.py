"""Which cells of a notebook run when, and whether it has functions to call."""

import json

import pytest

from oet_kernel.notebook import NotebookUnreadable, functions, python_source, read_notebook, without_outputs
from tests.ipynb import TEXT, notebook


def read(*cells, **metadata):
    return read_notebook(notebook(*cells, **metadata).encode())


def ids(cells):
    return "".join(cell.id for cell in cells)


@pytest.mark.parametrize(
    ("tags", "parameters", "init", "main", "last"),
    [
        (["", "", ""], "", "", "abc", ""),
        (["", "parameters", "init", "", "finally"], "b", "c", "ad", "e"),
        (["parameters", "parameters", ""], "a", "", "bc", ""),
        (["init finally", "other"], "", "a", "b", "a"),
        (["skip-execution", "injected-parameters", "", "skip-execution parameters"], "", "", "c", ""),
        ([TEXT, "init", TEXT, ""], "", "b", "d", ""),
        ([], "", "", "", ""),
    ],
)
def test_tags_say_which_cells_run_when(tags, parameters, init, main, last):
    found = read(*((tag, "x = 1") for tag in tags))
    assert ids([found.parameters] if found.parameters else []) == parameters
    assert (ids(found.tagged("init")), ids(found.main), ids(found.tagged("finally"))) == (init, main, last)


def test_empty_cells_are_not_run_but_counted():
    found = read(("", "  \n"), (TEXT, "# Title\n\nmore"), ("", "1"))
    assert [(cell.id, cell.number) for cell in found.cells] == [("c", 2)]
    assert (found.count, found.title) == (2, "Title")


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["def main(): pass"], {"main": False}),
        (["async def main(): pass", "def init(): pass"], {"init": False, "main": True}),
        (["main = lambda: 1"], {"main": False}),
        (["%matplotlib inline\nimport functools", "main = functools.partial(print, 1)"], {"main": False}),
        (["from observing import main"], {"main": False}),
        (["x = main = print"], {"main": False}),
        (["def f():\n    def main(): pass"], {}),
        (["def init(): pass"], {}),
        (["main: int"], {}),
        (["!ls", "%%bash\nmain() { :; }"], {}),
        (["def main(:", "await x"], {}),
        (["main.x = 1", "main()"], {}),
        ([], {}),
    ],
)
def test_functions_are_those_that_the_cells_define_at_their_top(cells, found):
    assert functions(read(*(("", cell) for cell in cells))) == found


def test_notebook_of_another_language_has_no_functions():
    assert functions(read(("", "main = 1"), kernel="julia", language="julia")) == {}


def test_text_of_the_cells_is_python():
    found = read(("", "%time x = 1"), ("", "no python"), ("", "!ls {x}"), ("", "y = 2"))
    compile(python_source(found.cells), "notebook", "exec")
    assert "run_line_magic('time', 'x = 1')" in python_source(found.cells)
    assert "no python" not in python_source(found.cells)


@pytest.mark.parametrize(
    ("metadata", "kernel", "language"),
    [
        ({}, None, "python"),
        ({"kernelspec": {"name": "ir", "language": "R"}}, "ir", "r"),
        ({"kernelspec": {"name": "bash"}, "language_info": {"name": "bash"}}, "bash", "bash"),
        ({"kernelspec": "broken", "language_info": []}, None, "python"),
    ],
)
def test_kernel_and_language_are_what_the_metadata_say(metadata, kernel, language):
    found = read_notebook(json.dumps({"nbformat": 4, "metadata": metadata}).encode())
    assert (found.kernel, found.language) == (kernel, language)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"nbformat": "4"}', b'{"nbformat": 4, "cells": 1}', b"\xff"])
def test_what_is_no_notebook_is_refused(data):
    with pytest.raises(NotebookUnreadable, match="no notebook"):
        read_notebook(data)


def test_old_format_is_refused_with_what_to_do():
    with pytest.raises(NotebookUnreadable, match="format 3, and 4 can be run: open it in JupyterLab"):
        read_notebook(b'{"nbformat": 3}')


def test_sources_may_be_lists_of_lines_and_ids_may_be_missing():
    cells = [{"cell_type": "code", "source": ["a = 1\n", "b"], "metadata": {"tags": "broken"}}]
    found = read_notebook(json.dumps({"nbformat": 4, "cells": cells}).encode())
    assert [(cell.id, cell.source, cell.tags) for cell in found.cells] == [("cell-1", "a = 1\nb", ())]


def test_outputs_are_left_out():
    cell = {"cell_type": "code", "source": "1", "outputs": [{"data": "x" * 100}], "execution_count": 7}
    shown = json.loads(without_outputs(json.dumps({"nbformat": 4, "cells": [cell]}).encode()))
    assert shown["cells"] == [{**cell, "outputs": [], "execution_count": None}]
