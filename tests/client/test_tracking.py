"""Front ends agree on what an event changes in a procedure that they follow."""

import pytest
from msgspec.structs import replace

from oet_kernel import topics
from oet_kernel.client import Event
from oet_kernel.client.event_texts import describe
from oet_kernel.client.tracking import entered, in_state, paused, script_name
from oet_kernel.models import (
    FileSystemScript,
    Pause,
    ProcedureHistory,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
)
from oet_kernel.panel.model import Row

S = ProcedureState


def summary(**calls):
    return ProcedureSummary(
        id=3,
        script=FileSystemScript(script_uri="file:///tmp/a%20b.py"),
        script_args={name: ProcedureInput([], {"subarray_id": one}) for name, one in calls.items()},
        history=ProcedureHistory(process_states=[(S.READY, 1.0)], stacktrace=None),
        state=S.READY,
        uri="http://localhost/procedures/3",
    )


def event(topic, **fields):
    return Event(id="1", topic=topic, msg_src="3", fields=fields)


@pytest.mark.parametrize(
    ("calls", "subarray"),
    [({}, None), ({"init": 1}, 1), ({"init": 1, "main": 2}, 2), ({"init": 1, "main": None}, 1), ({"init": 0}, 0)],
)
def test_subarray_is_that_of_the_newest_call_on_every_surface(calls, subarray):
    told = summary(**calls)
    raw = {name: {"args": [], "kwargs": {"subarray_id": one}} for name, one in calls.items()}
    assert told.subarray_id == subarray
    assert Row(told).subarray == ("" if subarray is None else str(subarray))
    line = describe(event("procedure.lifecycle.created", result={"id": 3, "script_args": raw, "state": "CREATING"}))
    assert line.endswith(f"subarray {'unspecified' if subarray is None else subarray}")


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (event(topics.STATECHANGE, new_state="RUNNING"), S.RUNNING),
        (event(topics.STATECHANGE, new_state="nonsense"), None),
        (event(topics.STATECHANGE, new_state=["RUNNING"]), None),
        (event(topics.STATECHANGE, new_state="RUNNING", origin="script"), None),
        (event("user.x", new_state="RUNNING"), None),
    ],
)
def test_a_state_is_entered_by_the_word_of_the_service_alone(one, state):
    assert entered(one) is state


def test_a_state_that_is_entered_is_in_the_history_and_an_end_ends_a_pause():
    running = in_state(summary(), S.RUNNING, 5.0)
    assert (running.state, running.history.process_states) == (S.RUNNING, [(S.READY, 1.0), (S.RUNNING, 5.0)])
    waiting = replace(running, pause=Pause(5.5))
    assert in_state(waiting, S.RUNNING, 6.0).pause == Pause(5.5)
    assert in_state(waiting, S.COMPLETE, 7.0).pause is None


def test_a_pause_is_asked_for_reached_and_over():
    asked = paused(None, event(topics.PAUSING, at="scan *", who="alice"), 5.0)
    assert asked == Pause(5.0, "scan *", "alice")
    reached = paused(asked, event(topics.PAUSED, checkpoint="scan 3"), 6.0)
    assert (reached.checkpoint, reached.since, reached.who) == ("scan 3", 6.0, "alice")
    assert paused(reached, event(topics.RESUMED), 7.0) is None
    assert paused(None, event(topics.PAUSED, checkpoint="scan 3"), 6.0).checkpoint == "scan 3"


@pytest.mark.parametrize(
    ("uri", "name"), [("file:///tmp/a%20b.py", "a b.py"), ("git://x/y.py?z#1", "y.py"), ("nothing:", "nothing:")]
)
def test_name_of_a_script(uri, name):
    assert script_name(uri) == name
