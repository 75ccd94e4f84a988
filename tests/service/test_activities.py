"""Activities: what a scheduling block says is done by a procedure, and followed."""

import json

import pytest
from msgspec.structs import replace

from oet_kernel.errors import MalformedRequest, ResourceNotFound
from oet_kernel.models import ActivityCommand, ActivityState, ProcedureInput, ProcedureState, StopProcessCommand
from oet_kernel.oda.folder import FolderArchive
from oet_kernel.scripts.catalogue import ScriptCatalogue
from oet_kernel.server.assembly import activity_service
from oet_kernel.service.activities import merge

pytestmark = pytest.mark.anyio

SCRIPT = """
import json
def init(subarray_id, mode='slow'): print('init', subarray_id, mode)
def main(a=0, sb_json=None, sbi_id=None): print('main', a, json.load(open(sb_json))['sbd_id'], sbi_id)
"""


@pytest.fixture
def activities(bench):
    """An activity service on an archive with one block."""
    folder = bench.folder / "archive"
    folder.mkdir()
    args = {"init": {"kwargs": {"subarray_id": 3, "mode": "fast"}}, "main": {"kwargs": {"a": 1}}}
    block = {
        "sbd_id": "sbd-1",
        "activities": {
            "observe": {
                "kind": "filesystem",
                "path": bench.script(SCRIPT).script_uri.removeprefix("file://"),
                "function_args": args,
            },
            "broken": {"kind": "ftp", "path": "/x.py"},
        },
    }
    (folder / "sbd-1.json").write_text(json.dumps(block))
    return activity_service(replace(bench.settings, archive=str(folder)), bench.core, ScriptCatalogue([]))


async def test_activity_runs_its_script_with_the_block_and_follows_it_to_the_end(bench, activities):
    summary = await activities.run(ActivityCommand(sbd_id="sbd-1", activity_name="observe"))
    assert summary.state is ActivityState.REQUESTED
    await bench.until(summary.procedure_id)
    done = activities.summarise(summary.id)
    assert [state.name for state, _ in done.activity_states] == ["REQUESTED", "PREPARED", "RUNNING", "COMPLETE"]
    assert bench.output(summary.procedure_id) == f"init 3 fast\nmain 1 sbd-1 {done.sbi_id}\n"
    record = json.loads((bench.folder / "archive" / "instances" / f"{done.sbi_id}.json").read_text())
    assert (record["sbd_ref"], record["activity"]) == ("sbd-1", "observe")
    (request,), (running,) = bench.said("request.activity.run"), bench.said("activity.lifecycle.running")
    assert request["request_id"] == running["request_id"]
    assert request["cmd"]["activity_name"] == "observe"
    assert running["result"]["procedure_id"] == summary.procedure_id


async def test_arguments_of_the_request_override_the_blocks_key_by_key(bench, activities):
    override = {"init": ProcedureInput(kwargs={"mode": "odd"}), "main": ProcedureInput(kwargs={"a": 2})}
    command = ActivityCommand(sbd_id="sbd-1", activity_name="observe", script_args=override)
    summary = await activities.run(command)
    await bench.until(summary.procedure_id)
    assert bench.output(summary.procedure_id).startswith("init 3 odd\nmain 2 sbd-1")


async def test_prepared_activity_waits_for_a_start_and_then_gets_its_block(bench, activities):
    command = ActivityCommand(sbd_id="sbd-1", activity_name="observe", prepare_only=True)
    summary = await activities.run(command)
    await bench.until(summary.procedure_id, ProcedureState.READY)
    assert activities.summarise(summary.id).state is ActivityState.PREPARED
    await bench.start(summary.procedure_id, a=5)
    await bench.until(summary.procedure_id)
    assert "main 5 sbd-1 sbi-oet-" in bench.output(summary.procedure_id)
    assert activities.summarise(summary.id).state is ActivityState.COMPLETE


async def test_stopped_procedure_makes_a_stopped_activity(bench, activities):
    command = ActivityCommand(sbd_id="sbd-1", activity_name="observe", prepare_only=True)
    summary = await activities.run(command)
    await bench.until(summary.procedure_id, ProcedureState.READY)
    await bench.service.stop(StopProcessCommand(summary.procedure_id))
    assert activities.summarise(summary.id).state is ActivityState.STOPPED


async def test_activity_that_finds_its_subarray_busy_fails_and_releases_its_procedure(bench, activities):
    busy = await bench.ready(
        "import time\ndef init(**k): pass\ndef main(): time.sleep(1000)\n", subarray_id=3, name="b.py"
    )
    await bench.start(busy)
    summary = await activities.run(ActivityCommand(sbd_id="sbd-1", activity_name="observe"))
    ended = await bench.until(summary.procedure_id)
    assert ended.state is ProcedureState.FAILED
    assert ended.history.stacktrace == f"Cannot start PID {ended.id}: PID #{busy} is RUNNING"
    assert activities.summarise(summary.id).state is ActivityState.FAILED


@pytest.mark.parametrize(
    ("sbd_id", "name", "error", "says"),
    [
        ("sbd-2", "observe", ResourceNotFound, "No information available for SBD sbd-2"),
        ("../sbd-1", "observe", ResourceNotFound, "No information available for SBD"),
        ("sbd-1", "calibrate", ResourceNotFound, "no activity 'calibrate'; its activities are: observe, broken"),
        ("sbd-1", "broken", MalformedRequest, r"Invalid enum value 'ftp' - at `\$\.kind`"),
        ("sbd-1\x1b]0;x\x07", "observe", MalformedRequest, r"\$\.sbd_id: .* contains control characters"),
        ("sbd-1", "observe\u202e", MalformedRequest, r"\$\.activity_name: .* contains control characters"),
    ],
)
async def test_what_the_archive_does_not_have_is_said(activities, sbd_id, name, error, says):
    with pytest.raises(error, match=says):
        await activities.run(ActivityCommand(sbd_id=sbd_id, activity_name=name))


async def test_service_without_an_archive_says_what_to_do(bench):
    service = activity_service(bench.settings, bench.core, ScriptCatalogue([]))
    with pytest.raises(ResourceNotFound, match="start it with --archive"):
        await service.run(ActivityCommand(sbd_id="sbd-1", activity_name="observe"))


@pytest.mark.parametrize(
    ("calls", "says"),
    [
        ({"main": ProcedureInput(kwargs={"b": 1})}, r"^\$\.script_args\.main\.kwargs\.b: unexpected"),
        ({"main": ProcedureInput([1, 2, 3, 4])}, r"^\$\.script_args\.main"),
        ({"init": ProcedureInput(kwargs={"speed": 1})}, r"^\$\.script_args\.init\.kwargs\.speed: unexpected"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_before_anything_is_recorded_or_called(
    bench, activities, calls, says
):
    with pytest.raises(MalformedRequest, match=says):
        await activities.run(ActivityCommand(sbd_id="sbd-1", activity_name="observe", script_args=calls))
    assert not (bench.folder / "archive" / "instances").exists()
    assert bench.service.summarise() == []


async def test_script_that_takes_no_block_is_refused_before_its_init_is_called(bench, activities):
    bench.script("def init(**k): pass\ndef main(a): pass\n")
    with pytest.raises(MalformedRequest, match=r"main\.kwargs\.sb_json: unexpected"):
        await activities.run(ActivityCommand(sbd_id="sbd-1", activity_name="observe"))
    assert bench.service.summarise() == []


async def test_unknown_activity_is_not_found(activities):
    with pytest.raises(ResourceNotFound, match="activity ID=7"):
        activities.summarise(7)


def test_merge_keeps_what_is_not_overridden():
    given = {"init": ProcedureInput([1], {"a": 1, "b": 2})}
    assert merge(given, {"init": ProcedureInput([], {"b": 3}), "main": ProcedureInput([4])}) == {
        "init": ProcedureInput([1], {"a": 1, "b": 3}),
        "main": ProcedureInput([4]),
    }


def test_instances_of_blocks_have_ids_of_their_own(tmp_path):
    archive = FolderArchive(tmp_path)
    assert len({archive.record_instance("sbd-1", "observe") for _ in range(5)}) == 5
