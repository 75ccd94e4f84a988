"""A forked kernel is a process as one that was started plainly: nothing of the fork server's is left in it.

Three kernels of one service are asked once for all that a script can find out about its process, one that was started
plainly and two that were forked; the tests compare what they said.
"""

import asyncio
import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from tests.conftest import Bench
from tests.kernel_manager.conftest import forking

PRELOADED = """
import atexit, os, tempfile, weakref
class Thing: pass
thing = Thing()
tempfile.gettempdir()
def say(word):
    with open(os.environ["OET_TEST_SAID"], "a") as file:
        file.write(f"{word} {os.getpid()}\\n")
atexit.register(say, "atexit-of-server")
weakref.finalize(thing, say, "finalizer-of-server")
"""
"""A module that leaves in the fork server what a module may leave."""

PROBE = """
import atexit, gc, json, locale, logging.handlers, multiprocessing, os, random, resource, secrets, signal, subprocess
import sys, tempfile, threading, time, uuid, weakref
import __main__, numpy, zmq
from IPython import get_ipython
from oet_test_preloaded import say

def task_status(task):
    with open(f"/proc/self/task/{task}/status") as file:
        return dict(line.split(":", 1) for line in file.read().splitlines())

def main():
    shell, me = get_ipython(), os.getpid()
    status = task_status(me)
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    print(json.dumps({
        "pid": me, "session": os.getsid(0), "group": os.getpgrp(),
        "dispositions": {
            one.name: repr(signal.getsignal(one)) for one in signal.valid_signals() if isinstance(one, signal.Signals)
        },
        "ignored": status["SigIgn"], "caught": status["SigCgt"],
        "masks": sorted({task_status(task)["SigBlk"].strip() for task in os.listdir("/proc/self/task")}),
        "mask": [int(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "wakeup": wakeup >= 0,
        "umask": status["Umask"], "nice": os.nice(0),
        "limits": [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name[:7] == "RLIMIT_"],
        "environment": dict(os.environ), "folder": os.getcwd(), "zone": time.tzname,
        "path": sys.path, "argv": sys.argv, "original argv": sys.orig_argv, "flags": repr(sys.flags),
        "main": sorted(vars(__main__)), "main is the shell's": __main__.__dict__ is shell.user_ns,
        "name": __name__, "streams": [type(sys.stdout).__name__, type(sys.stderr).__name__],
        "stdin": sys.stdin.read(), "locale": locale.setlocale(locale.LC_ALL),
        "gc": [gc.isenabled(), *gc.get_threshold()],
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "native id": threading.main_thread().native_id, "main thread": threading.current_thread().native_id,
        "jupyter session": shell.kernel.session.session, "jupyter session's process": shell.kernel.session.pid,
        "zmq context": [zmq.Context._instance_pid, shell.kernel.parent.context is zmq.Context._instance],
        "key": multiprocessing.current_process().authkey.hex(), "original folder": multiprocessing.process.ORIGINAL_DIR,
        "temporary folder": tempfile.gettempdir(),
        "random": random.random(), "numpy": numpy.random.random(), "numpy's own": numpy.random.default_rng().random(),
        "uuid": uuid.uuid4().hex, "uuid1": uuid.uuid1().hex, "secret": secrets.token_hex(),
        "temporary name": os.path.basename(tempfile.mktemp()), "hash": hash("hash"),
    }))

atexit.register(say, "atexit")
folder = tempfile.TemporaryDirectory(prefix=f"oet-test-{os.getpid()}-")  # removed by a finalizer
threading.Thread(target=lambda: (threading.main_thread().join(), say("thread"))).start()
memory = logging.handlers.MemoryHandler(100, target=logging.FileHandler(os.environ["OET_TEST_SAID"]))
logging.getLogger().addHandler(memory)
logging.getLogger().error("logged %d", os.getpid())
"""


class Kernel(NamedTuple):
    """What a kernel said of itself, and what was seen of it from outside."""

    said: dict[str, Any]
    script: Path
    folder: Path
    files: dict[int, str]
    """Where its file descriptors lead to."""
    parent: int


class Facts(NamedTuple):
    """What was found out."""

    plain: Kernel
    forked: Kernel
    other: Kernel
    server_files: dict[int, str]
    service_files: dict[int, str]
    at_exit: list[str]
    left: list[Path]


def files_of(pid: int) -> dict[int, str]:
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that the folder is read with
            found[int(entry.name)] = os.readlink(entry)
    return found


async def look(bench: Bench, name: str) -> Kernel:
    """Run the probe, and look at its process while the procedure is READY."""
    procedure = await bench.ready(PROBE, name=name)
    kernel = bench.registry.find(procedure).kernel
    assert kernel is not None
    parent = psutil.Process(kernel.pid).ppid()
    files = files_of(kernel.pid)
    await bench.start(procedure)
    await bench.until(procedure)
    return Kernel(json.loads(bench.output(procedure)), bench.folder / name, kernel.folder, files, parent)


async def find_out(folder: Path) -> Facts:
    elsewhere = folder / "service"
    for kind in ("f", "p"):
        (elsewhere / kind).mkdir(parents=True)
    async with forking("numpy", "oet_test_preloaded") as server:
        assert server.running
        # what has changed since the fork server was started is for the kernels, not for it
        os.chdir(elsewhere)
        os.environ["TMPDIR"] = str(elsewhere)
        os.environ["TZ"] = "Antarctica/Troll"
        del os.environ["OET_TEST_GONE"]
        forked, plain = (Bench(elsewhere / kind, fork_server=one) for kind, one in (("f", server), ("p", None)))
        try:
            seen = [await look(bench, name) for bench, name in ((plain, "a.py"), (forked, "a.py"), (forked, "b.py"))]
            server_files, service_files = files_of(seen[1].parent), files_of(os.getpid())
        finally:
            for bench in (forked, plain):
                await bench.service.close()
                bench.state.close()
    said, left = (folder / "said").read_text().splitlines(), list(elsewhere.glob("oet-test-*"))
    return Facts(*seen, server_files, service_files, said, left)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facts]:
    folder = tmp_path_factory.mktemp("facts")
    with pytest.MonkeyPatch.context() as patch:
        library = folder / "library"
        library.mkdir()
        (library / "oet_test_preloaded.py").write_text(PRELOADED)
        patch.setenv("PYTHONPATH", str(library))
        patch.setenv("OET_TEST_SAID", str(folder / "said"))
        patch.setenv("OET_TEST_GONE", "1")
        patch.setenv("TMPDIR", os.environ.get("TMPDIR", "/tmp"))
        patch.setenv("TZ", "UTC")
        patch.chdir(folder)
        yield asyncio.run(find_out(folder))


@pytest.mark.parametrize(
    "what",
    [
        *("dispositions", "ignored", "caught", "masks", "mask", "wakeup", "umask", "nice", "limits", "folder", "zone"),
        *("flags", "main", "main is the shell's", "name", "streams", "stdin", "locale", "gc", "original folder"),
        "temporary folder",
    ],
)
def test_forked_kernel_says_what_a_plain_one_says(facts, what):
    assert facts.forked.said[what] == facts.plain.said[what]


def test_kernels_are_forked_and_plain_as_the_other_tests_think(facts):
    assert facts.plain.parent == os.getpid()
    assert facts.forked.parent == facts.other.parent != os.getpid()


def test_it_leads_a_session_and_a_process_group_of_its_own(facts):
    said = facts.forked.said
    assert said["pid"] == said["session"] == said["group"]


def test_no_signal_is_blocked_in_any_of_its_threads_but_those_that_libraries_block(facts):
    assert facts.forked.said["mask"] == []
    assert facts.forked.said["masks"] == facts.plain.said["masks"]


def test_its_main_thread_bears_the_number_of_its_process(facts):
    said = facts.forked.said
    assert said["native id"] == said["main thread"] == said["pid"]


def test_its_environment_is_the_services_of_now(facts):
    of_one_kernel = {"OET_KERNEL_ID", "JPY_PARENT_PID"}
    forked, plain = facts.forked.said["environment"], facts.plain.said["environment"]
    assert {name: forked[name] for name in forked.keys() - of_one_kernel} == {
        name: plain[name] for name in plain.keys() - of_one_kernel
    }
    assert forked["TZ"] == "Antarctica/Troll"
    assert "OET_TEST_GONE" not in forked


def test_its_command_line_is_a_kernels(facts):
    assert facts.forked.said["argv"] == [str(facts.forked.script)]
    assert facts.forked.said["original argv"] == [
        word.replace(str(facts.plain.folder), str(facts.forked.folder)) for word in facts.plain.said["original argv"]
    ]


def test_it_imports_from_the_scripts_folder_and_not_from_the_fork_servers(facts):
    assert facts.forked.said["path"][0] == str(facts.forked.script.parent)
    assert facts.forked.said["path"][1:] == facts.plain.said["path"][1:]
    assert not {"", ".", str(facts.forked.script.parents[2])} & set(facts.forked.said["path"])


def test_its_threads_are_a_plain_kernels(facts):
    def names(kernel):
        return {re.sub(r"Thread-\d+", "Thread", name) for name in kernel.said["threads"]}

    # plain ones have IPython's history, and watch whether their parent is there
    assert names(facts.plain) - names(facts.forked) <= {"IPythonHistorySavingThread", "Thread"}
    assert names(facts.forked) <= names(facts.plain)


@pytest.mark.parametrize(
    "what",
    [
        *("random", "numpy", "numpy's own", "uuid", "uuid1", "secret", "temporary name", "key", "jupyter session"),
        *("pid", "argv"),
    ],
)
def test_no_two_kernels_of_a_fork_server_have_the_same(facts, what):
    assert facts.forked.said[what] != facts.other.said[what]


def test_hashes_are_the_same_in_all_kernels_of_a_fork_server(facts):
    """The one thing that cannot be undone; docs/explanation/forking.md says so."""
    assert facts.forked.said["hash"] == facts.other.said["hash"]


def test_its_jupyter_session_and_its_zeromq_context_were_made_in_it(facts):
    said = facts.forked.said
    assert said["jupyter session's process"] == said["pid"]
    assert said["zmq context"] == facts.plain.said["zmq context"] or said["zmq context"][0] == said["pid"]


def test_its_output_below_python_goes_to_a_file_of_its_own(facts):
    assert str(facts.forked.folder / "stdio.log") in facts.forked.files.values()
    assert facts.forked.files[0] == os.devnull


def test_no_file_socket_or_pipe_of_anybody_else_is_open_in_it(facts):
    own = set(facts.forked.files.values())
    paths = {Path(path) for path in own if path.startswith("/") and path != os.devnull}
    paths = {path for path in paths if path.name != "said" and not _is_library(path)}  # the first is the script's own
    assert {path.parent for path in paths} == {facts.forked.folder}
    told_apart = {path for path in own if path.startswith(("socket:", "pipe:"))}
    for others in (facts.other.files, facts.plain.files, facts.server_files, facts.service_files):
        assert not told_apart & set(others.values())


def test_it_has_no_more_files_open_than_a_plain_kernel(facts):
    """Among them what has no name to tell it apart by: event loops, which must not be shared."""

    def count(kernel, what):
        return [path.partition(":")[0] for path in kernel.files.values()].count(what)

    for what in ("socket", "pipe", "anon_inode"):
        assert count(facts.forked, what) <= count(facts.plain, what)


def test_no_kernels_file_is_open_in_the_fork_server(facts):
    assert not [path for path in facts.server_files.values() if "kernels" in path]
    assert len([path for path in facts.server_files.values() if not _is_library(Path(path))]) <= 8


def _is_library(path):
    """True for a shared library: libffi keeps its own file open, to map it again."""
    return ".so" in path.suffixes


@pytest.mark.parametrize("kind", ["plain", "forked", "other"])
def test_exit_handlers_of_the_script_and_of_the_standard_library_run(facts, kind):
    """Those of `atexit`, of `threading`, of `logging` (what was buffered is written), of `weakref` (folders go)."""
    pid = getattr(facts, kind).said["pid"]
    assert {f"atexit {pid}", f"thread {pid}", f"logged {pid}"} <= set(facts.at_exit)
    assert facts.left == []


def test_exit_handlers_that_preloaded_modules_left_in_the_fork_server_do_not_run_in_kernels(facts):
    ran = {line.split()[1] for line in facts.at_exit if "of-server" in line}
    assert ran == {str(facts.plain.said["pid"])}
