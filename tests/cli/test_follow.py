"""A procedure is followed to its real end, whatever its script publishes and however its stream breaks."""

import json
from contextlib import contextmanager

import msgspec
import pytest

from oet_kernel.cli.follow import follow
from oet_kernel.cli.printing import Printer
from oet_kernel.client import ApiError, Event, StreamEnded
from oet_kernel.models import FileSystemScript, ProcedureHistory, ProcedureState, ProcedureSummary

S = ProcedureState
SUMMARY = ProcedureSummary(
    id=4,
    script=FileSystemScript(script_uri="file:///x.py"),
    script_args={},
    history=ProcedureHistory([(S.CREATING, 1.0)]),
    state=S.READY,
    uri="http://h/procedures/4",
)
CUT_OFF = StreamEnded("cut off")


def entered(state, source="4"):
    return Event("procedure.lifecycle.statechange", source, {"new_state": state}, None)


def said(text, source="4"):
    return Event("user.script.announce", source, {"msg": text}, None)


class Script:
    """A client whose streams hold these events, and whose procedure is in these states, one a question."""

    def __init__(self, streams, *states, stacktrace=None):
        self.streams = list(streams)
        self.states = list(states)
        self.stacktrace = stacktrace
        self.listened_to = []
        self.listening = False

    @contextmanager
    def events(self, exclude, procedure):
        self.listened_to.append(procedure)
        self.listening = True
        yield self._all(self.streams.pop(0))

    def _all(self, events):
        for event in events:
            if isinstance(event, Exception):
                raise event
            yield event
        raise AssertionError("the procedure was followed beyond its end")

    def begin(self):
        assert self.listening, "events would be missed"
        return SUMMARY

    def procedure(self, pid):
        state = self.states.pop(0)
        if isinstance(state, Exception):
            raise state
        history = msgspec.structs.replace(SUMMARY.history, stacktrace=self.stacktrace)
        return msgspec.structs.replace(SUMMARY, state=state, history=history)


@pytest.mark.parametrize(
    ("state", "status"), [(S.COMPLETE, 0), (S.FAILED, 1), (S.UNKNOWN, 1), (S.STOPPED, 3)], ids=lambda value: str(value)
)
def test_the_way_it_ended_is_said_and_is_the_status(capsys, state, status):
    client = Script([[said("hello"), said("not mine", "5"), entered(state.name)]], state)
    assert follow(client, Printer(False), client.begin) == status
    out, err = capsys.readouterr()
    assert out == "- Script message: hello\n"
    assert err.splitlines() == [f"[procedure 4 {state.name}]", f"Procedure 4 is {state.name}"]


def test_stack_trace_goes_to_standard_error(capsys):
    client = Script([[entered("FAILED")]], S.FAILED, stacktrace="ValueError: x\n")
    follow(client, Printer(False), client.begin)
    assert "ValueError: x\n" in capsys.readouterr().err


@pytest.mark.parametrize("state", ["COMPLETE", "NONSENSE", 3, None, {"py/reduce": []}])
def test_state_that_a_script_made_up_does_not_end_it(state):
    """Only the service's word counts; numbers and objects are the original's."""
    running = [S.RUNNING] if state == "COMPLETE" else []
    client = Script([[entered(state), said("on"), entered("FAILED")]], *running, S.FAILED)
    assert follow(client, Printer(False), client.begin) == 1


def test_stream_that_is_cut_off_is_taken_up_again_and_it_is_said(capsys):
    streams = [[said("one"), CUT_OFF], [said("two"), CUT_OFF], [entered("COMPLETE")]]
    client = Script(streams, S.RUNNING, S.RUNNING, S.COMPLETE)
    assert follow(client, Printer(False), client.begin) == 0
    assert client.listened_to == [None, 4, 4]
    out, err = capsys.readouterr()
    assert out == "- Script message: one\n- Script message: two\n"
    assert err.count("[some events of procedure 4 are missing: cut off]") == 2


def test_end_that_came_while_nobody_listened_is_noticed():
    client = Script([[said("one"), CUT_OFF], []], S.STOPPED)
    assert follow(client, Printer(False), client.begin) == 3


def test_state_that_came_while_nobody_listened_is_told():
    states = []
    client = Script([[entered("CREATING"), CUT_OFF], [entered("COMPLETE")]], S.READY, S.COMPLETE)
    follow(client, Printer(False), client.begin, on_state=states.append)
    assert states == [S.CREATING, S.READY, S.COMPLETE]


def test_stream_that_ends_at_once_again_and_again_is_given_up():
    client = Script([[said("one"), CUT_OFF], [CUT_OFF]], S.RUNNING)
    with pytest.raises(StreamEnded):
        follow(client, Printer(False), client.begin)


def test_procedure_that_ended_before_its_start_is_not_waited_for():
    client = Script([[]], S.STOPPED)
    assert follow(client, Printer(False), lambda: client.procedure(4)) == 3


def test_end_of_a_procedure_that_the_service_has_forgotten_is_known():
    client = Script([[entered("COMPLETE")]], ApiError("404 Not Found", "ResourceNotFound", "No information"))
    assert follow(client, Printer(False), client.begin) == 0


def test_json_holds_the_events_and_then_the_procedure(capsys):
    client = Script([[said("hello"), entered("COMPLETE")]], S.COMPLETE)
    follow(client, Printer(True), client.begin)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("topic") for line in lines] == [
        "user.script.announce",
        "procedure.lifecycle.statechange",
        None,
    ]
    assert lines[-1]["state"] == "COMPLETE"
