"""A service that is started again takes everything up where the one before it left it, whatever the moment was."""

import asyncio
import os
import shutil
import signal
import time
from contextlib import asynccontextmanager

import msgspec
import pytest

from oet_kernel.errors import StartRefused
from oet_kernel.events.event import Filter
from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from oet_kernel.kernel_manager.journal_reader import JournalReader
from oet_kernel.models import ProcedureState, StopProcessCommand
from tests.ipynb import notebook
from tests.service.remote import REMOTE, anywhere

pytestmark = pytest.mark.anyio

COUNTING = """
from pathlib import Path
from oet_kernel.api import publish
def init(subarray_id=1): pass
def main(folder, count):
    for number in range(count):
        publish("user.count", number=number)
        print("line", number)
        if number == 10:
            open(Path(folder) / "under way", "w").close()
            open(Path(folder) / "go on").close()
"""
STUBBORN = """
import time
def main():
    while True:
        try:
            print("on")
            time.sleep(1000)
        except BaseException:
            pass
"""
NOTHING = "def init(): pass\ndef main(*args, **kwargs): pass\n"
S = ProcedureState


@pytest.fixture(params=["plain", "forked"])
async def services(request, tmp_path, bench_at):
    """Start services on the same folder, one after the other; the last is closed at the end."""
    made = []

    async def start(**options):
        fork_server = ForkServerSupervisor(tmp_path) if request.param == "forked" else None
        bench = bench_at(tmp_path, request.param, fork_server=fork_server, **options)
        made.append(bench)
        if fork_server is not None:
            bench.pool.open()
            await fork_server.ready()
        await bench.service.resume()
        return bench

    yield start
    await made[-1].close()


everywhere = anywhere("services", ("plain", "forked", REMOTE))


class Gate:
    """Where `COUNTING` waits after its eleventh number: two named pipes, which nobody passes alone."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("under way", "go on"):
            os.mkfifo(folder / name)

    async def reached(self):
        async with asyncio.timeout(60):
            await asyncio.to_thread((self.folder / "under way").read_bytes)

    async def open(self):
        async with asyncio.timeout(60):
            await asyncio.to_thread((self.folder / "go on").write_bytes, b"")


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path)


@asynccontextmanager
async def announced(bench, topic, procedure):
    """Wait, at the end, until an event of a topic has come since the beginning."""
    with bench.bus.subscribe([topic], procedure=procedure) as events:
        yield
        async with asyncio.timeout(60):
            await events.batch()


async def said(folder, content):
    """Wait until a kernel has written something down."""
    tail = JournalReader(folder)
    while not any(bytes(record.content) == content for record in tail.read()):
        await tail.rung()
    tail.close()


def states(summary):
    return [state.name for state, _ in summary.history.process_states]


def journal(bench, pid):
    return bench.journal.store.events(0, Filter(procedure=pid), None).rows


def numbers(bench, pid, topic="user.count"):

    return [msgspec.json.decode(one.data)["number"] for one in journal(bench, pid) if one.topic == topic]


async def test_running_procedure_goes_on_and_loses_nothing(services, gate):
    first = await services()
    pid = await first.ready(COUNTING)
    await first.start(pid, str(gate.folder), 500)
    await gate.reached()
    await first.detach()
    await gate.open()  # the script says most of what it says while nobody listens
    second = await services()
    summary = await second.until(pid)
    assert states(summary)[-3:] == ["RUNNING", "READY", "COMPLETE"]
    assert numbers(second, pid) == list(range(500))
    text = b"".join(one.data for one in journal(second, pid) if one.topic == "procedure.output.stream")
    assert [text.count(f"line {n}\\n".encode()) for n in (0, 499)] == [1, 1]
    seqs = [one.seq for one in second.journal.store.events(0, Filter(), None).rows]
    assert seqs == list(range(1, len(seqs) + 1)), "each event has a number, and none is missing"


async def test_procedure_that_ended_while_no_service_was_there_is_recorded_with_its_true_times(services, gate):
    first = await services()
    pid = await first.ready(COUNTING)
    await first.start(pid, str(gate.folder), 20)
    await gate.reached()
    kernel = first.registry.find(pid).kernel
    await first.detach()
    await gate.open()
    async with asyncio.timeout(60):
        await said(kernel.folder, b'{"call":"main","phase":"finished"}')
    ended_by = time.time()
    second = await services()
    summary = await second.until(pid)
    assert states(summary)[-2:] == ["READY", "COMPLETE"]
    assert summary.history.process_states[-1][1] <= ended_by


@everywhere
async def test_ready_procedure_can_be_started_by_the_next_service(services):
    first = await services()
    pid = await first.ready("x = []\ndef init(): x.append(1)\ndef main(): print('x', x)\n")
    await first.detach()
    second = await services()
    assert second.service.summarise([pid])[0].state is S.READY
    await second.start(pid)
    assert (await second.until(pid)).state is S.COMPLETE
    assert second.output(pid) == "x [1]\n", "init was not called again"


@everywhere
async def test_running_procedure_can_be_stopped_by_the_next_service_and_cleans_up(services):
    first = await services()
    pid = await first.ready(
        "import time\ndef main():\n    try:\n        print('on')\n        time.sleep(1000)\n"
        "    finally:\n        print('cleaned up')\n"
    )
    async with announced(first, "procedure.output.stream", pid):
        await first.start(pid)
    await first.detach()
    second = await services()
    assert (await second.service.stop(StopProcessCommand(pid))).stopped
    assert second.service.summarise([pid])[0].state is S.STOPPED
    assert second.output(pid) == "cleaned up\n"


async def test_subarray_stays_taken(services, gate):
    first = await services()
    pid = await first.ready(COUNTING, subarray_id=5)
    await first.start(pid, str(gate.folder), 20)
    await gate.reached()
    await first.detach()
    second = await services()
    other = await second.ready(COUNTING, subarray_id=5, name="other.py")
    with pytest.raises(StartRefused, match=f"PID #{pid} is RUNNING"):
        await second.start(other)


@everywhere
async def test_history_is_listed_and_ids_and_numbers_go_on(services):
    first = await services(history=3)
    ended = []
    for _ in range(4):
        pid = await first.ready(NOTHING)
        await first.start(pid)
        await first.until(pid)
        ended.append(pid)
    last = first.journal.store.last_seq()
    await first.close()
    second = await services(history=3)
    assert [one.id for one in second.service.summarise()] == ended[1:]
    assert (await second.ready(NOTHING)) == ended[-1] + 1
    assert second.events[0].seq == last + 1


@everywhere
async def test_creation_that_was_under_way_is_brought_to_its_end(services):
    first = await services()
    pids = [await first.create(NOTHING, name=f"script{n}.py") for n in range(4)]
    await first.detach()
    second = await services()
    for pid in pids:
        summary = await second.until(pid, S.READY)
        assert states(summary) == ["CREATING", "IDLE", "LOADING", "IDLE", "INITIALISING", "READY"], (
            summary.history.stacktrace
        )


@everywhere
async def test_start_that_was_recorded_and_did_not_reach_the_kernel_is_carried_out_once(services, monkeypatch):
    first = await services()
    pid = await first.ready("def main(x): print('ran', x)\n")
    monkeypatch.setattr(first.registry.find(pid).kernel, "ask", lambda request: None)
    await first.start(pid, 7)
    await first.detach()
    second = await services()
    assert (await second.until(pid)).state is S.COMPLETE
    assert second.output(pid) == "ran 7\n"


async def test_start_that_reached_the_kernel_and_was_not_heard_of_is_not_repeated(services, gate):
    first = await services()
    pid = await first.ready(COUNTING)
    first.registry.find(pid).kernel.attach(_deaf, lambda description: None)
    await first.start(pid, str(gate.folder), 20)
    await gate.reached()
    await first.detach()
    await gate.open()
    second = await services()
    summary = await second.until(pid)
    assert summary.state is S.COMPLETE
    assert numbers(second, pid) == list(range(20))


async def _deaf(records, offset):
    """Lose what a service that dies has read and not yet written down."""


@everywhere
async def test_stop_that_was_under_way_is_brought_to_its_end(services):
    first = await services()
    pid = await first.ready(STUBBORN)
    async with announced(first, "procedure.output.stream", pid):
        await first.start(pid)
    stopping = asyncio.create_task(first.service.stop(StopProcessCommand(pid)))
    await asyncio.sleep(0)
    await first.journal.settled()
    await first.detach()
    stopping.cancel()
    await asyncio.wait([stopping])
    second = await services()
    assert (await second.until(pid)).state is S.STOPPED
    assert len([one for one in journal(second, pid) if one.topic == "procedure.lifecycle.stopped"]) == 1


@everywhere
async def test_abort_that_was_to_follow_a_stop_is_run_by_the_next_service(services, tmp_path):
    abort = tmp_path / "abort.py"
    abort.write_text("def main(): print('aborting')\n")
    first = await services(abort_script=str(abort))
    pid = await first.ready(STUBBORN)
    async with announced(first, "procedure.output.stream", pid):
        await first.start(pid)
    stopping = asyncio.create_task(first.service.stop(StopProcessCommand(pid, run_abort=True)))
    await asyncio.sleep(0)
    await first.journal.settled()
    await first.detach()
    stopping.cancel()
    await asyncio.wait([stopping])
    second = await services(abort_script=str(abort))
    assert (await second.until(pid)).state is S.STOPPED
    async with asyncio.timeout(60):
        with second.bus.subscribe(["procedure.lifecycle.stopped"], procedure=pid) as events:
            if not [one for one in journal(second, pid) if one.topic == "procedure.lifecycle.stopped"]:
                await events.batch()
    (aborted,) = [one.id for one in second.service.summarise() if one.id != pid]
    assert (await second.until(aborted)).state is S.COMPLETE
    assert second.output(aborted) == "aborting\n"


async def test_kernel_that_was_killed_meanwhile_is_failed(services, gate):
    first = await services()
    pid = await first.ready(COUNTING)
    await first.start(pid, str(gate.folder), 20)
    await gate.reached()
    kernel = first.registry.find(pid).kernel
    await first.detach()
    os.kill(kernel.pid, signal.SIGKILL)
    second = await services()
    summary = await second.until(pid)
    assert summary.state is S.FAILED
    assert "The kernel process ended" in summary.history.stacktrace
    assert numbers(second, pid) == list(range(11))


async def test_procedure_whose_kernel_left_no_trace_is_failed_not_active_for_ever(services):
    first = await services()
    pid = await first.ready(NOTHING)
    kernel = first.registry.find(pid).kernel
    await first.detach()
    os.kill(kernel.pid, signal.SIGKILL)
    shutil.rmtree(kernel.folder)
    second = await services()
    assert (await second.until(pid)).state is S.FAILED


async def test_what_a_script_listens_to_reaches_it_after_a_restart(services):
    first = await services()
    listening = await first.ready(
        "import queue\nfrom pubsub import pub\nheard = queue.Queue()\n"
        "def on(msg, **rest): heard.put(msg)\npub.subscribe(on, 'user.script.announce')\n"
        "def main(): print('heard', heard.get(timeout=60))\n"
    )
    await first.detach()
    second = await services()
    async with announced(second, "procedure.lifecycle.started", listening):
        await second.start(listening)
    speaking = await second.ready(
        "from oet_kernel.api import publish\ndef init(subarray_id): pass\n"
        "def main(): publish('user.script.announce', msg='hello')\n",
        subarray_id=2,
    )
    await second.start(speaking)
    assert (await second.until(listening)).state is S.COMPLETE
    assert second.output(listening) == "heard hello\n"


async def test_running_notebook_goes_on_cell_by_cell_while_no_service_is_there(services, gate):
    first = await services()
    wait = "open(f'{folder}/under way', 'w').close()\nopen(f'{folder}/go on').close()"
    text = notebook(("parameters", "folder = ''"), ("", wait), ("", "print('after')\n1/0"), ("finally", "print('bye')"))
    pid = await first.ready(text, name="observe.ipynb")
    await first.start(pid, folder=str(gate.folder))
    await gate.reached()
    await first.detach()
    await gate.open()
    second = await services()
    summary = await second.until(pid)
    assert states(summary)[-2:] == ["RUNNING", "FAILED"]
    assert "observe.ipynb, cell 3" in summary.history.stacktrace
    told = [one for one in journal(second, pid) if one.topic.startswith("procedure.cell.")]
    found = [(one.topic.rpartition(".")[2], msgspec.json.decode(one.data)["id"]) for one in told]
    assert found[-6:] == [
        *(("started", "b"), ("finished", "b"), ("started", "c"), ("failed", "c")),
        *(("started", "d"), ("finished", "d")),
    ]


async def test_notebook_in_another_kernel_loses_nothing_while_no_service_is_there(
    services, gate, kernelspecs, monkeypatch
):
    monkeypatch.setenv("JUPYTER_PATH", str(kernelspecs))
    first = await services()
    wait = f"echo > '{gate.folder}/under way'; cat '{gate.folder}/go on'; seq 100"
    pid = await first.ready(notebook(("", wait), ("", "echo after"), kernel="bash", language="bash"), name="x.ipynb")
    await first.start(pid)
    await gate.reached()
    await first.detach()
    await gate.open()
    second = await services()
    summary = await second.until(pid)
    assert summary.state is S.COMPLETE, summary.history.stacktrace
    text = "".join(
        msgspec.json.decode(one.data)["text"] for one in journal(second, pid) if one.topic == "procedure.output.stream"
    )
    assert text.split() == [*map(str, range(1, 101)), "after"]
