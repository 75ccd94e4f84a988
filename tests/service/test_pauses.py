"""A procedure waits at its checkpoints while a pause is asked for, goes on when it is resumed, and can be stopped."""

import asyncio
import contextlib
import os
import pathlib
import signal

import msgspec
import pytest
from msgspec.structs import replace

from oet_kernel import topics
from oet_kernel.errors import (
    MalformedRequest,
    NotPaused,
    PauseRefused,
    ResourceNotFound,
    StoreUnusable,
)
from oet_kernel.kernel_manager.local import LocalKernel
from oet_kernel.models import PauseProcessCommand, ProcedureState, ResumeProcessCommand, StopProcessCommand
from oet_kernel.protocol import PauseRequest
from oet_kernel.service import pause_requests as pause_module
from tests.conftest import DEADLINE
from tests.ipynb import notebook
from tests.service.remote import anywhere

pytestmark = pytest.mark.anyio

S = ProcedureState
SCANS = """
import time
from oet_kernel.api import async_checkpoint, checkpoint, publish
def main(scans=3):
    publish("test.begun")
    for scan in range(1, scans + 1):
        checkpoint(f"scan {scan}")
        print("scan", scan)
"""
ENDLESS = """
import asyncio, threading, time
from oet_kernel.api import async_checkpoint, checkpoint, publish
"""
HELD = {"interrupt_seconds": 60.0, "terminate_seconds": 60.0}
"""A stop that needs more than its first rung does not end before the test is given up."""


async def heard(bench, pid, topic, count=1):
    """Wait until so many events of a topic came; gives the last."""
    with bench.bus.subscribe([topic], procedure=pid) as events:
        async with asyncio.timeout(DEADLINE):
            while len(bench.said(topic, pid)) < count:
                await events.batch()
    return bench.said(topic, pid)[count - 1]


async def pause(bench, pid, at=None):
    return (await bench.pauses.pause(PauseProcessCommand(pid, at), "alice")).pause


async def resume(bench, pid):
    return (await bench.pauses.resume(ResumeProcessCommand(pid), "bob")).pause


async def stop(bench, pid, abort=False):
    async with asyncio.timeout(DEADLINE):
        return await bench.service.stop(StopProcessCommand(pid, abort))


def told(bench, pid):
    """List what was told of pauses."""
    names = {topic: topic.rpartition(".")[2] for topic in topics.PAUSES}
    return [
        (
            names[event.topic],
            *(v for k, v in msgspec.json.decode(event.data).items() if k not in ("topic", "msg_src", "who")),
        )
        for event in bench.events
        if event.topic in names and event.procedure == pid
    ]


def pause_of(bench, pid):
    return bench.service.summarise([pid])[0].pause


@anywhere()
async def test_a_pause_that_is_asked_for_before_main_holds_at_its_first_checkpoint(bench):
    pid = await bench.ready(SCANS)
    asked = await pause(bench, pid)
    assert (asked.at, asked.who, asked.checkpoint, asked.since) == (None, "alice", None, None)
    await bench.start(pid)
    assert (await heard(bench, pid, topics.PAUSED))["checkpoint"] == "scan 1"
    (summary,) = bench.service.summarise([pid])
    assert summary.standing == "RUNNING (paused at scan 1)"
    assert asked.asked <= summary.pause.since
    assert bench.output(pid) == ""
    assert summary.pause.who == "alice"
    assert await resume(bench, pid) is None
    assert bench.said(topics.PAUSING, pid)[0]["who"] == "alice"
    assert bench.said(topics.RESUMED, pid)[0]["who"] == "bob"
    assert (await bench.until(pid)).state is S.COMPLETE
    assert bench.output(pid) == "scan 1\nscan 2\nscan 3\n"
    assert told(bench, pid) == [("pausing", None), ("paused", "scan 1"), ("resumed", "scan 1")]
    names = [state.name for state, _ in bench.service.summarise([pid])[0].history.process_states]
    assert names == ["CREATING", "IDLE", "LOADING", "IDLE", "READY", "RUNNING", "READY", "COMPLETE"]


@anywhere()
async def test_a_pause_may_name_the_checkpoints_that_it_is_meant_for(bench):
    pid = await bench.ready(SCANS)
    assert (await pause(bench, pid, "scan [23]")).at == "scan [23]"
    await bench.start(pid)
    assert (await heard(bench, pid, topics.PAUSED))["checkpoint"] == "scan 2"
    assert bench.output(pid) == "scan 1\n"
    await resume(bench, pid)
    assert (await bench.until(pid)).state is S.COMPLETE


@anywhere()
async def test_the_whole_name_is_to_match_and_a_script_that_ends_before_says_so(bench):
    pid = await bench.ready(SCANS)
    await pause(bench, pid, "scan")
    await bench.start(pid)
    summary = await bench.until(pid)
    assert (summary.state, summary.pause) == (S.COMPLETE, None)
    assert told(bench, pid) == [("pausing", "scan"), ("unpaused", "main has ended")]


@anywhere()
async def test_a_pause_that_a_failure_overtakes_is_over(bench):
    pid = await bench.ready("def main(): raise ValueError('no sky')\n")
    await pause(bench, pid)
    await bench.start(pid)
    summary = await bench.until(pid)
    assert (summary.state, summary.pause) == (S.FAILED, None)
    assert told(bench, pid)[-1] == ("unpaused", "main has ended")


@anywhere()
async def test_pausing_twice_changes_nothing_once_it_waits_and_replaces_the_first_before(bench):
    pid = await bench.ready(SCANS)
    await pause(bench, pid, "nothing is called so")
    assert (await pause(bench, pid, "scan 2")).at == "scan 2"
    await bench.start(pid)
    await heard(bench, pid, topics.PAUSED)
    before = pause_of(bench, pid)
    assert await pause(bench, pid) == before
    await resume(bench, pid)
    await bench.until(pid)
    assert told(bench, pid) == [
        ("pausing", "nothing is called so"), ("pausing", "scan 2"), ("paused", "scan 2"), ("resumed", "scan 2"),
    ]  # fmt: skip


@anywhere()
async def test_a_pause_can_be_taken_back_before_it_holds(bench):
    pid = await bench.ready(SCANS)
    await pause(bench, pid)
    await resume(bench, pid)
    await bench.start(pid)
    assert (await bench.until(pid)).state is S.COMPLETE
    assert told(bench, pid) == [("pausing", None), ("resumed", None)]


@anywhere()
async def test_what_cannot_be_paused_or_resumed_says_why(bench):
    pid = await bench.ready(SCANS)
    with pytest.raises(NotPaused, match=f"Cannot resume PID {pid}: the procedure is READY, and not paused"):
        await resume(bench, pid)
    with pytest.raises(MalformedRequest, match=r"\$\.at: a pattern of 501 characters is too long; 500 are allowed"):
        await pause(bench, pid, "(" * 501)
    for command in (pause, resume):
        with pytest.raises(ResourceNotFound):
            await command(bench, 77)
    await bench.start(pid)
    await bench.until(pid)
    with pytest.raises(PauseRefused, match=f"Cannot pause PID {pid}: the procedure is COMPLETE"):
        await pause(bench, pid)
    with pytest.raises(NotPaused, match="the procedure is COMPLETE, and not paused"):
        await resume(bench, pid)
    assert told(bench, pid) == []


@anywhere()
async def test_a_pause_that_is_asked_for_while_the_kernel_starts_holds(bench):
    pid = await bench.create(SCANS)
    assert await pause(bench, pid, "scan 3")
    await bench.until(pid, S.READY)
    await bench.start(pid)
    assert (await heard(bench, pid, topics.PAUSED))["checkpoint"] == "scan 3"


@anywhere()
async def test_a_disk_that_is_full_is_said_at_once(bench, monkeypatch):
    pid = await bench.ready(SCANS)
    await pause(bench, pid)
    monkeypatch.setattr(bench.journal, "trouble", StoreUnusable("the disk is full"))
    for command in (pause, resume):
        with pytest.raises(StoreUnusable, match="the disk is full"):
            await command(bench, pid)
    monkeypatch.undo()
    assert pause_of(bench, pid) is not None


async def test_a_checkpoint_of_init_waits_too_and_keeps_the_state(bench):
    text = "from oet_kernel.api import checkpoint, publish\nimport os\n"
    gate = bench.folder / "gate"
    os.mkfifo(gate)
    pid = await bench.create(
        f"{text}def init():\n    open({str(gate)!r}).close()\n    checkpoint('prepared')\ndef main(): pass\n"
    )
    assert (await bench.until(pid, S.INITIALISING)).state is S.INITIALISING
    await pause(bench, pid)
    await asyncio.to_thread(lambda: open(gate, "w").close())
    await heard(bench, pid, topics.PAUSED)
    assert bench.service.summarise([pid])[0].standing == "INITIALISING (paused at prepared)"
    await resume(bench, pid)
    assert (await bench.until(pid, S.READY)).state is S.READY


WAITING = {
    "main": (
        "def main():\n    try:\n        checkpoint('here')\n    finally:\n"
        "        checkpoint('cleaning'); print('cleaned up')\n"
    ),
    "a coroutine": (
        "async def main():\n    try:\n        await async_checkpoint('here')\n    finally:\n"
        "        await async_checkpoint('cleaning'); checkpoint('cleaning'); print('cleaned up')\n"
    ),
    "a coroutine that blocks": (
        "async def main():\n    try:\n        checkpoint('here')\n    finally:\n"
        "        await async_checkpoint('cleaning'); await asyncio.sleep(0); print('cleaned up')\n"
    ),
    "a task": (
        "async def scan():\n    try:\n        await async_checkpoint('here')\n    finally:\n"
        "        print('cleaned up')\nasync def main(): await asyncio.gather(scan(), asyncio.sleep(1000))\n"
    ),
    "a thread": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def work():\n    try:\n        checkpoint('here')\n    finally:\n        print('cleaned up')\n"
        "def main():\n    with ThreadPoolExecutor() as pool: pool.submit(work).result()\n"
    ),
    "a script that heeds no interrupt": (
        "import signal\ndef main():\n    signal.signal(signal.SIGINT, lambda *_: None)\n    try:\n"
        "        checkpoint('here')\n    finally:\n        print('cleaned up')\n"
    ),
}


@pytest.mark.parametrize("what", WAITING)
async def test_a_stop_interrupts_what_waits_and_what_cleans_up_does_not_wait(make_bench, what):
    bench = make_bench(**HELD)
    pid = await bench.ready(ENDLESS + WAITING[what])
    await pause(bench, pid)
    await bench.start(pid)
    await heard(bench, pid, topics.PAUSED)
    assert (await stop(bench, pid)).stopped
    (summary,) = bench.service.summarise([pid])
    assert (summary.state, summary.pause) == (S.STOPPED, None)
    assert bench.output(pid) == "cleaned up\n"


async def test_a_stop_before_the_checkpoint_lets_nothing_wait_there(make_bench):
    bench = make_bench(**HELD)
    pid = await bench.ready(
        f"{ENDLESS}def main():\n    try:\n        publish('test.begun')\n        time.sleep(1000)\n"
        "    finally:\n        checkpoint('cleaning'); print('cleaned up')\n"
    )
    await bench.start(pid)
    await heard(bench, pid, "test.begun")
    await pause(bench, pid)
    assert (await stop(bench, pid)).stopped
    assert bench.output(pid) == "cleaned up\n"
    with pytest.raises(PauseRefused, match="the procedure is STOPPED"):
        await pause(bench, pid)


async def test_a_stop_with_abort_follows_a_pause(make_bench, tmp_path):
    abort = tmp_path / "abort.py"
    abort.write_text("def main(): print('aborted')\n")
    bench = make_bench(**HELD, abort_script=str(abort))
    pid = await bench.ready(SCANS)
    await pause(bench, pid)
    await bench.start(pid)
    await heard(bench, pid, topics.PAUSED)
    outcome = await stop(bench, pid, abort=True)
    (aborted,) = outcome.aborted
    assert (await bench.until(aborted.id)).state is S.COMPLETE
    assert bench.output(aborted.id) == "aborted\n"


async def test_all_threads_wait_and_go_on_together(bench):
    text = (
        f"{ENDLESS}def work(n):\n    checkpoint(f'thread {{n}}')\n    print('went on')\n"
        "def main():\n    threads = [threading.Thread(target=work, args=[n]) for n in range(3)]\n"
        "    for one in threads: one.start()\n    for one in threads: one.join()\n"
    )
    pid = await bench.ready(text)
    await pause(bench, pid)
    await bench.start(pid)
    await heard(bench, pid, topics.PAUSED)
    await resume(bench, pid)
    assert (await bench.until(pid)).state is S.COMPLETE
    assert bench.output(pid) == "went on\n" * 3


async def test_other_tasks_go_on_while_one_waits(bench):
    text = (
        f"{ENDLESS}async def main():\n    done = asyncio.Event()\n    async def beat():\n"
        "        await done.wait()\n        publish('test.beat')\n"
        "    async def scan():\n        done.set()\n        await async_checkpoint('scan')\n        print('went on')\n"
        "    await asyncio.gather(beat(), scan())\n"
    )
    pid = await bench.ready(text)
    await pause(bench, pid)
    await bench.start(pid)
    await heard(bench, pid, "test.beat")
    await heard(bench, pid, topics.PAUSED)
    await resume(bench, pid)
    assert (await bench.until(pid)).state is S.COMPLETE
    assert bench.output(pid) == "went on\n"


async def test_a_task_that_is_cancelled_at_a_checkpoint_leaves_the_pause_to_the_next(bench):
    text = (
        f"{ENDLESS}async def main():\n    try:\n        await asyncio.wait_for(async_checkpoint('first'), 0)\n"
        "    except TimeoutError: pass\n"
        "    waiting = asyncio.ensure_future(async_checkpoint('second'))\n    await asyncio.sleep(0)\n"
        "    waiting.cancel()\n    await asyncio.wait([waiting])\n    await async_checkpoint('third')\n"
    )
    pid = await bench.ready(text)
    asked = await pause(bench, pid)
    await bench.start(pid)
    await heard(bench, pid, topics.PAUSED, 2)
    await resume(bench, pid)
    assert (await bench.until(pid)).state is S.COMPLETE
    assert told(bench, pid) == [
        ("pausing", None), ("paused", "second"), ("pausing", None), ("paused", "third"), ("resumed", "third"),
    ]  # fmt: skip
    assert asked.asked


async def test_a_thread_that_waits_when_main_has_ended_is_not_let_go_on(bench):
    text = (
        f"{ENDLESS}def work():\n    try:\n        checkpoint('thread')\n        print('went on')\n"
        "    except KeyboardInterrupt: print('ended')\n"
        "def main():\n    threading.Thread(target=work).start()\n    open(GATE).close()\n"
    )
    gate = bench.folder / "gate"
    os.mkfifo(gate)
    pid = await bench.ready(text.replace("GATE", repr(str(gate))))
    await pause(bench, pid)
    await bench.start(pid)
    await heard(bench, pid, topics.PAUSED)
    await asyncio.to_thread(lambda: open(gate, "w").close())
    assert (await bench.until(pid)).state is S.COMPLETE
    await bench.registry.find(pid).ending.complete()
    assert bench.output(pid) == "ended\n"
    assert told(bench, pid)[-1] == ("unpaused", "main has ended")


async def test_a_child_process_waits_at_no_checkpoint(bench):
    text = (
        f"{ENDLESS}import os\ndef main():\n    open(GATE).close()\n    child = os.fork()\n    if not child:\n"
        "        checkpoint('child')\n        os._exit(7)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    gate = bench.folder / "gate"
    os.mkfifo(gate)
    pid = await bench.ready(text.replace("GATE", repr(str(gate))))
    await bench.start(pid)
    await bench.until(pid, S.RUNNING)
    await pause(bench, pid)
    await asyncio.to_thread(lambda: open(gate, "w").close())
    assert (await bench.until(pid)).state is S.COMPLETE
    assert bench.output(pid) == "7\n"


async def test_resume_and_stop_at_once_end_as_a_stop(make_bench):
    bench = make_bench(**HELD)
    for first, second in ((resume, stop), (stop, resume)):
        pid = await bench.ready(f"{ENDLESS}def main():\n    checkpoint('here')\n    time.sleep(1000)\n")
        await pause(bench, pid)
        await bench.start(pid)
        await heard(bench, pid, topics.PAUSED)
        outcomes = await asyncio.gather(first(bench, pid), second(bench, pid), return_exceptions=True)
        assert [one for one in outcomes if isinstance(one, Exception) and not isinstance(one, NotPaused)] == []
        assert bench.service.summarise([pid])[0].state is S.STOPPED


async def test_a_kernel_that_dies_while_it_is_paused_is_a_failure(bench):
    pid = await bench.ready(SCANS)
    await pause(bench, pid)
    await bench.start(pid)
    await heard(bench, pid, topics.PAUSED)
    os.kill(bench.registry.find(pid).kernel.pid, signal.SIGKILL)
    summary = await bench.until(pid)
    assert (summary.state, summary.pause) == (S.FAILED, None)


async def test_each_cell_of_a_notebook_is_a_checkpoint(bench):
    text = notebook(("", "print('one')"), ("", "print('two')"), ("finally", "print('last')"), ("", "print('three')"))
    pid = await bench.ready(text, name="scan.ipynb")
    await pause(bench, pid, "cell [234]")
    await bench.start(pid)
    assert (await heard(bench, pid, topics.PAUSED))["checkpoint"] == "cell 2"
    assert bench.output(pid) == "one\n"
    await resume(bench, pid)
    assert (await bench.until(pid)).state is S.COMPLETE
    assert bench.output(pid) == "one\ntwo\nthree\nlast\n"


async def test_a_notebook_that_is_stopped_while_it_is_paused_runs_its_last_cells(make_bench):
    bench = make_bench(**HELD)
    text = notebook(("", "print('one')"), ("", "print('two')"), ("finally", "print('last')"))
    pid = await bench.ready(text, name="scan.ipynb")
    await pause(bench, pid, "cell 2")
    await bench.start(pid)
    await heard(bench, pid, topics.PAUSED)
    await stop(bench, pid)
    assert bench.output(pid) == "one\nlast\n"


# --- from one service to the next, and kernels that do not answer


@pytest.fixture
async def successors(request, tmp_path, bench_at):
    """Start services on one folder, one after the other."""
    made = []

    async def start():
        made.append(bench_at(tmp_path, getattr(request, "param", "local")))
        await made[-1].service.resume()
        return made[-1]

    yield start
    await made[-1].close()


@anywhere("successors")
async def test_what_is_paused_is_so_for_the_next_service_which_can_stop_it(successors):
    first = await successors()
    pid = await first.ready(SCANS)
    await pause(first, pid)
    await first.start(pid)
    await heard(first, pid, topics.PAUSED)
    before = pause_of(first, pid)
    await first.detach()
    second = await successors()
    assert pause_of(second, pid) == before
    assert told(second, pid) == [], "it was told once"
    assert await pause(second, pid) == before
    await stop(second, pid)
    assert second.service.summarise([pid])[0].state is S.STOPPED


async def test_a_pause_that_was_missed_while_no_service_was_there_is_over(successors):
    first = await successors()
    gate = first.folder / "gate"
    os.mkfifo(gate)
    pid = await first.ready(f"def main(): open({str(gate)!r}).close()\n")
    await first.start(pid)
    await first.until(pid, S.RUNNING)
    await pause(first, pid)
    await first.detach()
    await asyncio.to_thread(lambda: open(gate, "w").close())
    second = await successors()
    assert (await second.until(pid)).state is S.COMPLETE
    assert told(second, pid) == [("unpaused", "main has ended")]


async def test_a_kernel_of_an_older_version_that_cannot_pause_is_refused_by_that_name(bench):
    pid = await bench.ready(SCANS)
    life = bench.registry.find(pid).kernel._life
    life.state = replace(life.state, abilities=("control",))
    with pytest.raises(PauseRefused, match=rf"Cannot pause PID {pid}: its kernel was started by an older version"):
        await pause(bench, pid)
    await bench.start(pid)
    assert (await bench.until(pid)).state is S.COMPLETE


async def test_a_kernel_that_does_not_answer_is_waited_for_and_keeps_nobody(bench, monkeypatch):
    monkeypatch.setattr(pause_module, "_SECONDS", 0.1)
    asked(monkeypatch, lambda request: ("x_request", {}))
    pid = await bench.ready(SCANS)
    assert (await pause(bench, pid)).pending == "pause"
    await bench.start(pid)
    summary = await bench.until(pid)
    assert (summary.state, summary.pause) == (S.COMPLETE, None)


# --- what a kernel cannot take yet


FROM_THE_BEGINNING = """
from oet_kernel.api import checkpoint
checkpoint("import")
def init(): checkpoint("init")
def main(): checkpoint("main")
"""


def asked(monkeypatch, instead):
    """Have kernels asked for something else than a pause: type and content of the request."""
    ask = LocalKernel.ask

    def send(self, request):
        if isinstance(request, PauseRequest) and request.action == "pause":
            self._watch.channel._send("control", *instead(request))
        else:
            ask(self, request)

    monkeypatch.setattr(LocalKernel, "ask", send)


@contextlib.contextmanager
def frozen(bench, pid, monkeypatch):
    """Keep a kernel from answering, as one that is busy below Python does."""
    monkeypatch.setattr(pause_module, "_SECONDS", 0.1)
    process = bench.registry.find(pid).kernel.pid
    os.kill(process, signal.SIGSTOP)
    tasks = pathlib.Path(f"/proc/{process}/task")
    while any(") T " not in (task / "stat").read_text() for task in tasks.iterdir()):
        os.sched_yield()  # each thread stops when it runs next
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # it was stopped
            os.kill(process, signal.SIGCONT)


@pytest.mark.parametrize(("at", "state"), [("import", S.LOADING), ("init", S.INITIALISING), ("main", S.RUNNING)])
async def test_a_pause_is_taken_before_there_is_a_kernel_and_holds_from_the_beginning(bench, at, state):
    pid = await bench.create(FROM_THE_BEGINNING)
    assert bench.service.summarise([pid])[0].state is S.CREATING
    asked = await pause(bench, pid, at)
    assert (asked.at, asked.who, asked.pending, str(asked)) == (at, "alice", "pause", f"pause pending at {at}")
    if at == "main":
        await bench.until(pid, S.READY)
        await bench.start(pid)
    await heard(bench, pid, topics.PAUSED)
    summary = bench.service.summarise([pid])[0]
    assert (summary.state, summary.pause.checkpoint, summary.pause.pending) == (state, at, None)
    await resume(bench, pid)
    if at != "main":
        await bench.until(pid, S.READY)
        await bench.start(pid)
    assert (await bench.until(pid)).state is S.COMPLETE
    assert told(bench, pid) == [("pausing", at), ("paused", at), ("resumed", at)]


async def test_before_there_is_a_kernel_a_pause_is_replaced_and_taken_back(bench):
    pid = await bench.create(FROM_THE_BEGINNING)
    with pytest.raises(NotPaused, match="the procedure is CREATING, and not paused"):
        await resume(bench, pid)
    await pause(bench, pid, "import")
    assert (await pause(bench, pid, "init")).at == "init"
    assert await resume(bench, pid) is None
    with pytest.raises(NotPaused, match="and not paused"):
        await resume(bench, pid)
    await bench.until(pid, S.READY)
    assert told(bench, pid) == [("resumed", None)]
    await stop(bench, pid)


async def test_a_pause_of_a_frozen_kernel_is_accepted_and_told_when_it_takes_effect(bench, monkeypatch):
    pid = await bench.ready(SCANS)
    with frozen(bench, pid, monkeypatch):
        with pytest.raises(NotPaused, match="the procedure is READY, and not paused"):
            await resume(bench, pid)
        assert (await pause(bench, pid, "scan 1")).pending == "pause"
        again = await pause(bench, pid, "scan 2")
        assert (again.at, again.pending) == ("scan 2", "pause")
        assert told(bench, pid) == [], "what is told is what the kernel says"
    await heard(bench, pid, topics.PAUSING, 2)
    assert (pause_of(bench, pid).at, pause_of(bench, pid).pending) == ("scan 2", None)
    await bench.start(pid)
    await heard(bench, pid, topics.PAUSED)
    await resume(bench, pid)
    assert (await bench.until(pid)).state is S.COMPLETE
    assert told(bench, pid) == [
        ("pausing", "scan 1"), ("pausing", "scan 2"), ("paused", "scan 2"), ("resumed", "scan 2"),
    ]  # fmt: skip


async def test_a_resume_of_a_frozen_kernel_is_accepted_and_told_when_it_takes_effect(bench, monkeypatch):
    pid = await bench.ready(SCANS)
    await pause(bench, pid)
    await bench.start(pid)
    await heard(bench, pid, topics.PAUSED)
    with frozen(bench, pid, monkeypatch):
        pending = await resume(bench, pid)
        assert (pending.checkpoint, pending.pending, str(pending)) == ("scan 1", "resume", "resume pending")
        assert (await pause(bench, pid)).checkpoint == "scan 1", "it waits, and goes on waiting"
    await heard(bench, pid, topics.RESUMED)
    await stop(bench, pid)
    assert told(bench, pid)[:3] == [("pausing", None), ("paused", "scan 1"), ("resumed", "scan 1")]


async def test_a_pause_and_its_end_are_carried_out_in_their_order_by_a_kernel_that_was_frozen(bench, monkeypatch):
    pid = await bench.ready(SCANS)
    with frozen(bench, pid, monkeypatch):
        await pause(bench, pid)
        assert (await resume(bench, pid)).pending == "resume"
    await heard(bench, pid, topics.RESUMED)
    assert pause_of(bench, pid) is None
    await bench.start(pid)
    assert (await bench.until(pid)).state is S.COMPLETE


async def test_what_was_accepted_and_is_refused_in_the_end_is_told(bench, monkeypatch):
    pid = await bench.ready(SCANS)
    asked(monkeypatch, lambda request: (request.msg_type, {**msgspec.to_builtins(request), "at": "x" * 501}))
    with frozen(bench, pid, monkeypatch):
        assert (await pause(bench, pid)).pending == "pause"
    await heard(bench, pid, topics.UNPAUSED)
    assert pause_of(bench, pid) is None
    assert told(bench, pid) == [("unpaused", "a pattern of 501 characters is too long; 500 are allowed")]


async def test_the_next_service_sees_to_it_that_an_accepted_pause_takes_effect(successors, monkeypatch):
    first = await successors()
    pid = await first.ready(SCANS)
    with frozen(first, pid, monkeypatch):
        assert (await pause(first, pid, "scan 2")).pending == "pause"
        await first.detach()
        second = await successors()
        assert pause_of(second, pid).pending == "pause"
    await heard(second, pid, topics.PAUSING)
    await second.start(pid)
    assert (await heard(second, pid, topics.PAUSED))["checkpoint"] == "scan 2"
    assert pause_of(second, pid).pending is None
    await stop(second, pid)


async def test_a_stop_ends_what_was_to_be_paused(make_bench, monkeypatch):
    bench = make_bench()
    pid = await bench.ready(SCANS)
    with frozen(bench, pid, monkeypatch):
        await pause(bench, pid)
        assert (await stop(bench, pid)).stopped
        assert bench.service.summarise([pid])[0].pause is None
        with pytest.raises(PauseRefused, match="the procedure is STOPPED"):
            await pause(bench, pid)


async def test_a_kernel_that_does_not_answer_is_stopped_all_the_same(make_bench, monkeypatch):
    bench = make_bench()
    pid = await bench.ready(SCANS)
    await pause(bench, pid)
    await bench.start(pid)
    await heard(bench, pid, topics.PAUSED)
    os.kill(bench.registry.find(pid).kernel.pid, signal.SIGSTOP)
    assert (await stop(bench, pid)).stopped


async def test_a_pause_that_the_end_of_the_kernel_overtakes_is_refused(bench):
    pid = await bench.ready(SCANS)
    kernel = bench.registry.find(pid).kernel
    os.kill(kernel.pid, signal.SIGSTOP)
    asked = asyncio.ensure_future(pause(bench, pid))
    await asyncio.sleep(0)
    os.kill(kernel.pid, signal.SIGKILL)
    with pytest.raises(PauseRefused, match="its kernel has ended"):
        await asked
