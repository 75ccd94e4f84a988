"""A stop always ends: whatever the script does, within the ladder's deadlines, and with all its descendants."""

import asyncio
import os

import psutil
import pytest

from oet_kernel.models import ProcedureState, StopProcessCommand

pytestmark = pytest.mark.anyio

SAY = "from oet_kernel.api import publish\nimport signal, socket, subprocess, sys, threading, time, asyncio, ctypes\n"
STUBBORN = {
    "python loop": "while True: pass",
    "sleep": "time.sleep(1000)",
    "lock": "threading.Lock().acquire() and None\n    lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "socket": "a, b = socket.socketpair(); a.recv(1)",
    "subprocess": "subprocess.run(['sleep', '1000'])",
    "asyncio.run": "asyncio.run(asyncio.sleep(1000))",
    "swallows interrupts": (
        "while True:\n        try:\n            time.sleep(1000)\n        except BaseException: pass"
    ),
    "ignores SIGTERM too": (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    while True:\n        try:\n            time.sleep(1000)\n"
        "        except BaseException: pass"
    ),
    "blocks in C": "ctypes.PyDLL(None).sleep(1000)\n    ctypes.PyDLL(None).sleep(1000)",
    "frozen": "import os; os.kill(os.getpid(), signal.SIGSTOP)",
}


async def stop(bench, pid, abort=False):
    async with asyncio.timeout(60):
        return await bench.service.stop(StopProcessCommand(pid, abort))


async def announced(bench, pid):
    """Wait until the script has announced something."""
    with bench.bus.subscribe(["user.script.announce"], procedure=pid) as events:
        if not bench.said("user.script.announce", pid):
            async with asyncio.timeout(60):
                await events.batch()


@pytest.mark.parametrize("what", STUBBORN)
async def test_running_script_is_stopped_whatever_it_does(bench, what):
    pid = await bench.ready(f"{SAY}def main():\n    publish('user.script.announce', msg='on')\n    {STUBBORN[what]}\n")
    await bench.start(pid)
    await announced(bench, pid)
    process = bench.registry.find(pid).kernel.pid
    outcome = await stop(bench, pid)
    assert outcome.stopped
    assert bench.service.summarise([pid])[0].state is ProcedureState.STOPPED
    assert not psutil.pid_exists(process)


async def test_async_main_is_interrupted_in_await(bench):
    pid = await bench.ready(
        f"{SAY}async def main():\n    try:\n        publish('user.script.announce', msg='on')\n"
        "        await asyncio.sleep(1000)\n    finally:\n        print('cleaned up')\n"
    )
    await bench.start(pid)
    await announced(bench, pid)
    await stop(bench, pid)
    assert bench.output(pid) == "cleaned up\n"


async def test_script_that_is_interrupted_cleans_up_and_runs_its_exit_handlers(make_bench):
    bench = make_bench(interrupt_seconds=10.0, terminate_seconds=10.0)
    pid = await bench.ready(
        f"{SAY}import atexit\natexit.register(lambda: print('at exit'))\n"
        "def main():\n    try:\n        publish('user.script.announce', msg='on')\n"
        "        time.sleep(1000)\n    finally:\n        print('cleaned up')\n"
    )
    await bench.start(pid)
    await announced(bench, pid)
    await stop(bench, pid)
    assert bench.output(pid) == "cleaned up\nat exit\n"


@pytest.mark.parametrize(
    "child",
    [
        "subprocess.Popen(['sleep', '1000'])",
        "subprocess.Popen(['sleep', '1000'], start_new_session=True)",
        "subprocess.Popen(['sh', '-c', 'trap \"\" TERM INT; sleep 1000'])",
        "subprocess.Popen(['sh', '-c', 'setsid setsid sleep 1000 & exec sleep 1000'])",
    ],
)
@pytest.mark.parametrize("swallows", [False, True])
async def test_descendants_of_a_stopped_script_are_ended(bench, child, swallows):
    wait = (
        "while True:\n        try: time.sleep(1000)\n        except BaseException:\n            if not SWALLOW: raise"
    )
    pid = await bench.ready(
        f"{SAY}SWALLOW = {swallows}\ndef main():\n    {child}\n"
        f"    publish('user.script.announce', msg='on')\n    {wait}\n"
    )
    await bench.start(pid)
    await announced(bench, pid)
    kernel = bench.registry.find(pid).kernel
    mark = f"OET_KERNEL_ID={kernel.folder}".encode()
    # by their parents: the environment of a process that is just being replaced by another program reads as empty
    assert psutil.Process(kernel.pid).children(recursive=True)
    await stop(bench, pid)
    _, alive = await asyncio.to_thread(psutil.wait_procs, _marked(mark), 5)  # one that was killed takes its time to go
    assert alive == []


def _marked(mark: bytes) -> list[psutil.Process]:
    found = []
    for pid in psutil.pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ:
                if mark in environ.read():
                    found.append(psutil.Process(pid))
        except (OSError, psutil.Error):
            pass
    return found


async def test_stop_works_while_the_kernel_starts(bench):
    pid = await bench.create("def main(): pass")
    assert (await stop(bench, pid)).stopped
    summary = bench.service.summarise([pid])[0]
    assert [state.name for state, _ in summary.history.process_states] in (
        ["CREATING", "STOPPED"],
        ["CREATING", "IDLE", "STOPPED"],
    )


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ("import time\ntime.sleep(1000)\ndef main(): pass", ProcedureState.LOADING),
        ("import time\ndef init(): time.sleep(1000)\ndef main(): pass", ProcedureState.INITIALISING),
        ("def main(): pass", ProcedureState.READY),
    ],
)
async def test_stop_works_in_every_state_before_the_end(bench, script, state):
    pid = await bench.create(script)
    assert (await bench.until(pid, state)).state is state
    assert (await stop(bench, pid)).stopped
    assert bench.service.summarise([pid])[0].state is ProcedureState.STOPPED


async def test_two_stops_at_once_both_succeed_and_stop_once(bench):
    pid = await bench.ready("import time\ndef main(): time.sleep(1000)")
    await bench.start(pid)
    await bench.until(pid, ProcedureState.RUNNING)
    outcomes = await asyncio.gather(stop(bench, pid), stop(bench, pid))
    assert [outcome.stopped for outcome in outcomes] == [True, True]
    states = [state for state, _ in bench.service.summarise([pid])[0].history.process_states]
    assert states.count(ProcedureState.STOPPED) == 1
    assert len(bench.said("procedure.lifecycle.stopped", pid)) == 1


async def test_stop_of_an_ended_procedure_changes_nothing(bench):
    summary = await bench.run("def main(): pass")
    assert not (await stop(bench, summary.id)).stopped
    assert bench.service.summarise([summary.id])[0].state is ProcedureState.COMPLETE


async def test_script_that_returns_normally_after_a_stop_is_stopped(bench):
    pid = await bench.ready(
        f"{SAY}def main():\n    try:\n        publish('user.script.announce', msg='')\n"
        "        time.sleep(1000)\n    except KeyboardInterrupt: pass\n"
    )
    await bench.start(pid)
    await announced(bench, pid)
    await stop(bench, pid)
    assert bench.service.summarise([pid])[0].state is ProcedureState.STOPPED


async def test_closing_the_service_ends_every_kernel(make_bench):
    bench = make_bench()
    pids = [await bench.ready("import time\ndef main(): time.sleep(1000)") for _ in range(3)]
    await bench.start(pids[0])
    kernels = [bench.registry.find(pid).kernel.pid for pid in pids]
    await bench.service.close()
    assert not any(psutil.pid_exists(kernel) for kernel in kernels)
    assert {summary.state for summary in bench.service.summarise(pids)} == {ProcedureState.STOPPED}
    assert os.listdir(bench.state.runtime) == []
