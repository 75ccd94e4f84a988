"""Notebooks do as procedures what they do in Jupyter: each is run by nbclient too, by papermill with arguments."""

import functools
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import nbclient
import nbformat
import papermill
import pytest

from tests.conftest import Server
from tests.ipynb import execute, notebook
from tests.parity.both import ENDED, events_of

pytestmark = pytest.mark.timeout(300)
RAISES = "class A:\n    def {}: raise ValueError('no')\n"
ASLEEP = "import asyncio\nasync def f():\n    await asyncio.sleep(0.01)\n    return 5\n"


class Did(NamedTuple):
    """What a notebook did."""

    succeeded: bool
    stdout: str
    shown: list[str]
    """Texts of what was displayed, results among it, as an update or a later display of the same id has left them."""
    errors: list[str]
    """Names of the exceptions that were shown, each once; the one by which a cell failed among them."""


@functools.cache
def in_jupyter(text: str) -> Did:
    """Run a notebook by nbclient."""
    book = nbformat.reads(text, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        try:
            execute(book, folder, timeout=120)
        except nbclient.exceptions.CellExecutionError as error:
            return did(book, error.ename)
    return did(book)


def did(book: Any, failure: str | None = None) -> Did:
    """Gather the outputs of an executed notebook; `failure` is what has ended it."""
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    kinds = ("display_data", "execute_result")
    errors = [one.ename for one in outputs if one.output_type == "error"]
    if failure == "UsageError":  # which IPython shows on standard error alone
        errors.append(failure)
    return Did(
        failure is None,
        plain("".join(one.text for one in outputs if one.output_type == "stream" and one.name == "stdout")),
        [plain(one.data.get("text/plain", "")) for one in outputs if one.output_type in kinds],
        errors,
    )


def name_of(trace: str) -> str:
    """Return the name of the exception that a traceback ends with."""
    return trace.rstrip().rpartition("\n")[2].partition(":")[0].rpartition(".")[2]


def plain(text: str) -> str:
    """Return a text without addresses in memory."""
    return re.sub(r"0x[0-9a-f]{6,}", "0x", text)


def here(
    server: Server, folder: Path, text: str, arguments: dict[str, Any] | None = None, name: str = "book.ipynb"
) -> tuple[Did, Any]:
    """Run a notebook, or a script, as a procedure; give the summary too."""
    path = folder / name
    path.write_text(text)
    body = {"script": {"script_type": "filesystem", "script_uri": path.as_uri()}}
    reply = server.http.post("/procedures", json=body)
    assert reply.status_code == 201, reply.text
    pid = int(reply.json()["procedure"]["id"])
    summary = server.until(pid, "READY")
    if summary["state"] == "READY":
        main = {"main": {"args": [], "kwargs": arguments or {}}}
        server.http.put(f"/procedures/{pid}", json={"state": "RUNNING", "script_args": main}).raise_for_status()
        summary = server.until(pid)
    assert summary["state"] in ENDED
    events = [(event["topic"].removeprefix("procedure."), event["data"]) for event in events_of(server, pid)]
    errors = []
    shown: dict[Any, str] = {}
    for number, (topic, data) in enumerate(events):
        match topic:
            case "output.error":
                errors.append(data["ename"])
            case "cell.failed":
                errors.append(name_of(data["stacktrace"]))
            case "output.display":
                named = {key: data["display_id"] for key in shown if key[1] == data.get("display_id") is not None}
                new = {} if data.get("update") else {(number, data.get("display_id")): ""}
                shown |= dict.fromkeys((*named, *new), plain(data["data"].get("text/plain", "")))
    if summary["history"]["stacktrace"] and not any(topic == "cell.failed" for topic, _ in events):
        errors.append(name_of(summary["history"]["stacktrace"]))
    streams = (data for topic, data in events if topic == "output.stream" and data["name"] == "stdout")
    stdout = plain("".join(data["text"] for data in streams))
    return Did(summary["state"] == "COMPLETE", stdout, list(shown.values()), errors), summary


BOOKS = {
    "a task is awaited in a later cell": [ASLEEP + "t = asyncio.create_task(f())", "print(await t)"],
    "a future is awaited in a later cell": [ASLEEP + "t = asyncio.ensure_future(f())", "x = 1", "await t"],
    "the running loop": [ASLEEP + "loop = asyncio.get_running_loop()", "print(await loop.create_task(f()))"],
    "the loop is one for all cells": [
        "import asyncio\na = asyncio.get_running_loop()", "await asyncio.sleep(0)",
        "print(a is asyncio.get_running_loop(), a is asyncio.get_event_loop())",
    ],
    "tasks go on while others are awaited": [
        "import asyncio\nn = 0\nasync def count():\n    global n\n    while True:\n        n += 1\n"
        "        await asyncio.sleep(0)\nt = asyncio.create_task(count())",
        "before = n\nawait asyncio.sleep(0.05)\nprint(n > before + 5)", "t.cancel(), None",
    ],
    "a task that became due is done in the next cell": [
        ASLEEP + "t = asyncio.create_task(f())\nawait asyncio.sleep(0)", "import time\ntime.sleep(0.1)",
        "time.sleep(0.1)", "print(t.done())",
    ],
    "asyncio.run": [ASLEEP + "c = f()\ntry:\n    asyncio.run(c)\nexcept RuntimeError as e:\n    print(e)\nc.close()"],
    "run_until_complete": [ASLEEP + "asyncio.get_event_loop().run_until_complete(f())"],
    "nest_asyncio": [
        "import nest_asyncio2\nnest_asyncio2.apply()", ASLEEP + "print(asyncio.run(f()))", "print(await f())",
    ],
    "a context variable stays": [
        "import contextvars\nv = contextvars.ContextVar('v', default=0)\nx = v.set(3)", "print(v.get())"
    ],
    "an asynchronous cell fails": ["import asyncio\nawait asyncio.sleep(0)\n1/0", "print('on')"],
    "a cancelled task is awaited": [
        "import asyncio\nt = asyncio.create_task(asyncio.sleep(3600))", "x = t.cancel()\nawait t",
    ],
    "gather, async for and with": [
        ASLEEP + "print(await asyncio.gather(f(), f()))",
        "async def g():\n    yield 1\n    yield 2\nasync for x in g():\n    print(x)",
        "async with asyncio.Lock():\n    print('locked')",
    ],
    "_repr_html_ raises": [RAISES.format("_repr_html_(self)") + "A()", "print('on')"],
    "__repr__ raises": [RAISES.format("__repr__(self)") + "A()", "print('on')"],
    "_repr_png_ raises in a display": [RAISES.format("_repr_png_(self)") + "display(A())", "print('on')"],
    "_ipython_display_ raises": [RAISES.format("_ipython_display_(self)") + "A()", "print('on')"],
    "__repr__ raises in print": [RAISES.format("__repr__(self)") + "print(A())", "print('on')"],
    "__repr__ raises after an await": [RAISES.format("__repr__(self)") + "import asyncio\nawait asyncio.sleep(0)\nA()"],
    "%run of a script that fails": ["open('fails.py', 'w').write('{}[1]')", "%run fails.py\nprint('on')"],
    "a callback behind the cell fails": [
        "def bad(): raise ValueError('no')\nget_ipython().events.register('post_execute', bad)",
        "get_ipython().events.unregister('post_execute', bad)",
    ],
    "%run of a script that exits": ["open('ends.py', 'w').write('raise SystemExit(3)')", "%run ends.py\nprint('on')"],
    "a cell within a cell fails": ["get_ipython().run_cell('1/0')\nprint('on')", "print('later')"],
    "showtraceback": ["try:\n    1/0\nexcept Exception:\n    get_ipython().showtraceback()\nprint('on')"],
    "%%bash fails": ["%%bash\necho out\nexit 3", "print('on')"],
    "a command fails": ["!exit 3", "print(_exit_code)"],
    "a magic that there is not": ["%nonsense", "print('on')"],
    "a syntax error": ["print('one')", "def f(:", "print('on')"],
    "return at the top": ["return 3"],
    "sys.exit(3)": ["import sys\nsys.exit(3)", "print('on')"],
    "sys.exit of a text": ["import sys\nsys.exit('no beam')", "print('on')"],
    "one that may fail": [("raises-exception", "1/0"), "print('on')"],
    "one whose result may raise": [("raises-exception", RAISES.format("__repr__(self)") + "A()"), "print('on')"],
    "one that may exit": [("raises-exception", "raise SystemExit(3)"), "print('on')"],
    "one that may exit well": [("raises-exception", "raise SystemExit"), "print('on')"],
    "two displays raise": [
        RAISES.format("_repr_html_(self)") + "    def _repr_png_(self): raise KeyError('no')\nA()", "print('on')",
    ],
    "a display raises, and then the cell": [RAISES.format("_repr_html_(self)") + "display(A())\n1/0"],
    "results of all expressions, of which one raises": [
        RAISES.format("_repr_html_(self)") + "get_ipython().ast_node_interactivity = 'all'", "A()\nprint('on')\n3"
    ],
    "a caught cell within a cell that fails": ["get_ipython().run_cell('1/0')\n{}[1]"],
    "showtraceback, and then the same is raised": [
        "try:\n    1/0\nexcept Exception:\n    get_ipython().showtraceback()\n    raise"
    ],
    "input": ["input('who? ')", "print('on')"],
    "input that is caught": ["try:\n    input('who? ')\nexcept NotImplementedError:\n    print('nobody')"],
    "getpass": ["import getpass\ngetpass.getpass('word? ')"],
    "input in %run": ["open('asks.py', 'w').write('input(3)')", "%run asks.py\nprint('on')"],
    "display ids": ["h = display('one', display_id='x')", "h.update('two')", "h.display('three')"],
    "In, Out and _": ["6 * 7", "print(_, Out[1], len(In), _i1)", "_ + 1;"],
    "names of a main program": ["print(__name__, '__file__' in globals(), __builtins__.__name__)"],
    "capture": ["%%capture c\nprint('in')\ndisplay(3)", "print(c.stdout, len(c.outputs))"],
    "magics": ["%env OET_X=3\n%load_ext autoreload\n%autoreload 2\nimport os", "!echo $OET_X", "x = !echo 4\nprint(x)"],
    "%cd": ["import os, tempfile\nd = os.path.realpath(tempfile.gettempdir())", "%cd -q $d", "print(os.getcwd() == d)"],
    "semicolon and last expressions": ["1\n2", "3;", "x = 4\nx", "None"],
    "a variable main": ["main = 3", "print(main)"],
    "an imported main": ["from collections import OrderedDict as main", "print(main())"],
    "a main that is called": ["def main():\n    print('ran')", "main()"],
    "a guarded main": ["def main(n):\n    print('ran', n)", "if __name__ == '__main__':\n    main(3)"],
    "a main that is awaited": ["async def main():\n    print('ran')", "await main()"],
    "no cells": [],
    "empty cells": ["", "  \n", "print('one')"],
}  # fmt: skip


@pytest.mark.parametrize("side", ["forked"], indirect=True)
@pytest.mark.parametrize("name", BOOKS)
def test_notebook_does_what_it_does_in_jupyter(side, tmp_path, name):
    text = notebook(*(("", cell) if isinstance(cell, str) else cell for cell in BOOKS[name]))
    found, summary = here(side, tmp_path, text)
    assert found == in_jupyter(text), summary["history"]["stacktrace"]
    record = nbformat.reads(side.http.get(f"{summary['uri']}/record").text, as_version=4)
    assert did(record).shown == found.shown


SCRIPTS = {
    "_repr_html_ raises": f"from IPython.display import display\n{RAISES.format('_repr_html_(self)')}"
    "def main():\n    display(A())\n    print('on')\n",
    "__repr__ raises": f"from IPython.display import display\n{RAISES.format('__repr__(self)')}"
    "def main():\n    display(A())\n    print('on')\n",
    "_ipython_display_ raises": f"from IPython.display import display\n{RAISES.format('_ipython_display_(self)')}"
    "def main():\n    display(A())\n    print('on')\n",
    "an update raises": f"from IPython.display import display\n{RAISES.format('_repr_html_(self)')}"
    "def main():\n    h = display('one', display_id='x')\n    h.update(A())\n",
    "two raise": f"from IPython.display import display\n{RAISES.format('_repr_html_(self)')}"
    "    def _repr_png_(self): raise KeyError('no')\ndef main():\n    display(A(), A())\n",
    "showtraceback": "from IPython import get_ipython\ndef main():\n    try:\n        1/0\n"
    "    except ZeroDivisionError:\n        get_ipython().showtraceback()\n    print('on')\n",
    "a cell that a script runs": "from IPython import get_ipython\n"
    "def main():\n    get_ipython().run_cell('{}[1]')\n    print('on')\n",
    "a display raises, and then main": f"from IPython.display import display\n{RAISES.format('_repr_html_(self)')}"
    "def main():\n    display(A())\n    {}[1]\n",
}


@pytest.mark.parametrize("side", ["forked"], indirect=True)
@pytest.mark.parametrize("name", SCRIPTS)
def test_errors_that_a_script_shows_are_those_of_a_cell(side, tmp_path, name):
    text = SCRIPTS[name]
    found, _ = here(side, tmp_path, text, name="script.py")
    shown = [one.replace("<script.", "<__main__.") for one in found.shown]
    assert found._replace(shown=shown) == in_jupyter(notebook(("", text), ("", "main()")))


def code(source="print('one')", **more):
    return {
        "cell_type": "code", "id": "a", "metadata": {}, "source": source, "outputs": [], "execution_count": None,
        **more,
    }  # fmt: skip


SLOPPY = {
    "ids that are there twice": [code(), code("print('two')")],
    "no ids": [{name: value for name, value in code().items() if name != "id"}],
    "an id with blanks": [code(id="a b c")],
    "an id that is too long": [code(id="a" * 100)],
    "an id that is empty": [code(id="")],
    "tags that are text": [code(metadata={"tags": "skip-execution"})],
    "metadata that nobody knows": [code(metadata={"collapsed": 3, "jupyter": None, "scrolled": "yes"})],
    "NaN in an old output": [
        code(outputs=[{"output_type": "display_data", "metadata": {}, "data": {"application/json": float("nan")}}])
    ],
    "half a surrogate pair in an old output": [
        code(outputs=[{"output_type": "stream", "name": "stdout", "text": "\ud83d"}])
    ],
    "an old output of no known type": [code(outputs=[{"output_type": "smell"}])],
    "an integer of many digits": [code(metadata={"n": 10**40})],
    "a source of lines": [code(["print('one')\n", "print('two')"])],
    "keys that nobody knows": [{**code(), "colour": "red"}],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("side", ["forked"], indirect=True)
@pytest.mark.parametrize("name", SLOPPY)
def test_sloppy_notebook_is_run_as_in_jupyter(side, tmp_path, name):
    about = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}, "n": float("inf")}
    text = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": about, "cells": SLOPPY[name]})
    found, summary = here(side, tmp_path, text)
    assert found == in_jupyter(text), summary["history"]["stacktrace"]
    record = side.http.get(f"{summary['uri']}/record").text
    nbformat.validate(nbformat.reads(record, as_version=4))


TAGGED = {
    "imports above": [("", "import datetime"), ("parameters", "n = datetime.date(2020, 1, 1).year"), ("", "print(n)")],
    "a helper above": [("", "def default(): return 7"), ("parameters", "n = default()"), ("", "print(n)")],
    "order of output": [("", "print('first')"), ("parameters", "print('second'); n = 1"), ("", "print('third', n)")],
    "no parameters": [("", "print(n)")],
    "two that hold defaults": [("parameters", "n = 1"), ("", "print(n)"), ("parameters", "n = 2"), ("", "print(n)")],
    "one that was injected before": [("parameters", "n = 1"), ("injected-parameters", "n = 5"), ("", "print(n)")],
    "a failure above": [("", "1/0"), ("parameters", "n = 1"), ("", "print(n)")],
}


@functools.cache
def by_papermill(text: str, n: int) -> Did:
    """Run a notebook by papermill."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "in.ipynb"), os.path.join(folder, "out.ipynb")
        Path(source).write_text(text)
        try:
            papermill.execute_notebook(source, target, {"n": n}, progress_bar=False)
        except papermill.PapermillExecutionError as error:
            return did(nbformat.read(target, as_version=4), error.ename)
        return did(nbformat.read(target, as_version=4))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("side", ["forked"], indirect=True)
@pytest.mark.parametrize("name", TAGGED)
def test_arguments_are_injected_as_papermill_does(side, tmp_path, name):
    text = notebook(*TAGGED[name])
    found, summary = here(side, tmp_path, text, {"n": 9})
    assert found == by_papermill(text, 9), summary["history"]["stacktrace"]


ENDS = {
    "exit()": [("", "print('one')\nexit()"), ("", "print('not reached')"), ("finally", "print('bye')")],
    "quit": [("", "print('one')"), ("", "quit"), ("", "print('not reached')"), ("finally", "print('bye')")],
    "in init": [("init", "print('one')\nexit()"), ("", "print('not reached')"), ("finally", "print('bye')")],
    "in a function": [("", "def f(): quit()\nprint('one')"), ("", "f()"), ("", "1/0"), ("finally", "print('bye')")],
    "sys.exit()": [("", "import sys\nprint('one')\nsys.exit()"), ("", "1/0"), ("finally", "print('bye')")],
    "sys.exit(0)": [("", "import sys\nprint('one')\nsys.exit(0)"), ("", "1/0"), ("finally", "print('bye')")],
    "SystemExit in a function": [
        ("", "def f(): raise SystemExit(False)\nprint('one')"), ("", "f()"), ("", "1/0"), ("finally", "print('bye')"),
    ],
    "sys.exit(0) in init": [("init", "print('one')\nraise SystemExit"), ("", "1/0"), ("finally", "print('bye')")],
    "sys.exit(0) in main": [("", "def main():\n    print('one')\n    raise SystemExit"), ("finally", "print('bye')")],
    "in a cell that may fail": [("raises-exception", "print('one')\nexit()"), ("", "1/0"), ("finally", "print('bye')")],
    "in the first of two that end": [
        ("", "print('one')"), ("finally", "exit()"), ("finally", "print('bye')"),
    ],
    "behind an await": [
        ("", "import asyncio\nawait asyncio.sleep(0)\nprint('one')\nexit()"), ("finally", "print('bye')"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_exit_ends_the_run_with_success(side, tmp_path, name):
    found, summary = here(side, tmp_path, notebook(*ENDS[name]))
    assert found == Did(True, "one\nbye\n", [], []), summary["history"]["stacktrace"]


def test_exit_that_keeps_the_kernel_ends_nothing(side, tmp_path):
    found, _ = here(side, tmp_path, notebook(("", "exit(keep_kernel=True)"), ("", "print('on')")))
    assert found == Did(True, "on\n", [], [])


DAMAGED = {
    "no UTF-8": (
        '{"nbformat": 4, "cells": [{"cell_type": "code", "source": "caf\xe9"}]}'.encode("latin-1"),
        "no UTF-8",
    ),
    "no JSON": (b"print('one')", "this is no notebook"),
    "a later format": (b'{"nbformat": 5, "cells": []}', "format 5"),
    "cells of another type": (b'{"nbformat": 4, "cells": {"a": 1}}', "its cells are dict"),
    "a cell of no type": (b'{"nbformat": 4, "cells": [{"source": "1"}]}', "of the type None"),
}


@pytest.mark.parametrize("side", ["forked"], indirect=True)
@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_notebook_is_failed_with_a_sentence(side, tmp_path, name):
    data, told = DAMAGED[name]
    path = tmp_path / "book.ipynb"
    path.write_bytes(data)
    body = {"script": {"script_type": "filesystem", "script_uri": path.as_uri()}}
    reply = side.http.post("/procedures", json=body)
    schema = side.http.get("/scripts/schema", params={"script_uri": path.as_uri()})
    assert max(reply.status_code, schema.status_code) < 500, (reply.text, schema.text)
    if reply.status_code == 201:
        pid = int(reply.json()["procedure"]["id"])
        summary = side.until(pid)
        assert summary["state"] == "FAILED"
        assert told in summary["history"]["stacktrace"]
        assert side.http.get(f"/procedures/{pid}/record").status_code == 200
    else:
        assert told in json.dumps(reply.json())
