"""Python notebooks as procedures: run cell by cell or by their functions, stopped, failed, and seen while they run."""

import asyncio
import os
import re
import signal
import subprocess

import pytest

from oet_kernel.models import GitArgs, GitScript, PrepareProcessCommand, ProcedureState, StopProcessCommand
from tests.ipynb import TEXT, notebook

pytestmark = pytest.mark.anyio
S = ProcedureState
NAME = "observe.ipynb"
SLEEP = "import time\nprint('asleep')\ntime.sleep(1000)"
BYE = ("finally", "print('bye')")


async def run(bench, text, init=None, main=None):
    pid = await bench.create(text, name=NAME, **(init or {}))
    summary = await bench.until(pid, S.READY)
    if summary.state is S.READY:
        await bench.start(pid, **(main or {}))
        summary = await bench.until(pid)
    return summary


async def printed(bench, pid, word):
    """Wait until a procedure has printed a word."""
    with bench.bus.subscribe(["procedure.output.stream"], procedure=pid) as events:
        async with asyncio.timeout(60):
            while word not in bench.output(pid):
                await events.batch()


async def running(bench, text, word):
    """Create and start a procedure, and wait until it has printed a word."""
    pid = await bench.ready(text, name=NAME)
    await bench.start(pid)
    await printed(bench, pid, word)
    return pid


def cells(bench, pid=1):
    """Tell which cells began, ended and failed, in order."""
    kinds = ("started", "finished", "failed")
    return {kind: [one["id"] for one in bench.said(f"procedure.cell.{kind}", pid)] for kind in kinds}


def names(summary):
    return [state.name for state, _ in summary.history.process_states]


BY_CELL = notebook(
    ("", "one = 1\nprint('above', one)"),
    ("parameters", "n = one\nstep = 1"),
    ("init", "print('init', n, step)"),
    BYE,
    ("", "print('first', n, step)\nn * 10"),
    ("skip-execution", "1/0"),
)


async def test_cells_run_by_their_tags_with_the_arguments_injected_behind_the_defaults(bench):
    summary = await run(bench, BY_CELL, {"n": 5}, {"n": 7})
    assert names(summary) == ["CREATING", "IDLE", "LOADING", "IDLE", "INITIALISING", "READY", "RUNNING", "READY",
                              "COMPLETE"]  # fmt: skip
    assert bench.output(1) == "above 1\ninit 5 1\nfirst 7 1\nbye\n"
    assert [one["data"] for one in bench.said("procedure.output.display")] == [{"text/plain": "70"}]
    injected = "injected-parameters"
    assert cells(bench)["started"] == ["a", "b", injected, "c", injected, "e", "d"]
    assert cells(bench)["finished"] == cells(bench)["started"]
    started = bench.said("procedure.cell.started")
    assert [one["source"] for one in started if one["id"] == injected] == ["n = 5", "n = 7"]
    assert [(one["number"], one["count"], one["call"]) for one in started if one["id"] == "c"] == [(3, 6, "init")]


async def test_without_cells_for_init_its_arguments_hold_for_main(bench):
    summary = await run(bench, notebook(("", "print(a, b)")), {"a": 1, "b": 2}, {"b": 3})
    assert "INITIALISING" not in names(summary)
    assert bench.output(1) == "1 3\n"


@pytest.mark.parametrize(
    "main",
    [
        "def main(n):\n    print('main', n, made, __name__)",
        "async def main(n):\n    import asyncio\n    await asyncio.sleep(0)\n    print('main', n, made, __name__)",
    ],
)
async def test_notebook_that_defines_main_is_called_as_a_script(bench, main):
    text = notebook(
        ("", "%precision 3\nmade = await __import__('asyncio').sleep(0, 'made')"),
        ("", "def init(subarray_id):\n    print('init', subarray_id)"),
        ("", main),
        BYE,
    )
    summary = await run(bench, text, {"subarray_id": 2}, {"n": 3})
    assert summary.state is S.COMPLETE, summary.history.stacktrace
    assert bench.output(1) == "init 2\nmain 3 made observe\nbye\n"


async def test_failing_cell_names_itself_and_the_finally_cells_are_run(bench):
    text = notebook((TEXT, "# Scan"), ("", "x = 1"), ("", "def f():\n    raise ValueError(x)"), ("", "f()"), BYE,
                    ("", "print('not reached')"))  # fmt: skip
    summary = await run(bench, text)
    assert summary.state is S.FAILED
    frames = re.sub(r"(?m)^ *[~^]+$\n", "", summary.history.stacktrace)  # Python 3.13 marks more of a line
    assert frames == (
        'Traceback (most recent call last):\n  File "observe.ipynb, cell 3", line 1, in <module>\n    f()\n'
        '  File "observe.ipynb, cell 2", line 2, in f\n    raise ValueError(x)\nValueError: 1\n'
    )
    assert cells(bench) == {"started": ["b", "c", "d", "e"], "finished": ["b", "c", "e"], "failed": ["d"]}
    assert bench.output(1) == "bye\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (notebook(("", "def f(:")), 'File "observe.ipynb, cell 1", line 1\n'),
        (notebook(("", "%nonsense")), "UsageError: Line magic function `%nonsense` not found."),
        (notebook(("", "raise SystemExit(3)")), "SystemExit: 3"),
        (notebook(("", "await nothing()")), "NameError: name 'nothing' is not defined"),
        (notebook(("", "def main(): 1/0")), 'File "observe.ipynb, cell 1", line 1, in main'),
        (notebook(("", "def main(): pass\ndel main")), "binds main to a NoneType, which cannot be called"),
        ("{}", "no notebook"),
        ('{"nbformat": 5}', "format 5"),
        (notebook(("", "1"), kernel="nowhere"), "kernel nowhere, which is not installed; installed kernels: "),
        (notebook(("", "1"), kernel="none", language="R"), "kernel none, which is not installed; installed kernels: "),
    ],
)
async def test_what_is_wrong_with_a_notebook_is_said(bench, text, told):
    summary = await run(bench, text)
    assert summary.state is S.FAILED
    assert told in summary.history.stacktrace
    assert "interactiveshell" not in summary.history.stacktrace.partition("observe.ipynb")[0]


@pytest.mark.parametrize("args", [{"not a name": 1}])
async def test_argument_that_is_no_variable_is_refused(bench, args):
    summary = await run(bench, notebook(("parameters", "")), None, args)
    assert "'not a name' is not a valid argument of a notebook" in summary.history.stacktrace


async def test_arguments_by_position_are_refused(bench):
    pid = await bench.ready(notebook(("", "1")), name=NAME)
    await bench.start(pid, 1, 2)
    summary = await bench.until(pid)
    assert "by name only, and was given 2 by position" in summary.history.stacktrace


async def test_cell_that_may_fail_does_not_end_the_run(bench):
    summary = await run(bench, notebook(("raises-exception", "1/0"), ("", "print('on')")))
    assert summary.state is S.COMPLETE
    (failed,) = bench.said("procedure.cell.failed")
    assert failed["expected"] is True
    assert "ZeroDivisionError" in failed["stacktrace"]
    assert bench.output(1) == "on\n"


async def test_failing_init_runs_the_finally_cells_once(bench):
    summary = await run(bench, notebook(("init", "1/0"), ("", "2"), BYE))
    assert summary.state is S.FAILED
    assert bench.output(1) == "bye\n"


async def test_every_finally_cell_is_run_and_the_first_failure_is_told_with_what_led_there(bench):
    summary = await run(bench, notebook(("", "1/0"), ("finally", "[][1]"), ("finally", "{}[1]"), BYE))
    assert bench.output(1) == "bye\n"
    assert "ZeroDivisionError" in summary.history.stacktrace
    assert summary.history.stacktrace.rstrip().endswith("IndexError: list index out of range")


SLEEPERS = {
    "in a call": SLEEP,
    "in await": "import asyncio\nprint('asleep')\nawait asyncio.sleep(1000)",
    "in a command": "!echo asleep; sleep 1000",
}


@pytest.mark.parametrize("cell", SLEEPERS.values(), ids=SLEEPERS)
async def test_stop_interrupts_the_cell_and_runs_the_finally_cells(bench, cell):
    pid = await running(bench, notebook(("", cell), ("", "print('not reached')"), BYE), "asleep")
    await bench.service.stop(StopProcessCommand(pid))
    summary = await bench.until(pid)
    assert summary.state is S.STOPPED
    assert [line for line in bench.output(pid).splitlines() if line != "^C"] == ["asleep", "bye"]
    assert cells(bench, pid)["failed"] == ["a"]


async def test_traceback_of_an_interrupt_is_not_formatted(bench):
    """IPython takes long for that, and a stop gives the cells tagged ``finally`` little time."""
    formats = "tb = get_ipython().InteractiveTB\ntb.structured_traceback = lambda *given, **options: print('formatted')"
    pid = await running(bench, notebook(("", formats), ("", SLEEP), BYE), "asleep")
    await bench.service.stop(StopProcessCommand(pid))
    assert (await bench.until(pid)).state is S.STOPPED
    assert bench.output(pid) == "asleep\nbye\n"


async def test_interrupt_while_a_figure_is_shown_is_not_lost(bench):
    """IPython keeps an interrupt of its callbacks after a cell to itself; the next cell must not begin."""
    hook = "def slow(*result):\n    get_ipython().events.unregister('post_execute', slow)\n"
    hook += "    print('asleep')\n    __import__('time').sleep(1000)\n"
    hook += "get_ipython().events.register('post_execute', slow)"
    pid = await running(bench, notebook(("", hook), ("", "print('not reached')")), "asleep")
    os.killpg(bench.registry.find(pid).kernel.pid, signal.SIGINT)
    summary = await bench.until(pid)
    assert summary.state is S.FAILED
    assert "KeyboardInterrupt" in summary.history.stacktrace
    assert "not reached" not in bench.output(pid)


async def test_stop_between_init_and_main_runs_the_finally_cells(bench):
    pid = await bench.ready(notebook(("init", "1"), ("", "2"), BYE), name=NAME)
    await bench.service.stop(StopProcessCommand(pid))
    assert (await bench.until(pid)).state is S.STOPPED
    assert bench.output(pid) == "bye\n"


async def test_finally_cells_that_take_too_long_do_not_hold_up_a_stop(bench):
    text = notebook(("", SLEEP), ("finally", "while True:\n    try: time.sleep(1000)\n    except: pass"))
    pid = await running(bench, text, "asleep")
    async with asyncio.timeout(60):
        await bench.service.stop(StopProcessCommand(pid))
    assert (await bench.until(pid)).state is S.STOPPED


async def test_killed_kernel_is_a_failed_procedure(bench):
    pid = await running(bench, notebook(("", SLEEP), BYE), "asleep")
    os.kill(bench.registry.find(pid).kernel.pid, signal.SIGKILL)
    summary = await bench.until(pid)
    assert summary.state is S.FAILED
    assert "SIGKILL" in summary.history.stacktrace


async def test_objects_of_a_notebook_can_be_pickled_and_its_source_is_found(bench):
    text = notebook(
        ("", "import inspect, pickle\nclass Point:\n    x = 1\ndef f():\n    return 5  # here"),
        ("", "def main():\n    print(pickle.loads(pickle.dumps(Point())).x, '# here' in inspect.getsource(f))"),
    )
    summary = await run(bench, text)
    assert summary.state is S.COMPLETE, summary.history.stacktrace
    assert bench.output(1) == "1 True\n"


async def test_modules_beside_the_notebook_are_found(bench):
    (bench.folder / "beside.py").write_text("said = 'hello'")
    await run(bench, notebook(("", "import beside, sys\nprint(beside.said, sys.argv[0].endswith('observe.ipynb'))")))
    assert bench.output(1) == "hello True\n"


async def test_notebook_in_a_git_repository_is_run_as_one_on_disk(bench, tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "deep").mkdir()
    (folder / "deep" / NAME).write_text(notebook(("parameters", "n = 1"), ("", "print('n', n)")))
    who = ["-c", "user.email=test@example.org", "-c", "user.name=Test"]
    for words in (["init", "--quiet"], ["add", "-A"], [*who, "commit", "--quiet", "-m", "x"]):
        await asyncio.to_thread(subprocess.run, ["git", *words], cwd=folder, check=True, capture_output=True)
    script = GitScript(script_uri=f"git://deep/{NAME}", git_args=GitArgs(git_repo=folder.as_uri()))
    pid = (await bench.service.prepare(PrepareProcessCommand(script))).id
    assert (await bench.until(pid, S.READY)).state is S.READY
    await bench.start(pid, n=2)
    assert (await bench.until(pid)).state is S.COMPLETE
    assert bench.output(pid) == "n 2\n"
