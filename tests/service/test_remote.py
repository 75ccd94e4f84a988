"""The service over kernels on another machine, which can be cut off, die, refuse, and outlive it."""

import asyncio
import sqlite3
from contextlib import closing

import msgspec
import pytest

from oet_kernel.errors import KernelTooOld, PauseRefused, StartRefused, StopFailed
from oet_kernel.events.event import Filter
from oet_kernel.models import (
    PauseProcessCommand,
    PrepareProcessCommand,
    ProcedureInput,
    ProcedureState,
    StopProcessCommand,
)
from oet_kernel.protocol import RunRequest
from oet_kernel.state.layout import DATABASE
from oet_kernel.store.rows import KernelRow
from tests.conftest import DEADLINE
from tests.service.remote import REMOTE, RemoteSource, anywhere

pytestmark = pytest.mark.anyio

S = ProcedureState
FOREVER = "import time\ndef init(**kwargs): pass\ndef main(**kwargs): time.sleep(1000)\n"
NOTHING = "def main(): pass\n"
COUNTS = """
import time
from oet_kernel.api import publish
def main(count):
    for number in range(count):
        publish("user.count", number=number)
        time.sleep(0)
"""


@pytest.fixture
async def services(tmp_path, bench_at):
    """Start services on one folder, one after the other, with kernels on one other machine; the last is closed."""
    made = []

    async def start(**options):
        made.append(bench_at(tmp_path, REMOTE, **options))
        await made[-1].service.resume()
        return made[-1]

    yield start
    await made[-1].close()


def numbers(bench, pid):
    rows = bench.journal.store.events(0, Filter(procedure=pid), -1).rows
    return [msgspec.json.decode(row.data)["number"] for row in rows if row.topic == "user.count"]


def far_kernel(host):
    (kernel,) = host.kernels.values()
    return kernel


async def heard(bench, topic, pid):
    with bench.bus.subscribe([topic], procedure=pid) as events:
        async with asyncio.timeout(DEADLINE):
            while not bench.said(topic, pid):
                await events.batch()


# --- the rules, wherever the kernels are


@anywhere()
async def test_procedure_with_autostart_runs_by_itself(bench):
    command = PrepareProcessCommand(bench.script("def main(x=1): print(x)\n"))
    pid = (await bench.service.prepare(command, ProcedureInput([7]), autostart=True)).id
    assert (await bench.until(pid)).state is S.COMPLETE
    assert bench.output(pid) == "7\n"


@anywhere()
async def test_procedure_whose_kernel_cannot_be_heard_fails(bench):
    pid = await bench.ready(FOREVER)
    kernel = bench.registry.find(pid).kernel

    def torn(most=0):
        raise OSError(5, "Input/output error")

    kernel._reader.read = torn
    await bench.start(pid)
    summary = await bench.until(pid)
    assert summary.state is S.FAILED
    assert "cannot be read any more" in summary.history.stacktrace


@anywhere()
async def test_message_that_cannot_be_taken_is_set_aside_and_the_next_is_heard(bench, monkeypatch):
    pid = await bench.ready("def main(): print('said')\n")
    messages = bench.registry.find(pid).messages
    handle, refused = messages._handle_one, []

    def refuse(record):
        if record.type == "stream" and not refused:
            refused.append(record)
            raise ValueError("no")
        handle(record)

    monkeypatch.setattr(messages, "_handle_one", refuse)
    await bench.start(pid)
    assert (await bench.until(pid)).state is S.COMPLETE
    assert refused
    assert "could not be processed" in bench.output(pid, "stderr")


# --- a machine that cannot be reached


async def test_script_goes_on_while_its_machine_is_cut_off_and_nothing_is_lost(services, far_host):
    bench = await services()
    pid = await bench.ready(COUNTS)
    await bench.start(pid, 20)
    await heard(bench, "user.count", pid)
    far_host.cut_off()
    async with asyncio.timeout(DEADLINE):
        await far_kernel(far_host).at_rest.wait()
    assert bench.service.summarise([pid])[0].state is S.RUNNING
    far_host.restore()
    assert (await bench.until(pid)).state is S.COMPLETE
    assert numbers(bench, pid) == list(range(20))


async def test_start_of_a_machine_that_is_cut_off_is_carried_out_when_it_is_reached(services, far_host):
    bench = await services()
    pid = await bench.ready(COUNTS)
    far_host.cut_off()
    await bench.start(pid, 3)
    assert not any(isinstance(request, RunRequest) for request in far_kernel(far_host).asked)
    far_host.restore()
    assert (await bench.until(pid)).state is S.COMPLETE
    assert numbers(bench, pid) == [0, 1, 2]


async def test_stop_of_a_kernel_that_is_cut_off_fails_and_names_its_machine(services, far_host):
    bench = await services()
    pid = await bench.ready(FOREVER)
    await bench.start(pid)
    await bench.until(pid, S.RUNNING)
    far_host.cut_off()
    with pytest.raises(StopFailed, match=r"its process on far\.example survived SIGKILL"):
        await bench.service.stop(StopProcessCommand(pid))
    assert (await bench.until(pid)).state is S.UNKNOWN
    far_host.restore()


# --- kernels that die, or do not


async def test_kernel_that_dies_fails_its_procedure(services, far_host):
    bench = await services()
    pid = await bench.ready(FOREVER)
    await bench.start(pid)
    far_kernel(far_host).end(-9)
    summary = await bench.until(pid)
    assert summary.state is S.FAILED
    assert "The kernel process ended with SIGKILL" in summary.history.stacktrace


async def test_kernel_that_outlives_its_stop_keeps_its_subarray_until_it_ends(services, far_host):
    bench = await services()
    first, second = [await bench.ready(FOREVER, subarray_id=3) for _ in range(2)]
    await bench.start(first)
    await bench.until(first, S.RUNNING)
    far = far_host.kernels["kernel-1"]
    far.interrupt = lambda: None
    far_host.stuck = True
    with pytest.raises(StopFailed):
        await bench.service.stop(StopProcessCommand(first))
    with pytest.raises(StartRefused):
        await bench.start(second)
    far_host.stuck = False
    kernel = bench.registry.find(first).kernel
    far.end(-9)
    await asyncio.wait_for(kernel.heard_out(), DEADLINE)
    await bench.start(second)
    assert (await bench.until(second, S.RUNNING)).state is S.RUNNING


async def test_kernel_without_an_ability_refuses_what_needs_it(services, far_host):
    far_host.abilities = ("event",)
    bench = await services()
    pid = await bench.ready(FOREVER)
    with pytest.raises(PauseRefused, match="older version"):
        await bench.pauses.pause(PauseProcessCommand(pid, None), "alice")
    with pytest.raises(KernelTooOld):
        await bench.attachments.control(pid, "alice", True)


async def test_guests_are_told_the_machine_and_no_process(services):
    bench = await services()
    info = bench.attachments.kernel(await bench.ready(FOREVER))
    assert (info.id, info.host, info.pid, info.connection.ip) == ("kernel-1", "far.example", None, "far.example")


async def test_nothing_is_left_on_the_machine_of_procedures_that_are_listed_no_more(services, far_host):
    bench = await services(history=1)
    for n in range(3):
        pid = await bench.ready(NOTHING, name=f"{n}.py")
        await bench.start(pid)
        await bench.until(pid)
        await bench.registry.find(pid).ending.complete()
    await asyncio.sleep(0)
    assert list(far_host.kernels) == ["kernel-3"]


# --- from one service to the next


async def test_running_procedure_is_adopted_by_address_and_loses_nothing(services, far_host):
    first = await services()
    pid = await first.ready(COUNTS)
    await first.start(pid, 20)
    await heard(first, "user.count", pid)
    await first.detach()
    second = await services()
    assert (await second.until(pid)).state is S.COMPLETE
    assert numbers(second, pid) == list(range(20))
    assert list(far_host.kernels) == ["kernel-1"]


async def test_kernel_that_ended_while_no_service_was_there_is_heard_to_its_end(services, far_host):
    first = await services()
    pid = await first.ready(FOREVER)
    await first.start(pid)
    await first.until(pid, S.RUNNING)
    await first.detach()
    far = far_kernel(far_host)
    far.end(-9)
    second = await services()
    summary = await second.until(pid)
    assert summary.state is S.FAILED
    assert "while no service watched it" in summary.history.stacktrace
    assert summary.history.process_states[-1][1] == far.ended_at


async def test_control_of_a_kernel_outlives_the_service(services):
    first = await services()
    pid = await first.ready(FOREVER)
    await first.attachments.control(pid, "alice", True)
    await first.detach()
    second = await services()
    assert second.attachments.kernel(pid).control == "alice"
    assert (await second.attachments.control(pid, "bob", False)).control is None


async def test_kernel_whose_start_no_service_lived_to_record_is_found_by_its_address(services, far_host, monkeypatch):
    started = asyncio.Event()

    async def hang(self, kernel):
        far_host.start(kernel.identity.address)
        started.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(RemoteSource, "start", hang)
        first = await services()
        pid = await first.create(NOTHING)
        async with asyncio.timeout(DEADLINE):
            await started.wait()
        await first.detach()
    second = await services()
    assert (await second.until(pid, S.READY)).state is S.READY
    assert list(far_host.kernels) == ["kernel-1"]


async def test_kernel_that_is_lost_fails_its_procedure(services, far_host):
    first = await services()
    pid = await first.ready(FOREVER)
    await first.start(pid)
    await first.detach()
    far_host.kernels.clear()
    second = await services()
    summary = await second.until(pid)
    assert summary.state is S.FAILED
    assert "was not found" in summary.history.stacktrace


async def test_kernel_that_nothing_is_known_of_is_ended(services, far_host):
    first = await services()
    await first.detach()
    unknown = far_host.start("unknown")
    await services()
    assert unknown.status == -9
    assert far_host.kernels == {}


async def test_kernel_of_another_kind_is_set_aside_and_its_procedure_fails(services, tmp_path):
    first = await services()
    pid = await first.ready(FOREVER)
    await first.start(pid)
    await first.until(pid, S.RUNNING)
    await first.detach()
    with closing(sqlite3.connect(first.state.path / DATABASE)) as database, database:
        database.execute("update kernels set kind = 'elsewhere'")
    second = await services()
    assert (await second.until(pid)).state is S.FAILED
    assert second.journal.set_aside.counts["rows"] == 1


async def test_stored_kernel_has_kind_and_address_and_how_far_it_was_heard(services, far_host):
    bench = await services()
    pid = await bench.ready(NOTHING)
    await bench.journal.settled()
    (row,) = bench.journal.store.kernels([pid]).values()
    heard = len(far_kernel(far_host).journal)
    assert row == KernelRow(procedure=pid, kind=REMOTE, address="kernel-1", process=b"far.example", offset=heard)
