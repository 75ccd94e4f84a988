"""A script ends as it does under plain Python: with its status, and when all that it has left at work has ended."""

import gzip

import pytest

from tests.conftest import serve
from tests.parity.both import as_procedure, compare

HEAD = "import atexit, os, signal, sys, threading, time\n"

EXITS = {
    "sys.exit(0)": "def main(): sys.exit(0)",
    "sys.exit()": "def main(): sys.exit()",
    "sys.exit(None)": "def main(): sys.exit(None)",
    "sys.exit(False)": "def main(): sys.exit(False)",
    "sys.exit(256)": "def main(): sys.exit(256)",
    "exit()": "def main(): exit()",
    "quit(0)": "def main(): quit(0)",
    "raise SystemExit": "def main(): raise SystemExit",
    "argparse --help": "import argparse\ndef main(): argparse.ArgumentParser(prog='x').parse_args(['--help'])",
    "a coroutine that exits": "import asyncio\ndef main(): asyncio.run(work())\nasync def work(): sys.exit(0)",
    "an exit that is cleaned up after": "def main():\n    try: sys.exit(0)\n    finally: print('cleaned up')",
    "in init": "def init(): print('init'); sys.exit(0)\ndef main(): print('main')",
    "at import": "print('import')\nsys.exit()\ndef main(): print('main')",
    "in a module that it imports": "import beside\ndef main(): print('main')",
    "os._exit(0)": "def main(): print('main', flush=True); os._exit(0)",
    "os._exit(0) in init": "def init(): print('init', flush=True); os._exit(0)\ndef main(): print('main')",
    "os._exit(0) at import": "print('import', flush=True); os._exit(0)\ndef main(): print('main')",
    "exec": "def main(): os.execvp('true', ['true'])",
    "sys.exit(3)": "def main(): sys.exit(3)",
    "sys.exit(-1)": "def main(): sys.exit(-1)",
    "sys.exit(True)": "def main(): sys.exit(True)",
    "sys.exit(0.0)": "def main(): sys.exit(0.0)",
    "sys.exit(text)": "def main(): sys.exit('bad weather')",
    "sys.exit('')": "def main(): sys.exit('')",
    "sys.exit(3) in init": "def init(): sys.exit(3)\ndef main(): pass",
    "sys.exit(text) at import": "sys.exit('bad weather')\ndef main(): pass",
    "os._exit(3)": "def main(): os._exit(3)",
    "exec of what fails": "def main(): os.execvp('false', ['false'])",
    "abort": "def main(): os.abort()",
    "a group with an exit": "def main(): raise BaseExceptionGroup('two', [SystemExit(0), ValueError()])",
    "KeyboardInterrupt": "def main(): raise KeyboardInterrupt",
}


@pytest.mark.parametrize("what", EXITS)
def test_status_decides(side, tmp_path, what):
    plain, here = compare(side, tmp_path, EXITS[what], head=HEAD, files={"beside.py": "import sys; sys.exit(0)"})
    assert here.state == ("COMPLETE" if plain.succeeded else "FAILED")


@pytest.mark.parametrize(
    ("main", "says"),
    [
        ("sys.exit(3)", "SystemExit: 3"),
        ("sys.exit('bad weather')", "SystemExit: bad weather"),
        ("os._exit(3)", "exit code 3"),
        ("os.execvp('false', ['false'])", "exit code 1"),
        ("os.abort()", "SIGABRT"),
    ],
)
def test_failure_says_the_status(side, tmp_path, main, says):
    here = as_procedure(side, tmp_path, f"def main(): {main}", head=HEAD)
    assert here.state == "FAILED"
    assert says in here.stacktrace


def test_script_that_ends_well_before_main_is_complete_without_having_run(side, tmp_path):
    for n, text in enumerate(("sys.exit(0)\ndef main(): pass", "def init(): sys.exit(0)\ndef main(): pass")):
        here = as_procedure(side, tmp_path / str(n), text, head=HEAD)
        states = [state for state, _ in here.summary["history"]["process_states"]]
        assert states[-1] == "COMPLETE"
        assert "READY" not in states
        assert "RUNNING" not in states
        assert "main" not in here.summary["script_args"]


SAVE = "def save():\n    time.sleep(0.5)\n    (HERE / 'saved.txt').write_text('x')\n    print('saved')\n"
WORK = {
    "a thread": f"{SAVE}def main(): threading.Thread(target=save).start()",
    "a thread that was started at import": f"{SAVE}threading.Thread(target=save).start()\ndef main(): pass",
    "a thread that starts another": (
        f"{SAVE}def chain(): threading.Thread(target=save).start()\ndef main(): threading.Thread(target=chain).start()"
    ),
    "a timer": f"{SAVE}def main(): threading.Timer(0.2, save).start()",
    "a thread pool": (
        f"from concurrent.futures import ThreadPoolExecutor\n{SAVE}def main(): ThreadPoolExecutor(1).submit(save)"
    ),
    "a process pool": (
        "import multiprocessing\nfrom concurrent.futures import ProcessPoolExecutor\n"
        f"{SAVE}def main(): ProcessPoolExecutor(1, multiprocessing.get_context('fork')).submit(save)"
    ),
    "a process": (
        f"import multiprocessing\n{SAVE}def main(): multiprocessing.get_context('fork').Process(target=save).start()"
    ),
    "a daemon that is cut off": (
        "def work():\n    time.sleep(60)\n    print('never')\n"
        "def main(): threading.Thread(target=work, daemon=True).start()"
    ),
    "a daemon that uses what the module holds": (
        "def tick(): pass\ndef work():\n    while True: tick(); time.sleep(0.001)\n"
        "def main(): threading.Thread(target=work, daemon=True).start()"
    ),
    "an exit handler": f"{SAVE}atexit.register(save)\ndef main(): pass",
    "an exit handler of init": f"{SAVE}def init(): atexit.register(save)\ndef main(): print('main')",
    "exit handlers, the last first": (
        "def main():\n    for n in range(3): atexit.register(print, n)\n    print('main')"
    ),
    "exit handlers after threads": (
        "def work(): time.sleep(0.2); print('thread')\natexit.register(print, 'handler')\n"
        "def main(): threading.Thread(target=work).start()"
    ),
    "an exit handler that was taken back": (
        "def main():\n    atexit.register(print, 'never')\n    atexit.unregister(print)\n    print('main')"
    ),
    "a finaliser": (
        "import weakref\nclass Thing: pass\nthing = Thing()\nweakref.finalize(thing, print, 'finalised')\n"
        "def main(): print('main')"
    ),
    "__del__ of what the module holds": (
        "class Thing:\n    def __del__(self): print('deleted')\nthing = Thing()\ndef main(): print('main')"
    ),
    "__del__ of a cycle": (
        "class Thing:\n    def __del__(self): print('deleted')\nthing = Thing(); thing.self = thing\n"
        "def main(): print('main')"
    ),
    "an archive that is open": (
        "import zipfile\narchive = zipfile.ZipFile(HERE / 'x.zip', 'w')\n"
        "def main(): archive.writestr(zipfile.ZipInfo('x.txt'), 'x')"
    ),
    "a compressed file that is open": (
        "import bz2\nfile = bz2.BZ2File(HERE / 'x.bz2', 'wb')\ndef main(): file.write(b'kept')"
    ),
    "a file that is open at the top": "file = open(HERE / 'out.txt', 'w')\ndef main(): file.write('kept')",
    "a file that is open in init": (
        "def init():\n    global file\n    file = open(HERE / 'out.txt', 'w')\ndef main(): file.write('kept')"
    ),
    "a file that another module holds": ("import beside\ndef main(): beside.open_in(HERE); beside.file.write('kept')"),
    "a binary file in a default argument": ("def main(file=open(HERE / 'out.bin', 'wb')): file.write(b'kept')"),
    "a file that a class holds": (
        "class Log:\n    file = open(HERE / 'out.txt', 'w')\ndef main(): Log.file.write('kept')"
    ),
    "a csv writer": "import csv\nwriter = csv.writer(open(HERE / 'x.csv', 'w'))\ndef main(): writer.writerow([1, 2])",
    "a log file": (
        "import logging, logging.handlers\n"
        "handler = logging.handlers.MemoryHandler(100, target=logging.FileHandler(HERE / 'x.log', delay=True))\n"
        "def main():\n    logging.getLogger('x').addHandler(handler); logging.getLogger('x').warning('kept')"
    ),
    "a temporary folder": (
        "import tempfile\nfolder = tempfile.TemporaryDirectory(dir=HERE)\n"
        "def main(): open(folder.name + '/x', 'w').write('gone')"
    ),
    "a failure, and a thread": f"{SAVE}def main():\n    threading.Thread(target=save).start()\n    raise ValueError",
    "a failure, and an exit handler": f"{SAVE}atexit.register(save)\ndef main(): raise ValueError",
    "a failure at import, and an exit handler": f"{SAVE}atexit.register(save)\nraise ValueError\ndef main(): pass",
    "a failure, and an open file": (
        "file = open(HERE / 'out.txt', 'w')\ndef main():\n    file.write('kept')\n    raise ValueError"
    ),
    "sys.exit(0), and an exit handler": f"{SAVE}atexit.register(save)\ndef main(): sys.exit(0)",
    "sys.exit(0) at import, and a thread": f"{SAVE}threading.Thread(target=save).start()\nsys.exit()\ndef main(): pass",
    "sys.exit(2), and an open file": (
        "file = open(HERE / 'out.txt', 'w')\ndef main():\n    file.write('kept')\n    sys.exit(2)"
    ),
    "os._exit in an exit handler": "def main(): atexit.register(os._exit, 4)",
    "a line that has no end": "def main(): print('kept', end='')",
}


@pytest.mark.parametrize("what", WORK)
def test_what_is_left_at_work_comes_to_its_end(side, tmp_path, what):
    beside = "def open_in(folder):\n    global file\n    file = open(folder / 'out.txt', 'w')\n"
    _, here = compare(side, tmp_path, WORK[what], head=HEAD, files={"beside.py": beside})
    topics = [event["topic"] for event in here.events]
    last = len(topics) - 1 - topics[::-1].index("procedure.lifecycle.statechange")
    assert "procedure.output.stream" not in topics[last:], "the end is told before the last output"


def test_file_of_gzip_that_is_open_is_whole_though_python_since_3_14_loses_it(side, tmp_path):
    text = "import gzip\nfile = gzip.GzipFile(HERE / 'x.gz', 'wb', mtime=0)\ndef main(): file.write(b'kept')"
    here = as_procedure(side, tmp_path, text)
    assert (here.state, gzip.decompress(here.ran.files["x.gz"])) == ("COMPLETE", b"kept")


IGNORED = {
    "an exit handler that raises": "def fail(): raise ValueError('in the handler')\natexit.register(fail)\n",
    "an exit handler that exits": "atexit.register(sys.exit, 3)\n",
    "a thread that raises": "def fail(): raise ValueError('in the thread')\nthreading.Thread(target=fail).start()\n",
}


@pytest.mark.parametrize("what", IGNORED)
def test_failure_of_exit_work_is_told_and_changes_nothing(side, tmp_path, what):
    here = as_procedure(side, tmp_path, f"{IGNORED[what]}atexit.register(print, 'other')\ndef main(): pass", head=HEAD)
    assert here.state == "COMPLETE"
    assert here.ran.stdout == "other\n"
    assert "Traceback" in here.ran.stderr


NEVER = {
    "a thread": "def hang(): threading.Event().wait()\ndef main():\n    threading.Thread(target=hang).start()\n",
    "an exit handler": "def hang(): threading.Event().wait()\natexit.register(hang)\ndef main():\n    pass\n",
    "a thread pool": (
        "from concurrent.futures import ThreadPoolExecutor\ndef hang(): threading.Event().wait()\n"
        "def main():\n    ThreadPoolExecutor(1).submit(hang)\n"
    ),
}


@pytest.fixture(scope="module", params=["forked", "plain"])
def hasty(request, tmp_path_factory):
    """A service that gives exit work half a second."""
    options = ["--OetApp.exit_seconds=0.5", f"--OetApp.fork={request.param == 'forked'}"]
    with serve(tmp_path_factory.mktemp(f"hasty-{request.param}"), *options) as made:
        yield made


@pytest.mark.parametrize("end", ["COMPLETE", "FAILED"])
@pytest.mark.parametrize("what", NEVER)
def test_exit_work_that_never_ends_is_cut_and_that_is_said(hasty, tmp_path, what, end):
    failure = "    raise ValueError('on purpose')\n" if end == "FAILED" else ""
    text = f"{NEVER[what]}    file.write('kept')\n{failure}"
    here = as_procedure(hasty, tmp_path, f"file = open(HERE / 'out.txt', 'w')\n{text}", head=HEAD)
    assert here.state == end
    assert "cut off after 0.5 s" in here.ran.stderr
    assert "in hang" in here.ran.stderr
    assert here.ran.files == {"out.txt": b"kept"}
    assert ("on purpose" in here.stacktrace) == (end == "FAILED")
