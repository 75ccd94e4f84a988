"""Which cells of a notebook run when, and whether it has functions to call."""

import json
from contextlib import suppress

import nbformat
import pytest

from oet_kernel.scripts.notebook import NotebookUnreadable, functions, python_source, read_notebook, without_outputs
from tests.ipynb import TEXT, notebook


def read(*cells, **metadata):
    return read_notebook(notebook(*cells, **metadata).encode())


def ids(cells):
    return "".join(cell.id for cell in cells)


@pytest.mark.parametrize(
    ("tags", "parameters", "init", "main", "last"),
    [
        (["", "", ""], "", "", "abc", ""),
        (["", "parameters", "init", "", "finally"], "b", "c", "d", "e"),
        (["init", "finally", "", "parameters", "init", ""], "d", "ae", "f", "b"),
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
        (
            ["%matplotlib inline\nimport functools", "def main(n): pass", "main = functools.partial(main, 1)"],
            {"main": False},
        ),
        (["def main(n):\n    return n and main(n - 1)"], {"main": False}),
        (["import functools", "@functools.cache\ndef main(): pass"], {"main": False}),
        (["def main(): pass", "def again():\n    main()"], {"main": False}),
        (["def main(): pass", "main.version = 3", "print(main.__doc__)"], {"main": False}),
        (["main = lambda: 1"], {}),
        (["import functools", "main = functools.partial(print, 1)"], {}),
        (["from observing import main"], {}),
        (["import observing as main"], {}),
        (["class main: pass"], {}),
        (["fig, main = 1, 2", "for main in (): pass", "with open('x') as main: pass"], {}),
        (["x = main = print"], {}),
        (["def main(): pass", "main()"], {}),
        (["def main(): pass", "if __name__ == '__main__':\n    main()"], {}),
        (["async def main(): pass", "x = await main()"], {}),
        (["async def main(): pass", "import asyncio\ntask = asyncio.create_task(main())"], {}),
        (["def main(): pass", "import threading\nthreading.Thread(target=main).start()"], {}),
        (["def main(): pass", "def again():\n    main()", "again()"], {}),
        (["def main(): pass", "%time main()"], {}),
        (["def main(): pass", "%%time\nx = main ()"], {}),
        (["def main(): pass", "[main() for _ in range(3)]"], {}),
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


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"nbformat": 5}, "format 5 of the notebook is not supported"),
        ({"nbformat": 3, "worksheets": [1]}, "format 3, which cannot be converted to 4"),
        ({"nbformat": True}, "no JSON object with a number named nbformat"),
        ({"nbformat": 4, "cells": [None]}, "cell 1 is NoneType, not an object"),
        ({"nbformat": 4, "cells": [{"cell_type": "code", "source": 3}]}, "the text of cell 1 is int"),
        ({"nbformat": 4, "cells": [{"cell_type": "code", "source": [3]}]}, "the text of cell 1 is list"),
        (
            {"nbformat": 4, "cells": [{"cell_type": "heading"}]},
            "the type 'heading'; the valid types are code, markdown",
        ),
        ({"nbformat": 4, "cells": [{"source": "1"}]}, "of the type None"),
    ],
)
def test_what_cannot_be_run_is_refused_with_why(content, told):
    with pytest.raises(NotebookUnreadable, match=told):
        read_notebook(json.dumps(content).encode())


@pytest.mark.parametrize("nest", ["[", '{"a":'])
def test_metadata_nested_too_deeply_are_refused(nest):
    closing = {"[": "]", '{"a":': "}"}[nest]
    for depth in (200, 450, 900, 5000, 200_000):
        data = f'{{"nbformat": 4, "metadata": {{"x": {nest * depth}1{closing * depth}}}}}'.encode()
        with suppress(NotebookUnreadable):
            json.loads(without_outputs(data))


@pytest.mark.parametrize("minor", [0, 1, 2, 3, 4, 5, None, "5"])
def test_any_minor_format_and_any_mark_at_the_beginning_are_read(minor):
    data = json.dumps({"nbformat": 4, "nbformat_minor": minor, "cells": [{"cell_type": "code", "source": "1"}]})
    assert read_notebook(b"\xef\xbb\xbf" + data.encode()).cells[0].source == "1"


def test_old_formats_are_converted():
    cell = {"cell_type": "code", "input": "print('one')", "language": "python", "outputs": [], "metadata": {}}
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"metadata": {}, "cells": [cell]}]}
    assert [one.source for one in read_notebook(json.dumps(old).encode()).cells] == ["print('one')"]
    assert read_notebook(b'{"nbformat": 3, "worksheets": []}').cells == ()


@pytest.mark.parametrize("name", [None, 3, "", "a b", "x" * 65, "\ud83d", ["a"], "é", "a"])
def test_ids_that_are_none_or_strange_or_stood_before_are_replaced(name):
    cells = [{"cell_type": "code", "id": one, "source": "1"} for one in ("a", name, "cell-2")]
    data = json.dumps({"nbformat": 4, "cells": cells}).encode()
    assert [cell.id for cell in read_notebook(data).cells] == ["a", "cell-2", "cell-3"]
    shown = nbformat.reads(without_outputs(data).decode(), as_version=4)
    nbformat.validate(shown)
    assert [cell.id for cell in shown.cells] == ["a", "cell-2", "cell-3"]


def test_what_has_no_form_in_json_is_replaced():
    cells = [
        {"cell_type": "markdown", "source": "half \ud83d", "attachments": {"a.png": {"image/png": "x"}}},
        {"cell_type": "raw", "source": None, "metadata": None, "attachments": None},
    ]
    metadata = {"nan": float("nan"), "all": [float("inf"), {"big": 10**30, "\ud83d": True}]}
    shown = json.loads(without_outputs(json.dumps({"nbformat": 4, "metadata": metadata, "cells": cells}).encode()))
    assert shown["metadata"] == {"nan": None, "all": [None, {"big": str(10**30), "\ufffd": True}]}
    assert [cell["source"] for cell in shown["cells"]] == ["half \ufffd", ""]
    assert shown["cells"][0]["attachments"] == {"a.png": {"image/png": "x"}}
    nbformat.validate(nbformat.from_dict(shown))


def test_sources_may_be_lists_of_lines_and_ids_may_be_missing():
    cells = [{"cell_type": "code", "source": ["a = 1\n", "b"], "metadata": {"tags": "broken"}}]
    found = read_notebook(json.dumps({"nbformat": 4, "cells": cells}).encode())
    assert [(cell.id, cell.source, cell.tags) for cell in found.cells] == [("cell-1", "a = 1\nb", ("broken",))]


def test_outputs_are_left_out():
    cell = {"cell_type": "code", "source": "1", "outputs": [{"data": "x" * 100}], "execution_count": 7}
    shown = json.loads(without_outputs(json.dumps({"nbformat": 4, "cells": [cell]}).encode()))
    assert shown["cells"] == [{**cell, "id": "cell-1", "metadata": {}, "outputs": [], "execution_count": None}]
