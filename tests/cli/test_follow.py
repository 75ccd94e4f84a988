"""A procedure is followed to its real end, whatever its script publishes and however its stream breaks."""

import json
from contextlib import contextmanager

import msgspec
import pytest

from oet_kernel.cli.follow import follow
from oet_kernel.cli.printing import Printer
from oet_kernel.client import AWAY, BACK, LOST, ApiError, ConnectionFailed, Event, StreamEnded
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
GAP = Event(LOST, "client", {"why": "cut off", "after": None}, None)


def entered(state, source="4"):
    return Event("procedure.lifecycle.statechange", source, {"new_state": state}, "7")


def said(text, source="4"):
    return Event("user.script.announce", source, {"msg": text}, "7")


class Script:
    """A client whose stream holds these events, and whose procedure is in these states, one a question."""

    def __init__(self, stream, *states, stacktrace=None):
        self.stream = stream
        self.states = list(states)
        self.stacktrace = stacktrace
        self.listening = False

    @contextmanager
    def events(self, exclude, procedure, resume, notices):
        assert notices
        self.listening = True
        yield self._all(self.stream)

    def _all(self, events):
        for event in events:
            if isinstance(event, Exception):
                raise event
            yield event
        raise AssertionError("the procedure was followed beyond its end")

    def begin(self):
        assert self.listening, "events would be missed"
        return SUMMARY

    def find(self, pid):
        state = self.states.pop(0)
        if isinstance(state, Exception):
            raise state
        history = msgspec.structs.replace(SUMMARY.history, stacktrace=self.stacktrace)
        return msgspec.structs.replace(SUMMARY, state=state, history=history)


@pytest.mark.parametrize(
    ("state", "status"), [(S.COMPLETE, 0), (S.FAILED, 1), (S.UNKNOWN, 1), (S.STOPPED, 3)], ids=lambda value: str(value)
)
def test_the_way_it_ended_is_said_and_is_the_status(capsys, state, status):
    client = Script([said("hello"), said("not mine", "5"), entered(state.name)], state)
    assert follow(client, Printer(False), client.begin) == status
    out, err = capsys.readouterr()
    assert out == "- Script message: hello\n"
    assert err.splitlines() == [f"[procedure 4 {state.name}]", f"Procedure 4 is {state.name}"]


def test_stack_trace_goes_to_standard_error(capsys):
    client = Script([entered("FAILED")], S.FAILED, stacktrace="ValueError: x\n")
    follow(client, Printer(False), client.begin)
    assert "ValueError: x\n" in capsys.readouterr().err


@pytest.mark.parametrize("state", ["COMPLETE", "NONSENSE", 3, None, {"py/reduce": []}])
def test_state_that_a_script_made_up_does_not_end_it(state):
    """Only the service's word counts; numbers and objects are the original's."""
    running = [S.RUNNING] if state == "COMPLETE" else []
    client = Script([entered(state), said("on"), entered("FAILED")], *running, S.FAILED)
    assert follow(client, Printer(False), client.begin) == 1


def test_break_is_told_on_standard_error_and_nothing_is_missing(capsys):
    notices = [Event(AWAY, "client", {"why": "refused"}, None), Event(BACK, "client", {}, None)]
    client = Script([said("one"), *notices, said("two"), entered("COMPLETE")], S.COMPLETE)
    assert follow(client, Printer(False), client.begin) == 0
    out, err = capsys.readouterr()
    assert out == "- Script message: one\n- Script message: two\n"
    assert err.splitlines()[:2] == ["[the service does not answer; waiting for it]", "[the service answers again]"]


def test_end_that_was_lost_is_noticed_and_the_loss_is_said(capsys):
    client = Script([said("one"), GAP], S.STOPPED, S.STOPPED)
    assert follow(client, Printer(False), client.begin) == 3
    assert "[some events are missing: cut off]" in capsys.readouterr().err


def test_state_that_was_lost_is_told():
    states = []
    client = Script([entered("CREATING"), GAP, entered("COMPLETE")], S.READY, S.COMPLETE)
    follow(client, Printer(False), client.begin, on_state=states.append)
    assert states == [S.CREATING, S.READY, S.COMPLETE]


def test_notice_that_a_script_made_up_is_an_event_like_any_other(capsys):
    client = Script([Event(LOST, "4", {"x": 1}, "7"), entered("COMPLETE")], S.COMPLETE)
    assert follow(client, Printer(False), client.begin) == 0
    assert capsys.readouterr().out == "- connection.lost: x=1\n"


def test_service_that_does_not_come_back_is_given_up():
    client = Script([said("one"), StreamEnded("gone")])
    with pytest.raises(StreamEnded):
        follow(client, Printer(False), client.begin)


def test_service_that_goes_away_just_before_it_is_asked_is_waited_for():
    client = Script([entered("COMPLETE")], ConnectionFailed("refused"), S.COMPLETE)
    assert follow(client, Printer(False), client.begin) == 0


def test_service_that_goes_away_for_good_before_it_is_asked_is_given_up():
    client = Script([entered("COMPLETE")], ConnectionFailed("refused"))
    with pytest.raises(ConnectionFailed):
        follow(client, Printer(False), client.begin, patience=0)


def test_procedure_that_ended_before_its_start_is_not_waited_for():
    client = Script([], S.STOPPED)
    assert follow(client, Printer(False), lambda: client.find(4)) == 3


def test_end_of_a_procedure_that_the_service_has_forgotten_is_known():
    client = Script([entered("COMPLETE")], ApiError("404 Not Found", "ResourceNotFound", "No information"))
    assert follow(client, Printer(False), client.begin) == 0


def test_json_holds_the_events_and_then_the_procedure(capsys):
    client = Script([said("hello"), entered("COMPLETE")], S.COMPLETE)
    follow(client, Printer(True), client.begin)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("topic") for line in lines] == [
        "user.script.announce",
        "procedure.lifecycle.statechange",
        None,
    ]
    assert lines[-1]["state"] == "COMPLETE"
