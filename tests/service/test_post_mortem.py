"""The kernel of a procedure that has failed stays for a while, and is in nobody's way."""

import asyncio

import psutil
import pytest

from oet_kernel.errors import NoKernel
from oet_kernel.models import ProcedureState, StopProcessCommand
from tests.conftest import DEADLINE, Bench, serve
from tests.guests import attached
from tests.service.remote import anywhere

pytestmark = pytest.mark.anyio

_S = ProcedureState
FAILS = "def main(): raise ValueError('no')\n"


async def failed(bench: Bench, text: str = FAILS, **kwargs) -> int:
    pid = await bench.ready(text, **kwargs)
    await bench.start(pid)
    assert (await bench.until(pid)).state is _S.FAILED
    return pid


async def gone(bench: Bench, pid: int) -> None:
    """Wait for the end of a kernel."""
    execution = bench.registry.find(pid)
    await asyncio.wait_for(execution.ending.complete(), DEADLINE)
    assert not execution.link.alive


def kept(bench: Bench, pid: int) -> bool:
    try:
        return bench.attachments.kernel(pid).kept_until is not None
    except NoKernel:
        return False


@anywhere("make_bench")
async def test_kernel_of_a_failed_procedure_stays(make_bench):
    bench = make_bench(keep_failed_seconds=60.0)
    assert kept(bench, await failed(bench))


@anywhere()
async def test_none_is_kept_where_the_time_is_zero(bench):
    pid = await failed(bench)
    assert not kept(bench, pid)
    await gone(bench, pid)


@anywhere("make_bench")
async def test_kept_kernel_goes_when_its_time_is_over(make_bench):
    bench = make_bench(keep_failed_seconds=0.05)
    pid = await bench.ready(FAILS)
    kernel = bench.registry.find(pid).kernel
    await bench.start(pid)
    await bench.until(pid)
    await asyncio.wait_for(kernel.heard_out(), DEADLINE)
    assert not kept(bench, pid)


@anywhere("make_bench")
async def test_stop_of_a_failed_procedure_ends_its_kernel_and_says_what_it_always_said(make_bench):
    bench = make_bench(keep_failed_seconds=60.0)
    pid = await failed(bench)
    assert not (await bench.service.stop(StopProcessCommand(pid))).stopped
    assert not bench.registry.find(pid).link.alive
    assert bench.service.summarise([pid])[0].state is _S.FAILED


@anywhere("make_bench")
async def test_subarray_of_a_kept_kernel_is_free(make_bench):
    bench = make_bench(keep_failed_seconds=60.0)
    first = await failed(bench, "def init(subarray_id): pass\n" + FAILS, subarray_id=2)
    second = await bench.ready("def init(subarray_id): pass\ndef main(): pass\n", subarray_id=2, name="other.py")
    await bench.start(second)
    assert (await bench.until(second)).state is _S.COMPLETE
    assert kept(bench, first)


@anywhere("make_bench")
async def test_kept_kernels_make_room_the_oldest_first(make_bench):
    bench = make_bench(keep_failed_seconds=60.0, max_kernels=2)
    first, second = await failed(bench), await failed(bench)
    assert (kept(bench, first), kept(bench, second)) == (True, True)
    third = await bench.ready("def main(): pass\n")
    assert (kept(bench, first), kept(bench, second)) == (False, True)
    fourth = await bench.ready("def main(): pass\n")
    assert not kept(bench, second)
    await gone(bench, first)
    await gone(bench, second)
    assert [bench.service.summarise([pid])[0].state for pid in (third, fourth)] == [_S.READY, _S.READY]


@anywhere("make_bench")
async def test_kernel_is_not_kept_where_all_places_are_taken(make_bench):
    bench = make_bench(keep_failed_seconds=60.0, max_kernels=1)
    assert kept(bench, await failed(bench))


@anywhere("make_bench")
async def test_kept_kernel_goes_with_the_procedure_that_is_listed_no_more(make_bench):
    bench = make_bench(keep_failed_seconds=60.0, history=1)
    first = await failed(bench)
    execution = bench.registry.find(first)
    await failed(bench)
    await asyncio.wait_for(execution.ending.complete(), DEADLINE)
    assert not execution.link.alive


@pytest.mark.parametrize("end", ["close", "detach"])
async def test_kept_kernel_goes_with_its_service(tmp_path, end):
    bench = Bench(tmp_path, keep_failed_seconds=60.0)
    pid = await failed(bench)
    execution = bench.registry.find(pid)
    await getattr(bench, end)()
    assert not execution.link.alive


@pytest.mark.parametrize(
    "left",
    [
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n",
        "import subprocess\nsubprocess.Popen(['sleep', '1000'])\n",
    ],
    ids=["thread", "process"],
)
async def test_kernel_is_not_kept_where_the_script_has_left_something_at_work(make_bench, left):
    """The subarray is free, and nobody watches what a thread of a script that has failed does there."""
    bench = make_bench(keep_failed_seconds=60.0)
    pid = await failed(bench, left + FAILS)
    assert not kept(bench, pid)
    await gone(bench, pid)


async def test_script_of_a_kept_kernel_hears_nothing_any_more(make_bench):
    bench = make_bench(keep_failed_seconds=60.0)
    listens = (
        "from pubsub import pub\ndef heard(msg): print('heard', msg)\npub.subscribe(heard, 'user.script.announce')\n"
    )
    pid = await failed(bench, listens + FAILS)
    assert kept(bench, pid)
    speaks = "from pubsub import pub\ndef main(): pub.sendMessage('user.script.announce', msg='hi')\n"
    other = await bench.ready(speaks, name="speaks.py")
    await bench.start(other)
    await bench.until(other)
    assert bench.registry.find(pid).messages.interests == []
    assert "heard" not in bench.output(pid)


async def test_kernel_of_a_script_that_cannot_be_loaded_is_kept_for_the_debugger(make_bench):
    bench = make_bench(keep_failed_seconds=60.0)
    pid = await bench.create("import no_such_module\n")
    assert (await bench.until(pid)).state is _S.FAILED
    assert kept(bench, pid)


async def test_kernel_that_died_is_not_kept(make_bench):
    bench = make_bench(keep_failed_seconds=60.0)
    pid = await failed(bench, "import os\ndef main(): os._exit(3)\n")
    assert not kept(bench, pid)


def test_next_service_ends_a_kernel_that_was_kept_by_one_that_was_killed(tmp_path):
    with serve(tmp_path) as first:
        pid = first.create(FAILS)
        first.until(pid, "READY")
        first.http.put(f"/procedures/{pid}", json={"state": "RUNNING"})
        assert first.until(pid)["state"] == "FAILED"
        kernel = first.http.get(f"/procedures/{pid}/kernel").json()["kernel"]
        assert kernel["kept_until"] is not None
        process = kernel["pid"]
        first.process.kill()
        first.process.wait(DEADLINE)
    assert _runs(process)
    with serve(tmp_path) as second:
        assert second.http.get(f"/procedures/{pid}").json()["procedure"]["state"] == "FAILED"
        assert second.http.get(f"/procedures/{pid}/kernel").status_code == 409
        assert not _runs(process)


def _runs(pid: int) -> bool:
    """Tell whether a process, which is none of this one's children, still runs; waits for one that was killed."""
    try:
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            process.wait(1)
    except psutil.NoSuchProcess:
        return False
    except psutil.TimeoutExpired:
        return True
    return False


async def test_kernel_is_kept_under_a_guest_who_was_there_before_the_failure(make_bench):
    bench = make_bench(keep_failed_seconds=60.0)
    pid = await bench.ready(FAILS)
    connection = bench.attachments.kernel(pid).connection
    with attached(connection) as guest:
        await asyncio.to_thread(guest.subshell)
        await bench.start(pid)
        assert (await bench.until(pid)).state is _S.FAILED
        assert kept(bench, pid)


async def test_procedure_that_fails_while_the_service_ends_leaves_no_kernel(make_bench):
    bench = make_bench(keep_failed_seconds=60.0)
    pid = await bench.ready(FAILS)
    await bench.core.kept.close()
    await bench.start(pid)
    await bench.until(pid)
    assert not kept(bench, pid)
    await gone(bench, pid)
