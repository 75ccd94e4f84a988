"""However a kernel's process ends, its procedure ends with it, and says how."""

import pytest

from oet_kernel.models import ProcedureState
from oet_kernel.system.processes import describe_exit
from tests.conftest import gone

pytestmark = pytest.mark.anyio

PRELUDE = "import os, sys, signal, ctypes\nprint('last thing said')\n"


@pytest.mark.parametrize(
    ("main", "says"),
    [
        ("os._exit(3)", "exit code 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("ctypes.string_at(0)", "SIGSEGV"),
        ("os.abort()", "SIGABRT"),
    ],
)
async def test_death_of_the_kernel_is_a_failure_that_names_the_cause_and_the_last_output(bench, main, says):
    summary = await bench.run(f"{PRELUDE}def main():\n    print('in main')\n    {main}\n")
    assert summary.state is ProcedureState.FAILED
    assert says in summary.history.stacktrace
    assert "in main" in summary.history.stacktrace


@pytest.mark.parametrize("where", ["import", "init"])
async def test_death_before_it_is_ready_is_a_failure_too(bench, where):
    body = "os._exit(3)\n" if where == "import" else "def init(): os._exit(3)\n"
    pid = await bench.create(f"{PRELUDE}{body}def main(): pass\n")
    summary = await bench.until(pid)
    assert summary.state is ProcedureState.FAILED
    assert "exit code 3" in summary.history.stacktrace
    assert "last thing said" in summary.history.stacktrace


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)", "ctypes.string_at(0)"])
async def test_death_is_told_within_a_second(bench, end):
    text = f"{PRELUDE}import time\ndef main():\n    print(time.time())\n    {end}\n"
    pid = await bench.ready(text)
    await bench.start(pid)
    summary = await bench.until(pid)
    died = float(bench.output(pid).split()[-1])
    (state, told) = summary.history.process_states[-1]
    assert state is ProcedureState.FAILED
    assert told - died < 1.0


LIMITED = (
    "import resource\n"
    "def limit():\n"
    "    used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
    "    resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20),) * 2)\n"
)


async def test_memory_that_runs_out_is_a_failure_with_a_stack_trace(bench):
    """All that Python can say is said, though hardly any memory is left to say it with."""
    text = f"{LIMITED}def main():\n    limit()\n    kept = []\n    while True: kept.append('x' * 1000)\n"
    summary = await bench.run(text)
    assert summary.state is ProcedureState.FAILED
    assert "MemoryError" in summary.history.stacktrace
    assert "kept.append" in summary.history.stacktrace


async def test_memory_that_runs_out_in_compiled_code_is_a_failure(bench):
    """C code that cannot get memory and gives up takes the process with it."""
    text = (
        f"{PRELUDE}{LIMITED}def main():\n    limit()\n    print('greedy')\n"
        "    libc = ctypes.CDLL(None)\n    libc.malloc.restype = ctypes.c_void_p\n"
        "    if libc.malloc(ctypes.c_size_t(1 << 40)) is None:\n        os.abort()\n"
    )
    summary = await bench.run(text)
    assert summary.state is ProcedureState.FAILED
    assert "SIGABRT" in summary.history.stacktrace
    assert "greedy" in summary.history.stacktrace


async def test_sys_exit_in_main_is_a_failure_that_ends_with_its_code(bench):
    summary = await bench.run("import sys\ndef main():\n    sys.exit(3)\n")
    assert summary.state is ProcedureState.FAILED
    assert summary.history.stacktrace.rstrip().endswith("SystemExit: 3")


async def test_death_of_a_ready_kernel_is_noticed(bench):
    pid = await bench.ready(
        "import os, threading\ndef main(): pass\ndef init():\n    threading.Timer(0.1, os._exit, [9]).start()\n"
    )
    summary = await bench.until(pid)
    assert summary.state is ProcedureState.FAILED
    assert "exit code 9" in summary.history.stacktrace


async def test_last_words_of_a_crash_are_kept(bench):
    """What faulthandler writes below Python's streams when a process crashes is in the stack trace."""
    summary = await bench.run("import ctypes\ndef main():\n    ctypes.string_at(0)\n")
    assert "Segmentation fault" in summary.history.stacktrace
    assert "script.py" in summary.history.stacktrace


async def test_events_published_right_before_the_end_are_not_lost(bench):
    text = (
        "import os\nfrom oet_kernel.api import publish\n"
        "def main():\n    for n in range(1000): publish('user.script.announce', msg=n)\n    os._exit(1)\n"
    )
    pid = await bench.ready(text)
    await bench.start(pid)
    await bench.until(pid)
    assert [event["msg"] for event in bench.said("user.script.announce", pid)] == list(range(1000))


async def test_processes_that_a_dead_kernel_left_behind_are_ended(bench):
    """A subprocess in a session of its own does not outlive the kernel that was killed."""
    text = (
        "import os, signal, subprocess\ndef main():\n"
        "    child = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "    print(child.pid)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    pid = await bench.ready(text)
    await bench.start(pid)
    await bench.until(pid)
    child = int(bench.output(pid))
    assert await gone(child, 5)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0, "exit code 0"),
        (7, "exit code 7"),
        (-9, "SIGKILL (kill -9, or the system ran out of memory)"),
        (-64, "SIGRTMAX"),
    ],
)
def test_exit_status_is_said_in_words(status, text):
    assert text in describe_exit(status)
