"""A file without ``main`` is run as ``python script.py ARGUMENTS`` runs it, when it is started and not before."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import DEADLINE
from tests.parity.both import Procedure, Ran, ended, names, without_pids, written

BLOCK = "if __name__ == '__main__':\n    "
ARGPARSE = """
    import argparse
    def observe(options):
        print('observing', options.target, options.times, options.tags, options.dry)
    if __name__ == '__main__':
        parser = argparse.ArgumentParser()
        parser.add_argument('--target', required=True)
        parser.add_argument('-n', '--times', type=int, default=1)
        parser.add_argument('--dry', action='store_true')
        parser.add_argument('tags', nargs='*')
        observe(parser.parse_args())
    """


def both(server, folder: Path, text: str, *words: str, args=None, kwargs=None) -> tuple[Ran, Procedure]:
    """Run a plain file by Python and as a procedure, and compare."""
    folders = {name: folder / name for name in ("plain", "here")}
    for one in folders.values():
        one.mkdir(parents=True)
        (one / "script.py").write_text(textwrap.dedent(text))
        (one / "beside.py").write_text("NAME = 'beside'\n")
    before = names(folders["plain"])
    argv = [sys.executable, str(folders["plain"] / "script.py"), *words]
    done = subprocess.run(argv, cwd=folders["plain"], capture_output=True, timeout=DEADLINE, text=True)
    plain = Ran(done.returncode == 0, done.stdout, done.stderr, written(folders["plain"], before))
    before = names(folders["here"])
    path = folders["here"] / "script.py"
    body = {"script": {"script_type": "filesystem", "script_uri": path.as_uri()}}
    reply = server.http.post("/procedures", json=body)
    assert reply.status_code == 201, reply.text
    pid = int(reply.json()["procedure"]["id"])
    summary = server.until(pid, "READY")
    assert summary["state"] == "READY", summary["history"]["stacktrace"]
    assert names(folders["here"]) == before, "something ran before the start"
    main = {"args": list(words) if args is None else args, "kwargs": kwargs or {}}
    reply = server.http.put(f"/procedures/{pid}", json={"state": "RUNNING", "script_args": {"main": main}})
    assert reply.status_code == 200, reply.text
    here = ended(server, pid, server.until(pid), folders["here"], before)
    assert here.ran.stdout == plain.stdout.replace(str(folders["plain"]), "<its folder>")
    assert here.ran.succeeded == plain.succeeded, here.stacktrace or plain.stderr
    if plain.succeeded:
        assert without_pids(here.ran.stderr) == without_pids(
            plain.stderr.replace(str(folders["plain"]), "<its folder>")
        )
    assert here.ran.files == plain.files
    return plain, here


SAME = {
    "a block": "def observe(): print('observing')\n" + BLOCK + "observe()",
    "a flat file": "print('observing')",
    "its names": "import sys\nprint(__name__, __file__, __package__, __spec__, __doc__, __loader__.name)",
    "its builtins": "print(__builtins__.__name__, sorted(globals()))",
    "values that its module begins with": (
        "print([(name, globals()[name]) for name in ('__annotations__', '__cached__') if name in globals()])"
    ),
    "annotations of its own": "x: int = 5\nprint(__annotations__)",
    "argv": "import sys\nprint(sys.argv, sys.argv[0] == __file__)",
    "path": "import sys\nprint(sys.path[0])\nimport beside\nprint(beside.NAME)",
    "itself as __main__": "import sys\nimport __main__\nX = 5\nprint(__main__.X, sys.modules['__main__'] is __main__)",
    "a file beside it": "import pathlib\npathlib.Path(__file__).with_name('out.txt').write_text('kept')",
    "pickle": """
        import pickle
        class Target:
            name = 'J0437'
        found = pickle.loads(pickle.dumps(Target()))
        print(type(found).__module__, found.name, type(found) is Target)
        """,
    "dataclasses and annotations": """
        from __future__ import annotations
        import dataclasses, typing
        @dataclasses.dataclass
        class Target:
            name: str = 'J0437'
        print(typing.get_type_hints(Target), Target())
        """,
    "processes that are spawned": """
        import multiprocessing
        def square(x): return x * x
        if __name__ == '__main__':
            with multiprocessing.get_context('spawn').Pool(1) as pool:
                print(pool.map(square, [2, 3]))
        """,
    "processes that are forked": """
        import multiprocessing
        def square(x): return x * x
        if __name__ == '__main__':
            with multiprocessing.get_context('fork').Pool(1) as pool:
                print(pool.map(square, [2, 3]))
        """,
    "its own source": "import inspect\ndef observe(): pass\nprint(inspect.getsource(observe))",
    "an asynchronous main function": """
        import asyncio
        async def observe():
            await asyncio.sleep(0)
            print('observing')
        if __name__ == '__main__':
            asyncio.run(observe())
        """,
    "a helper named init": "def init(): print('init')\n" + BLOCK + "init()",
    "a main within the block": BLOCK + "def main(): print('observing')\n    main()",
    "a failure": "print('before')\nraise RuntimeError('on purpose')",
    "an exit that fails": "import sys\nprint('before')\nsys.exit('on purpose')",
    "an exit status": "import sys\nprint('before')\nsys.exit(3)",
    "warnings": "import warnings\nwarnings.warn('old', DeprecationWarning)\nprint('observing')",
    "a fork": "import os\nchild = os.fork()\nif child == 0: os._exit(0)\nprint(os.waitpid(child, 0)[1])",
    "a fork beside a thread": """
        import os, threading
        over = threading.Event()
        threading.Thread(target=over.wait).start()
        child = os.fork()
        if child == 0: os._exit(0)
        print(os.waitpid(child, 0)[1])
        over.set()
        """,
    "globals": "X = 1\ndef change():\n    global X\n    X = 2\nchange()\nprint(X, globals()['X'], vars() is globals())",
}


@pytest.mark.parametrize("what", SAME)
def test_plain_file_is_run_as_python_runs_it(side, tmp_path, what):
    both(side, tmp_path, SAME[what])


@pytest.mark.parametrize(
    "words",
    [
        ("--target", "J0437"),
        ("--target=J0437", "-n", "3", "first", "second"),
        ("--dry", "--target", "0437", "20260101_0001"),
        ("--target", "", "--", "-x"),
        ("--target", "a b 'c' \"d\" $HOME é"),
        (),
        ("--target", "J", "--unknown", "1"),
        ("--target", "J", "-n", "many"),
    ],
    ids=repr,
)
def test_arguments_by_position_are_the_command_line(side, tmp_path, words):
    _, here = both(side, tmp_path, ARGPARSE, *words)
    if not here.ran.succeeded:
        assert "usage: script.py" in here.ran.stderr
        assert "2" in here.stacktrace


def test_arguments_by_name_are_options(side, tmp_path):
    words = ("first", "5", "--target", "J0437", "-n", "3", "--dry")
    both(side, tmp_path, ARGPARSE, *words, args=["first", 5], kwargs={"target": "J0437", "n": 3, "dry": True})


def test_nothing_runs_before_the_start_and_a_stop_ends_it_ready(server, tmp_path):
    path = tmp_path / "script.py"
    path.write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    pid = server.http.post(
        "/procedures", json={"script": {"script_type": "filesystem", "script_uri": path.as_uri()}}
    ).json()["procedure"]["id"]
    assert [state for state, _ in server.until(pid, "READY")["history"]["process_states"]] == [
        "CREATING",
        "IDLE",
        "LOADING",
        "IDLE",
        "READY",
    ]
    server.http.put(f"/procedures/{pid}", json={"state": "STOPPED"}).raise_for_status()
    assert server.until(pid)["state"] == "STOPPED"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("if __name__ == '__main__':\n    print(\n", "SyntaxError"),
        ("def observe(): pass\n", "has no function main()"),
        ("", "has no function main()"),
        ("init = print\nprint(1)\n", "has no function main()"),
    ],
)
def test_file_that_cannot_be_run_fails_when_it_is_loaded(server, text, said):
    summary = server.until(server.create(text), "READY")
    assert summary["state"] == "FAILED"
    assert said in summary["history"]["stacktrace"]


def test_arguments_for_init_are_refused_with_where_they_belong(server, tmp_path):
    path = tmp_path / "script.py"
    path.write_text("print(1)\n")
    body = {
        "script": {"script_type": "filesystem", "script_uri": path.as_uri()},
        "script_args": {"init": {"kwargs": {"target": "J0437", "subarray_id": 4}}},
    }
    reply = server.http.post("/procedures", json=body)
    assert reply.status_code == 400
    assert "$.script_args.init.kwargs.target: unexpected" in reply.json()["Message"]
    assert "oet run FILE -- ARGUMENTS" in reply.json()["Message"]


def test_schema_says_that_it_takes_a_command_line(server, tmp_path):
    path = tmp_path / "script.py"
    path.write_text("'''Observes.'''\nprint(1)\n")
    schema = server.http.get("/scripts/schema", params={"uri": path.as_uri()}).json()
    assert schema["docstring"] == "Observes."
    assert schema["main"]["x-command-line"] is True


def test_record_shows_the_file_and_what_it_said(server):
    pid = server.create("import sys\nprint('said', sys.argv[1:])\n")
    server.until(pid, "READY")
    body = {"state": "RUNNING", "script_args": {"main": {"args": ["--target", "J"]}}}
    server.http.put(f"/procedures/{pid}", json=body).raise_for_status()
    server.until(pid)
    record = server.http.get(f"/procedures/{pid}/record").json()
    cells = {cell["id"]: cell for cell in record["cells"]}
    assert cells["load"]["outputs"] == []
    assert cells["main"]["source"].startswith("# The file above, run as __main__")
    assert cells["main"]["outputs"][0]["text"] == "said ['--target', 'J']\n"


def test_oet_run_gives_it_the_words_behind_the_dashes(server, tmp_path):
    path = tmp_path / "script.py"
    path.write_text("import sys\nprint(sys.argv[1:])\n")
    oet = [sys.executable, "-m", "oet_kernel.cli", "run", str(path), "--subarray_id=9300", "--", "--target", "J0437"]
    env = {**os.environ, "OET_URL": server.url, "OET_TOKEN": server.token}
    ran = subprocess.run(oet, capture_output=True, text=True, timeout=DEADLINE, env=env)
    assert ran.returncode == 0, ran.stderr
    assert "['--target', 'J0437']" in ran.stdout


def test_words_arrive_in_their_order_and_as_they_were_typed(server, tmp_path):
    path = tmp_path / "script.py"
    path.write_text("import sys\nprint(sys.argv[1:])\n")
    words = ["sub", "-v", "--obs-id", "20260101_0001", "--tag", "a", "--tag", "b", "-x=0437", "--", "-1"]
    oet = [sys.executable, "-m", "oet_kernel.cli", "run", str(path), "--subarray_id=9301", "--", *words]
    env = {**os.environ, "OET_URL": server.url, "OET_TOKEN": server.token}
    ran = subprocess.run(oet, capture_output=True, text=True, timeout=DEADLINE, env=env)
    assert ran.returncode == 0, ran.stderr
    assert str(words) in ran.stdout
