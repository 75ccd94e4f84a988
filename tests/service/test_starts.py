"""A procedure is started once, when it is READY, and one at a time runs on a subarray."""

import asyncio

import pytest

from oet_kernel.errors import StartRefused
from oet_kernel.models import ProcedureState, StopProcessCommand
from tests.service.remote import anywhere

pytestmark = pytest.mark.anyio

FOREVER = "import time\ndef init(**kwargs): pass\ndef main(**kwargs): time.sleep(1000)\n"
NOTHING = "def main(*args, **kwargs): pass\n"


@anywhere()
async def test_second_start_on_a_busy_subarray_is_refused_naming_the_holder(bench):
    first, second, other = [await bench.ready(FOREVER, subarray_id=n) for n in (1, 1, 2)]
    await bench.start(first)
    await bench.until(first, ProcedureState.RUNNING)
    with pytest.raises(StartRefused, match=f"^Cannot start PID {second}: PID #{first} is RUNNING$"):
        await bench.start(second)
    assert bench.service.summarise([second])[0].state is ProcedureState.READY
    await bench.start(other)
    assert (await bench.until(other, ProcedureState.RUNNING)).state is ProcedureState.RUNNING
    await bench.service.stop(StopProcessCommand(first))
    await bench.start(second)
    assert (await bench.until(second, ProcedureState.RUNNING)).state is ProcedureState.RUNNING


@anywhere()
async def test_of_two_starts_at_the_same_instant_one_runs(bench):
    pids = [await bench.ready(FOREVER) for _ in range(3)]
    outcomes = await asyncio.gather(*(bench.start(pid) for pid in pids), return_exceptions=True)
    assert sum(isinstance(outcome, StartRefused) for outcome in outcomes) == 2


@pytest.mark.parametrize("end", ["pass", "raise ValueError", "import os; os._exit(1)"])
@anywhere()
async def test_subarray_is_free_again_however_a_run_ends(bench, end):
    first, second = [await bench.ready(f"def main():\n    {end}\n") for _ in range(2)]
    await bench.start(first)
    await bench.until(first)
    await bench.start(second)
    assert (await bench.until(second)).state.inactive


@anywhere("make_bench")
async def test_exclusivity_can_be_configured_off(make_bench):
    bench = make_bench(exclusive=False)
    pids = [await bench.ready(FOREVER) for _ in range(2)]
    for pid in pids:
        await bench.start(pid)
    assert [(await bench.until(pid, ProcedureState.RUNNING)).state.name for pid in pids] == ["RUNNING"] * 2


@anywhere()
async def test_start_of_what_is_not_ready_changes_nothing(bench):
    pid = await bench.create("import time\ndef init(): time.sleep(1000)\ndef main(): pass\n")
    for state in (ProcedureState.LOADING, ProcedureState.INITIALISING):
        await bench.until(pid, state)
        before = bench.service.summarise([pid])[0]
        assert (await bench.start(pid, 1)).script_args == before.script_args
    done = await bench.run(NOTHING)
    assert await bench.start(done.id) == done


@anywhere()
async def test_second_start_of_the_same_procedure_does_not_run_it_twice(bench):
    pid = await bench.ready("def main(x): print(x)\n")
    await bench.start(pid, 1)
    await bench.start(pid, 2)
    await bench.until(pid)
    assert bench.output(pid) == "1\n"
