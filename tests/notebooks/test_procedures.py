"""The example procedures do what their documentation says, run by the service as users run them."""

import json
import subprocess
import sys
from itertools import count
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import find_kernel_specs

from tests.conftest import Listener, serve

PROCEDURES = Path(__file__).parents[2] / "notebooks" / "procedures"
LAST_WORDS = {"procedure.lifecycle.complete", "procedure.lifecycle.failed", "procedure.lifecycle.stopped"}
subarrays = count(7100)


@pytest.fixture
def play(server):
    """Run an example to its end; gives its id, its summary, and its events."""

    def run(name, *, init=None, main=None):
        init = {"subarray_id": next(subarrays), **(init or {})}
        with Listener(server) as listener:
            events = listener.events()
            body = {
                "script": {"script_type": "filesystem", "script_uri": (PROCEDURES / name).as_uri()},
                "script_args": {"init": {"args": [], "kwargs": init}},
            }
            made = server.http.post("/procedures", json=body).json()["procedure"]
            pid = int(made["uri"].rsplit("/", 1)[1])
            seen = []
            for event in events:
                if event["topic"] in LAST_WORDS and event["result"]["id"] == pid:
                    break
                if event["msg_src"] != str(pid):
                    continue
                seen.append(event)
                if event.get("new_state") == "READY" and "RUNNING" not in states(seen):
                    body = {"state": "RUNNING", "script_args": {"main": {"args": [], "kwargs": main or {}}}}
                    assert server.http.put(f"/procedures/{pid}", json=body).status_code == 200
        return server.http.get(f"/procedures/{pid}").json()["procedure"], seen, init["subarray_id"]

    return run


def states(events):
    return [event["new_state"] for event in events if event["topic"] == "procedure.lifecycle.statechange"]


def of(events, topic):
    return [event for event in events if event["topic"] == topic]


def announced(events):
    return [event["msg"] for event in of(events, "user.script.announce")]


def test_hello_says_hello_from_the_subarray_that_init_was_given(play):
    procedure, events, subarray = play("hello.py", main={"name": "Cape Town"})
    assert procedure["state"] == "COMPLETE", procedure["history"]["stacktrace"]
    assert announced(events) == [f"Hello Cape Town from subarray {subarray}"]
    assert states(events) == [
        *("CREATING", "IDLE", "LOADING", "IDLE", "INITIALISING", "READY"),
        *("RUNNING", "READY", "COMPLETE"),
    ]


@pytest.mark.parametrize(
    ("block", "sb_id", "telescope", "scans"),
    [("sbd-mid.json", "sbd-mid", "ska_mid", 4), ("sbd-low.json", "sbd-low-00001", "ska_low", 3)],
)
def test_observe_runs_each_scan_of_a_block(play, block, sb_id, telescope, scans):
    procedure, events, subarray = play("observe.py", init={"sb": str(PROCEDURES / block), "speed": 6000})
    assert procedure["state"] == "COMPLETE", procedure["history"]["stacktrace"]
    assert announced(events)[0] == f"Observing {sb_id} with {telescope} on subarray {subarray}"
    succeeded = of(events, "scan.lifecycle.end.succeeded")
    assert [(event["sb_id"], event["scan_id"]) for event in succeeded] == [(sb_id, n + 1) for n in range(scans)]
    story = [event["topic"] for event in events if event["topic"].startswith(("sb.", "subarray.resources"))]
    assert story == [
        "subarray.resources.allocated",
        "sb.lifecycle.allocated",
        "sb.lifecycle.observation.started",
        "sb.lifecycle.observation.finished.succeeded",
        "subarray.resources.deallocated",
    ]


def test_observe_takes_the_block_and_its_instance_at_the_start_as_activities_give_them(play):
    main = {"sb_json": str(PROCEDURES / "sbd-low.json"), "sbi_id": "sbi-7"}
    procedure, events, _ = play("observe.py", init={"speed": 1e6}, main=main)
    assert procedure["state"] == "COMPLETE", procedure["history"]["stacktrace"]
    assert {event["sb_id"] for event in events if "sb_id" in event} == {"sbi-7"}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"telescope": "ska_tall"}, "$.telescope is 'ska_tall', not one of ('ska_mid', 'ska_low')"),
        ({"scan_sequence": ["nap"]}, "$.scan_sequence[0]: there is no scan definition 'nap'"),
        ({"targets": []}, "$.targets is missing or empty"),
    ],
)
def test_observe_refuses_a_block_with_a_mistake_and_says_where_it_is(play, tmp_path, change, complaint):
    block = tmp_path / "sbd.json"
    block.write_text(json.dumps({**json.loads((PROCEDURES / "sbd-mid.json").read_text()), **change}))
    procedure, events, _ = play("observe.py", init={"sb": str(block)})
    assert procedure["state"] == "FAILED"
    assert "RUNNING" not in states(events)
    assert f"ValueError: Scheduling block {block}: {complaint}" in procedure["history"]["stacktrace"]


def test_observe_without_a_block_says_how_to_give_one(play):
    procedure, _, _ = play("observe.py")
    assert procedure["state"] == "FAILED"
    assert "give the path of a scheduling block as sb or sb_json" in procedure["history"]["stacktrace"]


def test_observe_can_be_paused_between_scans_and_gives_its_resources_back_when_it_is_stopped(server):
    script = {"script_type": "filesystem", "script_uri": (PROCEDURES / "observe.py").as_uri()}
    init = {"kwargs": {"subarray_id": 8500, "sb": str(PROCEDURES / "sbd-mid.json"), "speed": 6000}}
    made = server.http.post("/procedures", json={"script": script, "script_args": {"init": init}}).json()["procedure"]
    pid = made["id"]
    server.until(pid, "READY")
    assert server.http.post(f"/procedures/{pid}/pause", json={"at": "scan 2"}).status_code == 200
    with Listener(server, f"?procedure={pid}&topic=procedure.lifecycle.paused,scan,subarray") as listener:
        server.http.put(f"/procedures/{pid}", json={"state": "RUNNING"})
        seen = until(listener.events(), "procedure.lifecycle.paused")
        assert [one["scan_id"] for one in seen if one["topic"] == "scan.lifecycle.end.succeeded"] == [1]
        server.http.put(f"/procedures/{pid}", json={"state": "STOPPED"})
        until(listener.events(), "subarray.resources.deallocated")
    assert server.until(pid)["state"] == "STOPPED"


def until(events, topic):
    """Collect events up to one of a topic."""
    seen = []
    for event in events:
        seen.append(event)
        if event["topic"] == topic:
            return seen
    raise AssertionError(f"no {topic} in {seen}")


def test_observe_needs_no_oet_kernel():
    code = (
        "import runpy, sys\nsys.modules['oet_kernel'] = None\n"
        f"observe = runpy.run_path({str(PROCEDURES / 'observe.py')!r})\n"
        f"observe['init'](sb={str(PROCEDURES / 'sbd-mid.json')!r}, speed=1e6)\nobserve['main']()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_calibrate_shows_a_plot_and_publishes_a_fit_for_each_antenna(play):
    procedure, events, subarray = play("calibrate.py", main={"integrations": 2})
    assert procedure["state"] == "COMPLETE", procedure["history"]["stacktrace"]
    fits = of(events, "calibration.bandpass")
    assert [fit["antenna"] for fit in fits] == ["M000", "M001", "M002", "M003"]
    assert all(0 < fit["rms"] < 0.1 and len(fit["gain"]) == 8 and fit["subarray_id"] == subarray for fit in fits)
    (plot,) = of(events, "procedure.output.display")
    assert "image/png" in plot["data"]
    assert announced(events)[-1] == "Integration 2 of 2"


def test_scan_is_run_cell_by_cell_and_its_record_is_the_notebook_with_its_plot(play, server):
    procedure, events, subarray = play("scan.ipynb", main={"samples": 20, "source": "M87"})
    assert procedure["state"] == "COMPLETE", procedure["history"]["stacktrace"]
    assert [one["id"] for one in of(events, "procedure.cell.finished")] == [
        *("parameters", "injected-parameters", "allocate", "injected-parameters", "scan", "plot", "result", "release")
    ]
    released = of(events, "subarray.resources.deallocated")
    assert [one["subarray_id"] for one in released] == [subarray]
    record = nbformat.reads(
        server.http.get(f"/procedures/{procedure['uri'].rsplit('/')[-1]}/record").text, as_version=4
    )
    nbformat.validate(record)
    cells = {cell.id: cell for cell in record.cells}
    assert list(cells)[:4] == ["heading", "title", "parameters", "injected-parameters-1"]
    assert "samples = 20" in cells["injected-parameters-2"].source
    assert "image/png" in cells["plot"].outputs[0].data
    assert cells["result"].outputs[0].text.startswith("M87: peak ")


def test_scan_refuses_an_argument_that_is_no_parameter(server):
    script = {"script_type": "filesystem", "script_uri": (PROCEDURES / "scan.ipynb").as_uri()}
    body = {"script": script, "script_args": {"init": {"args": [], "kwargs": {"sample": 3, "interval": "x"}}}}
    reply = server.http.post("/procedures", json=body)
    assert reply.status_code == 400
    assert "$.script_args.init.kwargs.sample: unexpected, init takes subarray_id, source" in reply.json()["Message"]
    assert '$.script_args.init.kwargs.interval: expected number, got string "x"' in reply.json()["Message"]


def test_disk_is_run_by_bash(tmp_path, kernelspecs):
    with serve(tmp_path, JUPYTER_PATH=str(kernelspecs)) as own, Listener(own) as listener:
        script = {"script_type": "filesystem", "script_uri": (PROCEDURES / "disk.ipynb").as_uri()}
        main = {"args": [], "kwargs": {"needed": 10**9}}
        own.http.post("/procedures", json={"script": script, "script_args": {"init": {"args": [], "kwargs": {}}}})
        own.until(1, "READY")
        own.http.put("/procedures/1", json={"state": "RUNNING", "script_args": {"main": main}})
        procedure = own.until(1)
        seen = []
        for event in listener.events():
            seen.append(event)
            if event["topic"] in LAST_WORDS:
                break
        record = nbformat.reads(own.http.get("/procedures/1/record").text, as_version=4)
    assert procedure["state"] == "FAILED"
    assert "disk.ipynb, cell 3 has failed: 1" in procedure["history"]["stacktrace"]
    said = "".join(event["text"] for event in of(seen, "procedure.output.stream"))
    assert "1000000000 are needed" in said
    assert said.endswith("checked / for subarray 1\n")
    nbformat.validate(record)
    (error,) = next(cell for cell in record.cells if cell.id == "decide").outputs
    assert (error.output_type, error.ename) == ("error", "CellFailed")
    assert record.metadata.kernelspec.name == "bash"


@pytest.mark.skipif("ir" not in find_kernel_specs(), reason="no kernel of R is installed")
@pytest.mark.parametrize(("worst", "end"), [(1, "COMPLETE"), (0.001, "FAILED")])
def test_gains_are_judged_by_r(play, worst, end):
    procedure, events, subarray = play("gains.ipynb", init={"antennas": 2}, main={"worst": worst})
    assert procedure["state"] == end, procedure["history"]["stacktrace"]
    said = "".join(event["text"] for event in of(events, "procedure.output.stream") if event["name"] == "stdout")
    assert said.startswith(f"2 antennas of subarray {subarray} observed\nantenna 1 drifts by ")
    assert said.endswith(f"gains of subarray {subarray} were looked at\n")
    assert any("image/png" in event["data"] for event in of(events, "procedure.output.display"))
    assert ("too much drift: antenna 1, 2" in (procedure["history"]["stacktrace"] or "")) is (end == "FAILED")


@pytest.mark.parametrize("where", ["init", "main"])
def test_fail_fails_where_it_is_told_to_and_keeps_the_cause(play, where):
    procedure, events, _ = play("fail.py", init={"where": where})
    assert procedure["state"] == "FAILED"
    assert ("RUNNING" in states(events)) is (where == "main")
    assert "KeyError: 'elevation'" in procedure["history"]["stacktrace"]
    assert "TelescopeError: Cannot point the dishes: the target has no elevation" in procedure["history"]["stacktrace"]
    (event,) = of(events, "procedure.lifecycle.stacktrace")
    assert event["stacktrace"] == procedure["history"]["stacktrace"]


def test_abort_says_whose_activity_it_ends(play):
    procedure, events, subarray = play("abort.py")
    assert procedure["state"] == "COMPLETE", procedure["history"]["stacktrace"]
    assert announced(events) == [f"Aborting what subarray {subarray} was doing"]


def test_observation_that_is_stopped_gives_its_resources_back_and_abort_runs_on_its_subarray(tmp_path):
    with serve(tmp_path, f"--abort-script={PROCEDURES / 'abort.py'}") as own, Listener(own) as listener:
        events = listener.events()
        init = {"args": [], "kwargs": {"subarray_id": 7, "sb": str(PROCEDURES / "sbd-mid.json"), "speed": 0.01}}
        script = {"script_type": "filesystem", "script_uri": (PROCEDURES / "observe.py").as_uri()}
        own.http.post("/procedures", json={"script": script, "script_args": {"init": init}})
        own.until(1, "READY")
        own.http.put("/procedures/1", json={"state": "RUNNING"})
        next(event for event in events if event["topic"] == "subarray.scan.started")
        reply = own.http.put("/procedures/1", json={"state": "STOPPED", "abort": True}).json()
        assert reply == {"abort_message": "Successfully stopped script with ID 1 and aborted subarray activity"}
        seen = []
        for event in events:
            seen.append(event)
            if event["topic"] == "procedure.lifecycle.statechange" and event["new_state"] == "COMPLETE":
                break
    topics = [event["topic"] for event in seen if event["msg_src"] == "1"]
    assert [topic for topic in topics if topic.startswith(("sb.", "subarray."))] == [
        "sb.lifecycle.observation.finished.failed",
        "subarray.resources.deallocated",
    ]
    assert [event["msg"] for event in of(seen, "user.script.announce")] == ["Aborting what subarray 7 was doing"]
