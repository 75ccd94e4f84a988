"""A stop ends a procedure, and the abort script follows it on the same subarray where that is requested."""

import asyncio

import pytest

from oet_kernel.errors import AbortFailed, StartRefused
from oet_kernel.models import ProcedureState, StopProcessCommand
from tests.service.remote import anywhere

pytestmark = pytest.mark.anyio

FOREVER = "import time\ndef init(**kwargs): pass\ndef main(**kwargs): time.sleep(1000)\n"


@pytest.fixture
def abort_script(tmp_path):
    path = tmp_path / "abort.py"
    path.write_text(
        "from oet_kernel.api import publish\ndef init(subarray_id=None):\n    global n\n    n = subarray_id\n"
        "def main(): publish('user.script.announce', msg=f'aborted {n}')\n"
    )
    return path


@anywhere("make_bench")
async def test_abort_script_runs_on_the_stopped_subarray(make_bench, abort_script):
    bench = make_bench(abort_script=str(abort_script))
    pid = await bench.ready(FOREVER, subarray_id=7)
    await bench.start(pid)
    outcome = await bench.service.stop(StopProcessCommand(pid, run_abort=True))
    (abort,) = outcome.aborted
    assert (await bench.until(abort.id)).state is ProcedureState.COMPLETE
    assert bench.said("user.script.announce", abort.id)[0]["msg"] == "aborted 7"
    (stopped,) = bench.said("procedure.lifecycle.stopped")
    assert [summary["id"] for summary in stopped["result"]] == [abort.id]


@anywhere("make_bench")
async def test_stop_without_abort_tells_the_stopped_procedure(make_bench, abort_script):
    bench = make_bench(abort_script=str(abort_script))
    pid = await bench.ready(FOREVER, subarray_id=7)
    outcome = await bench.service.stop(StopProcessCommand(pid))
    assert outcome.aborted == []
    (stopped,) = bench.said("procedure.lifecycle.stopped")
    assert (stopped["result"]["id"], stopped["result"]["state"]) == (pid, "STOPPED")


@anywhere("make_bench")
async def test_nobody_gets_the_subarray_between_stop_and_abort(make_bench, abort_script):
    bench = make_bench(abort_script=str(abort_script))
    first, second = [await bench.ready(FOREVER, subarray_id=7) for _ in range(2)]
    await bench.start(first)
    await bench.until(first, ProcedureState.RUNNING)
    stopping = asyncio.create_task(bench.service.stop(StopProcessCommand(first, run_abort=True)))
    await bench.until(first)
    with pytest.raises(StartRefused):
        await bench.start(second)
    (abort,) = (await stopping).aborted
    await bench.until(abort.id)
    await bench.start(second)
    assert (await bench.until(second, ProcedureState.RUNNING)).state is ProcedureState.RUNNING


@anywhere("make_bench")
async def test_stop_of_a_prepared_procedure_does_not_abort_what_another_does(make_bench, abort_script):
    bench = make_bench(abort_script=str(abort_script))
    running, prepared = [await bench.ready(FOREVER, subarray_id=7) for _ in range(2)]
    await bench.start(running)
    await bench.until(running, ProcedureState.RUNNING)
    outcome = await bench.service.stop(StopProcessCommand(prepared, run_abort=True))
    assert outcome.stopped
    assert outcome.aborted == []
    assert bench.service.summarise([running])[0].state is ProcedureState.RUNNING


@anywhere("make_bench")
async def test_abort_script_that_fails_is_told_and_frees_the_subarray(make_bench, abort_script):
    abort_script.write_text("def init(**kwargs): raise ValueError('no telescope')\ndef main(): pass\n")
    bench = make_bench(abort_script=str(abort_script))
    first, second = [await bench.ready(FOREVER, subarray_id=7) for _ in range(2)]
    await bench.start(first)
    with pytest.raises(AbortFailed, match="no telescope"):
        await bench.service.stop(StopProcessCommand(first, run_abort=True))
    assert bench.service.summarise([first])[0].state is ProcedureState.STOPPED
    await bench.start(second)


@anywhere("make_bench")
async def test_abort_script_that_hangs_is_given_up_after_its_deadline(make_bench, abort_script):
    abort_script.write_text("import time\ndef init(**kwargs): time.sleep(1000)\ndef main(): pass\n")
    bench = make_bench(abort_script=str(abort_script), abort_seconds=0.6)
    pid = await bench.ready(FOREVER)
    with pytest.raises(AbortFailed, match=r"not ready within 0\.6 s"):
        await bench.service.stop(StopProcessCommand(pid, run_abort=True), "carol")
    abort = bench.service.summarise([pid + 1])[0]
    assert abort.requested_by == {"create": "carol", "stop": "the service: not ready within 0.6 s"}
