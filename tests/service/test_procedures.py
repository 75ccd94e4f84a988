"""The rules of the ScriptExecutionService, with real kernels."""

import asyncio
import os
from collections import Counter

import pytest

from oet_kernel.errors import StateFolderInUse, TooManyKernels
from oet_kernel.models import ProcedureState, StopProcessCommand
from oet_kernel.state.folder import StateFolder
from tests.service.remote import anywhere

pytestmark = pytest.mark.anyio

FOREVER = "import time\ndef init(**kwargs): pass\ndef main(**kwargs): time.sleep(1000)\n"
NOTHING = "def main(*args, **kwargs): pass\n"


def states(summary) -> list[str]:
    return [state.name for state, _ in summary.history.process_states]


# --- the life of a procedure


@anywhere()
async def test_good_run_without_init(bench):
    summary = await bench.run(NOTHING)
    assert states(summary) == ["CREATING", "IDLE", "LOADING", "IDLE", "READY", "RUNNING", "READY", "COMPLETE"]


@anywhere()
async def test_good_run_with_init(bench):
    pid = await bench.ready("def init(a, *, b): print('init', a, b)\ndef main(c): print('main', c)\n", 1, b=2)
    await bench.start(pid, 3)
    summary = await bench.until(pid)
    assert states(summary) == [
        "CREATING", "IDLE", "LOADING", "IDLE", "INITIALISING", "READY", "RUNNING", "READY", "COMPLETE",
    ]  # fmt: skip
    assert bench.output(pid) == "init 1 2\nmain 3\n"
    assert {name: (call.args, call.kwargs) for name, call in summary.script_args.items()} == {
        "init": ([1], {"b": 2}),
        "main": ([3], {}),
    }


async def test_state_that_init_sets_is_there_for_main_also_when_it_rebinds_main(bench):
    text = (
        "import functools\nstate = {}\ndef _main(subarray_id, x): print(subarray_id, x, state)\n"
        "def init(subarray_id):\n    global main\n    state['set'] = True\n"
        "    main = functools.partial(_main, subarray_id)\n"
    )
    pid = await bench.ready(text, subarray_id=4)
    await bench.start(pid, "x")
    assert (await bench.until(pid)).state is ProcedureState.COMPLETE
    assert bench.output(pid) == "4 x {'set': True}\n"


@pytest.mark.parametrize(
    ("text", "before", "says"),
    [
        ("def init(): pass\n", "INITIALISING", "has no function main()"),
        ("x = 1\n", "LOADING", "has no function main()"),
        ("def main(:\n", "LOADING", "SyntaxError"),
        ("import nonsense_module\n", "LOADING", "ModuleNotFoundError"),
        ("raise ValueError('at import')\ndef main(): pass\n", "LOADING", "ValueError: at import"),
        ("def init(): raise ValueError('in init')\ndef main(): pass\n", "INITIALISING", "ValueError: in init"),
        ("def init(x): pass\ndef main(): pass\n", "INITIALISING", "TypeError: init() missing 1 required"),
    ],
)
@anywhere()
async def test_failure_before_ready_is_failed_with_its_stack_trace(bench, text, before, says):
    pid = await bench.create(text)
    summary = await bench.until(pid, ProcedureState.READY)
    assert states(summary)[-2:] == [before, "FAILED"]
    assert says in summary.history.stacktrace
    assert bench.said("procedure.lifecycle.stacktrace", pid)[0]["stacktrace"] == summary.history.stacktrace


@pytest.mark.parametrize(
    ("text", "args", "says"),
    [
        ("def main(): raise RuntimeError('in main')\n", [], "RuntimeError: in main"),
        ("def main(x): pass\n", [], "TypeError: main() missing 1 required"),
        ("def main(): pass\n", [1], "TypeError: main() takes 0 positional arguments"),
        ("async def main(): raise RuntimeError('in async')\n", [], "RuntimeError: in async"),
    ],
)
@anywhere()
async def test_failure_in_main_is_failed_with_its_stack_trace(bench, text, args, says):
    summary = await bench.run(text, *args)
    assert states(summary)[-2:] == ["RUNNING", "FAILED"]
    assert says in summary.history.stacktrace
    assert len(bench.said("procedure.lifecycle.failed", summary.id)) == 1


async def test_stack_trace_starts_in_the_script(bench):
    summary = await bench.run("def main():\n    inner()\ndef inner():\n    1/0\n")
    lines = summary.history.stacktrace.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "script.py" in lines[1]
    assert "oet_kernel" not in summary.history.stacktrace


@anywhere()
async def test_missing_file_is_failed_not_refused(bench):
    script = bench.script("")
    (bench.folder / "script.py").unlink()
    from oet_kernel.models import PrepareProcessCommand

    pid = (await bench.service.prepare(PrepareProcessCommand(script))).id
    summary = await bench.until(pid)
    assert summary.state is ProcedureState.FAILED
    assert "FileNotFoundError" in summary.history.stacktrace
    assert "script.py" in summary.history.stacktrace


async def test_asyncio_run_works_in_a_plain_main_and_async_init_shares_its_loop_with_main(bench):
    plain = await bench.run("import asyncio\ndef main(): print(asyncio.run(asyncio.sleep(0, 'slept')))\n")
    assert plain.state is ProcedureState.COMPLETE, plain.history.stacktrace
    shared = await bench.run(
        "import asyncio\nasync def init():\n    global loop\n    loop = asyncio.get_running_loop()\n"
        "async def main():\n    assert loop is asyncio.get_running_loop()\n    await asyncio.sleep(0)\n"
    )
    assert shared.state is ProcedureState.COMPLETE, shared.history.stacktrace


# --- what it says


async def test_lines_of_output_are_whole_and_in_order_across_streams_and_below_python(bench):
    text = (
        "import os, sys, subprocess\ndef main():\n"
        "    print('one', end=' '); print('two')\n"
        "    subprocess.run(['echo', 'from a child'])\n"
        "    for n in range(100): print(n)\n"
        "    os.write(1, 'ünï\\n'.encode())\n    print('no end', end='')\n"
    )
    summary = await bench.run(text)
    texts = [event["text"] for event in bench.said("procedure.output.stream", summary.id)]
    assert all(text.endswith("\n") for text in texts[:-1]), "no line is cut"
    lines = ["one two", "from a child", *map(str, range(100)), "ünï", "no end"]
    assert "".join(texts).split("\n") == lines
    topics = [event.topic for event in bench.events if event.procedure == summary.id]
    last_output = max(n for n, topic in enumerate(topics) if topic == "procedure.output.stream")
    assert "procedure.lifecycle.complete" in topics[last_output:]


async def test_logging_and_warnings_arrive_as_output_of_stderr(bench):
    summary = await bench.run(
        "import logging, warnings\ndef main():\n    logging.warning('logged')\n    warnings.warn('warned')\n"
    )
    assert "WARNING:root:logged\n" in bench.output(summary.id, "stderr")
    assert "UserWarning: warned" in bench.output(summary.id, "stderr")


async def test_flood_of_output_arrives_whole(bench):
    summary = await bench.run("def main():\n    for n in range(50_000): print(n)\n")
    assert bench.output(summary.id) == "".join(f"{n}\n" for n in range(50_000))


async def test_displays_and_plots_arrive_with_their_mime_types(bench):
    text = (
        "from IPython.display import display, HTML\nimport matplotlib.pyplot as plt\n"
        "def main():\n    display(HTML('<b>x</b>'))\n    plt.plot([1, 2])\n    plt.show()\n    plt.plot([2, 1])\n"
    )
    summary = await bench.run(text)
    shown = bench.said("procedure.output.display", summary.id)
    assert shown[0]["data"]["text/html"] == "<b>x</b>"
    assert [("image/png" in event["data"]) for event in shown] == [False, True, True]
    assert {event["call"] for event in shown} == {"main"}


async def test_output_of_a_forked_child_and_of_threads_is_heard(bench):
    text = (
        "import multiprocessing, threading\ndef work(): print('in the child', flush=True)\n"
        "def main():\n    child = multiprocessing.get_context('fork').Process(target=work)\n"
        "    child.start(); child.join()\n"
        "    thread = threading.Thread(target=print, args=('in the thread',)); thread.start(); thread.join()\n"
    )
    summary = await bench.run(text)
    assert bench.output(summary.id) == "in the child\nin the thread\n"


async def test_nothing_of_threads_that_print_at_once_is_lost(bench):
    """Their lines may mix, as in plain Python, whose print writes word by word."""
    text = (
        "import sys, threading\nsys.setswitchinterval(1e-6)\n"
        "def work(name):\n"
        "    for n in range(300): print(name, n, 'to be one line'); print(name, n, file=sys.stderr)\n"
        "def main():\n    threads = [threading.Thread(target=work, args=(name,)) for name in 'abcd']\n"
        "    for thread in threads: thread.start()\n"
        "    for thread in threads: thread.join()\n    print('partial', end='')\n"
    )
    summary = await bench.run(text)
    out, err = bench.output(summary.id), bench.output(summary.id, "stderr")
    lines = [f"{name} {n} to be one line\n" for n in range(300) for name in "abcd"]
    assert Counter(out) == Counter("".join(lines) + "partial")
    assert out.endswith("partial")
    assert Counter(err) == Counter("".join(f"{name} {n}\n" for n in range(300) for name in "abcd"))


@anywhere()
async def test_events_of_each_transition_go_out_in_order(bench):
    summary = await bench.run(NOTHING)
    told = [
        (event.topic.rsplit(".", 1)[1], bench_state)
        for event in bench.events
        if event.topic.startswith(("procedure.lifecycle", "request"))
        for bench_state in [event.data.decode().partition('"new_state":"')[2].partition('"')[0]]
    ]
    assert told == [
        ("create", ""), ("statechange", "CREATING"), ("created", ""), ("statechange", "IDLE"),
        ("statechange", "LOADING"), ("statechange", "IDLE"), ("statechange", "READY"), ("start", ""),
        ("statechange", "RUNNING"), ("started", ""), ("statechange", "READY"), ("statechange", "COMPLETE"),
        ("complete", ""),
    ]  # fmt: skip
    created, started = bench.said("procedure.lifecycle.created")[0], bench.said("procedure.lifecycle.started")[0]
    assert created["request_id"] == bench.said("request.procedure.create")[0]["request_id"]
    assert started["request_id"] == bench.said("request.procedure.start")[0]["request_id"]
    assert created["result"]["uri"] == f"http://test/api/v1.0/procedures/{summary.id}"


async def test_main_thread_is_named_after_the_procedure(bench):
    """Scripts pass the thread's name as msg_src, which the original calls after the procedure's id."""
    summary = await bench.run("import threading\ndef main(): print(threading.current_thread().name)\n")
    assert bench.output(summary.id) == f"{summary.id}\n"


# --- at the limits


@anywhere("make_bench")
async def test_more_procedures_than_allowed_are_refused_until_one_ends(make_bench):
    bench = make_bench(max_kernels=1)
    pid = await bench.create(FOREVER)
    with pytest.raises(TooManyKernels, match=r"1 are active, and 1 are allowed.*max_kernels"):
        await bench.create(FOREVER)
    await bench.service.stop(StopProcessCommand(pid))
    assert (await bench.ready(NOTHING)) == pid + 1


async def test_second_service_on_a_state_folder_is_refused_naming_the_first(tmp_path):
    state = StateFolder(tmp_path)
    with pytest.raises(StateFolderInUse, match=f"in use by the service with process id {os.getpid()}.*--state-dir"):
        StateFolder(tmp_path)
    state.close()


async def test_commands_of_one_procedure_do_not_wait_for_another(make_bench):
    """While one script swallows its stop, others are created, run and stopped."""
    bench = make_bench(interrupt_seconds=30.0, terminate_seconds=30.0)
    gate = bench.folder / "gate"
    os.mkfifo(gate)
    stubborn = await bench.ready(
        "def main(gate):\n    while True:\n        try:\n            print('on')\n            open(gate).close()\n"
        "            return\n        except BaseException: pass\n"
    )
    with bench.bus.subscribe(["procedure.output.stream"], procedure=stubborn) as said:
        await bench.start(stubborn, str(gate))
        async with asyncio.timeout(60):
            await said.batch()  # in its try block, where an interrupt is swallowed
    stopping = asyncio.create_task(bench.service.stop(StopProcessCommand(stubborn)))
    pid = await bench.ready("def init(): pass\ndef main(): pass\n", name="other.py")
    await bench.service.stop(StopProcessCommand(pid))
    assert not stopping.done()
    await asyncio.to_thread(gate.write_bytes, b"")
    await stopping
