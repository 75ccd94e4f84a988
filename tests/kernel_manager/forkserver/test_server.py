"""The fork server: what it does not preload, what it does not serve, how its kernels end, and how it does."""

import asyncio
import os
import signal

import psutil
import pytest

from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from oet_kernel.models import ProcedureState, StopProcessCommand
from tests.conftest import DEADLINE, Bench, gone
from tests.kernel_manager.conftest import forking

pytestmark = pytest.mark.anyio

NOTHING = "def main(): pass"


@pytest.fixture
async def forked(tmp_path, fork_server):
    """A service that forks its kernels."""
    made = Bench(tmp_path, fork_server=fork_server)
    yield made
    await made.service.close()
    made.state.close()


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A folder that the fork server, and kernels, can import from."""
    folder = tmp_path / "library"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def process(bench, pid):
    return psutil.Process(bench.registry.find(pid).kernel.pid)


def was_forked(bench, pid):
    return process(bench, pid).ppid() != os.getpid()


async def stop(bench, pid):
    async with asyncio.timeout(60):
        return await bench.service.stop(StopProcessCommand(pid, run_abort=False))


# --- preloading


async def test_preloaded_module_is_there_before_the_script_imports_it(tmp_path, library):
    (library / "oet_test_slow.py").write_text("import os\nimported_in = os.getpid()\n")
    text = "import sys\ndef main():\n    print(sys.modules['oet_test_slow'].imported_in, sys.modules['numpy'].__name__)"
    async with forking("oet_test_slow", "numpy") as server:
        bench = Bench(tmp_path, fork_server=server)
        pid = await bench.ready(text)
        parent = process(bench, pid).ppid()
        await bench.start(pid)
        await bench.until(pid)
        assert bench.output(pid).split() == [str(parent), "numpy"]
        await bench.service.close()
        bench.state.close()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()", "1 thread(s)"),
        ("raise OSError('no such telescope')", "OSError: no such telescope"),
        ("import sys\nsys.exit('go away')", "SystemExit: go away"),
        ("def broken(:", "SyntaxError"),
        (None, "No module named 'oet_test_bad'"),
    ],
)
async def test_module_that_cannot_be_preloaded_is_named(library, caplog, source, says):
    if source is not None:
        (library / "oet_test_bad.py").write_text(source)
    async with forking("json", "oet_test_bad") as server:
        assert not server.running
        assert "Cannot preload oet_test_bad" in caplog.text
        assert says in caplog.text


async def test_kernels_are_started_plainly_when_a_module_cannot_be_preloaded(tmp_path):
    async with forking("oet_test_nowhere") as server:
        bench = Bench(tmp_path, fork_server=server)
        pid = await bench.ready(NOTHING)
        assert not was_forked(bench, pid)
        await bench.service.close()
        bench.state.close()


# --- what it does not serve


async def test_environment_that_is_read_at_a_start_is_an_obstacle(fork_server):
    assert fork_server.obstacle(dict(os.environ)) is None
    for variable in (
        *("PYTHONPATH", "PYTHONWARNINGS", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
        *("LANG", "LC_ALL", "HOME", "IPYTHONDIR"),
    ):
        said = fork_server.obstacle({**os.environ, variable: "secret"})
        assert variable in said
        assert "secret" not in said
    assert fork_server.obstacle({**os.environ, "OET_TEST_OTHER": "1"}) is None


async def test_kernel_that_cannot_be_forked_is_started_plainly_and_the_log_says_why(
    forked, monkeypatch, caplog, library
):
    (library / "oet_test_late.py").write_text("")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    pid = await forked.ready("import os, oet_test_late\ndef main(): print(os.environ['OMP_NUM_THREADS'])")
    assert not was_forked(forked, pid)
    await forked.start(pid)
    await forked.until(pid)
    assert forked.output(pid) == "3\n"
    assert "A kernel is started without the fork server: OMP_NUM_THREADS, PYTHONPATH changed" in caplog.text


async def test_kernel_has_the_umask_that_the_service_has_now(forked):
    before = os.umask(0o027)
    try:
        pid = await forked.ready("import os\ndef main(): print(oct(os.umask(0)))")
        assert not was_forked(forked, pid)
    finally:
        os.umask(before)
    await forked.start(pid)
    await forked.until(pid)
    assert forked.output(pid) == "0o27\n"
    again = await forked.ready(NOTHING)
    assert was_forked(forked, again)


@pytest.mark.parametrize("change", ["environment", "folder", "PYTHONPATH", "umask"])
async def test_warm_kernel_is_never_stale(tmp_path, monkeypatch, change):
    """What has changed between the start of a warm kernel and its script is for the script as it is now."""
    bench = Bench(tmp_path, fork_server=ForkServerSupervisor(tmp_path), warm_kernels=1)
    bench.pool.open()
    await bench.pool.opened()
    (tmp_path / "new").mkdir()
    before = os.umask(0o022)
    try:
        if change == "environment":
            monkeypatch.setenv("OET_TEST_NEW", "new")
        elif change == "folder":
            monkeypatch.chdir(tmp_path / "new")
        elif change == "PYTHONPATH":
            monkeypatch.setenv("PYTHONPATH", str(tmp_path / "new"))
        else:
            os.umask(0o077)
        text = (
            "import os, sys\ndef main():\n"
            "    print(os.environ.get('OET_TEST_NEW'), os.getcwd(), sys.path, oct(os.umask(0)))"
        )
        pid = await bench.ready(text)
    finally:
        os.umask(before)
    await bench.start(pid)
    await bench.until(pid)
    assert {"environment": "new ", "folder": "/new ", "PYTHONPATH": "/new'", "umask": " 0o77\n"}[
        change
    ] in bench.output(pid)
    await bench.service.close()
    bench.state.close()


# --- how kernels end


ENDS = {
    "os.kill(os.getpid(), signal.SIGKILL)": "SIGKILL",
    "ctypes.string_at(0)": "SIGSEGV",
    "os.abort()": "SIGABRT",
    "os.kill(os.getpid(), signal.SIGTERM)": "SIGTERM",
    "os._exit(7)": "exit code 7",
    "os._exit(255)": "exit code 255",
    "threading.Thread(target=os._exit, args=[9]).start(); threading.Event().wait()": "exit code 9",
    "sys.exit(3)": "SystemExit: 3",
    "resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\n    while True: pass": "SIGKILL",
}


async def test_twenty_kernels_that_end_at_once_are_each_told_by_their_own_end(tmp_path, fork_server):
    """They wait, all at one pipe, until its last writer is gone."""
    bench = Bench(tmp_path, fork_server=fork_server)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    ends = list(ENDS.items()) * 2
    texts = [
        "import ctypes, os, resource, signal, sys, threading\n"
        f"gate = open({str(gate)!r}, 'rb')\ndef main(subarray_id):\n    gate.read()\n    {end}"
        for end, _ in ends
    ]
    writer = os.open(gate, os.O_RDWR)
    pids = await asyncio.gather(*(bench.ready(text, name=f"{n}.py") for n, text in enumerate(texts)))
    for n, pid in enumerate(pids):
        await bench.start(pid, subarray_id=n)
    os.close(writer)
    summaries = await asyncio.gather(*(bench.until(pid) for pid in pids))
    for (_, says), summary in zip(ends, summaries, strict=True):
        assert summary.state is ProcedureState.FAILED
        assert says in summary.history.stacktrace
    await bench.service.close()
    bench.state.close()


async def test_exception_in_a_thread_ends_the_thread_alone(bench):
    text = (
        "import threading\ndef fail(): raise ValueError('in a thread')\n"
        "def main():\n    thread = threading.Thread(target=fail)\n    thread.start()\n    thread.join()"
    )
    summary = await bench.run(text)
    assert summary.state is ProcedureState.COMPLETE
    assert "ValueError: in a thread" in bench.output(summary.id, "stderr")


async def test_fifty_kernels_that_talk_while_they_are_shut_down_end_promptly(tmp_path, fork_server):
    """ipykernel can hang for ten seconds when its streams are closed while its control thread flushes them."""
    bench = Bench(tmp_path, fork_server=fork_server, interrupt_seconds=10.0, terminate_seconds=10.0, history=100)
    text = (
        "import atexit, threading\n"
        "def talk():\n    while True: print('...', end='', flush=True); threading.Event().wait(0.001)\n"
        "def init(): threading.Thread(target=talk, daemon=True).start()\ndef main(): pass\n"
        "atexit.register(print, 'at exit', flush=True)"
    )
    for _ in range(10):
        pids = await asyncio.gather(*(bench.ready(text) for _ in range(5)))
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(stop(bench, pid) for pid in pids))
        assert asyncio.get_running_loop().time() - began < 9.5, "one that hangs takes ten"
        assert all("at exit" in bench.output(pid) for pid in pids)
    await bench.service.close()
    bench.state.close()


# --- its death


async def test_kernels_live_on_when_the_fork_server_is_killed_and_it_is_started_again(tmp_path, forked, fork_server):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    waits = f"def main(subarray_id):\n    with open({str(gate)!r}) as gate: print(gate.read())"
    running, stubborn, prepared, doomed = [
        await forked.ready(text, name=f"{n}.py") for n, text in enumerate([waits, waits, NOTHING, NOTHING])
    ]
    for n, pid in enumerate((running, stubborn)):
        await forked.start(pid, subarray_id=n)
        await forked.until(pid, ProcedureState.RUNNING)
    server = process(forked, running).ppid()
    os.kill(server, signal.SIGKILL)
    # all that were forked live on: one can be started, one is stopped, one is seen to die
    await forked.start(prepared)
    assert (await forked.until(prepared)).state is ProcedureState.COMPLETE
    gone = process(forked, stubborn)
    assert (await stop(forked, stubborn)).stopped
    assert not gone.is_running() or gone.status() == psutil.STATUS_ZOMBIE
    process(forked, doomed).kill()
    assert (await forked.until(doomed)).state is ProcedureState.FAILED
    # the next ones work, at once and when there is a fork server again
    assert (await forked.run(NOTHING)).state is ProcedureState.COMPLETE
    await fork_server.ready()
    again = await forked.ready(NOTHING)
    assert process(forked, again).ppid() not in (server, os.getpid())
    writer = os.open(gate, os.O_WRONLY)
    os.write(writer, b"open")
    os.close(writer)
    assert (await forked.until(running)).state is ProcedureState.COMPLETE
    assert forked.output(running) == "open\n"


async def test_frozen_fork_server_is_killed_with_its_kernels_at_the_deadline(tmp_path):
    async with forking() as server:
        bench = Bench(tmp_path, fork_server=server)
        kernel = process(bench, await bench.ready(NOTHING))
        os.kill(kernel.ppid(), signal.SIGSTOP)
        async with asyncio.timeout(60):
            await server._connection.end(deadline=0.1)
        assert await gone(kernel.pid)
        await bench.close()


async def test_frozen_fork_server_that_was_taken_over_is_killed_when_the_service_ends(tmp_path):
    first = ForkServerSupervisor(tmp_path)
    first.start()
    await first.ready()
    folder = tmp_path / "bench"
    folder.mkdir()
    bench = Bench(folder, fork_server=first)
    kernel = process(bench, await bench.ready(NOTHING))
    await first.detach()
    second = ForkServerSupervisor(tmp_path)
    second.start()
    await second.ready()
    assert second._process is None
    os.kill(kernel.ppid(), signal.SIGSTOP)
    async with asyncio.timeout(60):
        await second.close(deadline=0.1)
    assert await gone(kernel.pid)
    assert not second.running
    await bench.close()


@pytest.mark.parametrize("state", [ProcedureState.READY, ProcedureState.RUNNING])
async def test_stop_ends_and_is_told_as_done_while_the_fork_server_is_frozen(tmp_path, monkeypatch, state):
    monkeypatch.setattr("oet_kernel.kernel_manager.exit_status.TELL_DEADLINE", 0.2)
    async with forking() as server:
        bench = Bench(tmp_path, fork_server=server)
        pid = await bench.ready("import time\ndef main(): time.sleep(1000)")
        if state is ProcedureState.RUNNING:
            await bench.start(pid)
            await bench.until(pid, state)
        kernel = process(bench, pid)
        os.kill(kernel.ppid(), signal.SIGSTOP)
        assert (await stop(bench, pid)).stopped
        assert (await bench.until(pid)).state is ProcedureState.STOPPED
        assert kernel.status() == psutil.STATUS_ZOMBIE
        os.kill(kernel.ppid(), signal.SIGCONT)
        assert (await bench.run(NOTHING)).state is ProcedureState.COMPLETE
        await bench.close()


async def test_kernel_that_dies_while_the_fork_server_is_frozen_has_failed(tmp_path, monkeypatch):
    monkeypatch.setattr("oet_kernel.kernel_manager.exit_status.TELL_DEADLINE", 0.2)
    async with forking() as server:
        bench = Bench(tmp_path, fork_server=server)
        pid = await bench.ready(NOTHING)
        kernel = process(bench, pid)
        os.kill(kernel.ppid(), signal.SIGSTOP)
        kernel.kill()
        assert (await bench.until(pid)).state is ProcedureState.FAILED
        os.kill(kernel.ppid(), signal.SIGCONT)
        await bench.close()


@pytest.mark.parametrize("end", ["complete", "stop", "close"])
async def test_kernel_that_a_frozen_fork_server_was_asked_for_is_started_plainly_and_ends(tmp_path, monkeypatch, end):
    monkeypatch.setattr("oet_kernel.kernel_manager.forkserver.client.FORK_DEADLINE", 0.5)
    async with forking() as server:
        bench = Bench(tmp_path, fork_server=server)
        before = process(bench, await bench.ready(NOTHING))
        frozen = psutil.Process(before.ppid())
        os.kill(frozen.pid, signal.SIGSTOP)
        pid = await bench.create(NOTHING)
        if end == "complete":
            await bench.until(pid, ProcedureState.READY)
            assert not was_forked(bench, pid)
            assert before.is_running(), "its kernels live on"
            async with asyncio.timeout(60):
                await server.ready()
            assert was_forked(bench, await bench.ready(NOTHING)), "another fork server was started"
        elif end == "stop":
            assert (await stop(bench, pid)).stopped
        async with asyncio.timeout(60):
            await bench.close()
    assert await gone(frozen.pid)
    assert await gone(before.pid)


def ask(server, folder, number, **environment):
    """Ask a fork server for a kernel; gives the task."""
    own = folder / str(number)
    own.mkdir(mode=0o700)
    argv = ["kernel", "-f", f"{own}/kernel.json", "--journal", str(own), "--orphan-seconds", "0"]
    return asyncio.create_task(server.fork(argv, str(folder), {**os.environ, **environment}, f"{own}/stdio"))


async def test_requests_that_do_not_fit_the_socket_together_arrive_whole(tmp_path, fork_server):
    """Forty at once, of 20 kB each; some are given up while they are on their way."""
    tasks = [ask(fork_server, tmp_path, number, LONG="x" * 20_000) for number in range(40)]
    await asyncio.sleep(0)
    for task in tasks[::8]:
        task.cancel()
    async with asyncio.timeout(60):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    pids = {forked.pid for forked in outcomes if not isinstance(forked, BaseException)}
    assert len(pids) == 35
    assert [type(outcome) for outcome in outcomes[::8]] == [asyncio.CancelledError] * 5


async def test_fork_server_that_answers_others_meanwhile_is_waited_for(tmp_path, monkeypatch, fork_server):
    first = await ask(fork_server, tmp_path, 0)
    monkeypatch.setattr("oet_kernel.kernel_manager.forkserver.client.FORK_DEADLINE", 0.05)
    os.kill(psutil.Process(first.pid).ppid(), signal.SIGSTOP)
    connection = fork_server._connection
    connection._heard = asyncio.get_running_loop().time() + DEADLINE
    second = ask(fork_server, tmp_path, 1)
    done, _ = await asyncio.wait([second], timeout=0.3)
    assert not done, "neither forked nor given up"
    os.kill(psutil.Process(first.pid).ppid(), signal.SIGCONT)
    async with asyncio.timeout(DEADLINE):
        assert (await second).pid != first.pid
