"""The model follows the service, whichever way events and lists overtake each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from oet_kernel.client import AWAY, BACK, LOST, Event
from oet_kernel.models import (
    FileSystemScript,
    Pause,
    ProcedureHistory,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
)
from oet_kernel.panel.log import Entry, Filter
from oet_kernel.panel.model import Link, PanelModel, Row, chosen, hear, listed, remembered
from oet_kernel.procedure import TRANSITIONS

S = ProcedureState
GOOD = [S.CREATING, S.IDLE, S.LOADING, S.IDLE, S.INITIALISING, S.READY, S.RUNNING, S.READY, S.COMPLETE]


def summary(pid, *states, **init):
    history = ProcedureHistory([(state, float(at)) for at, state in enumerate(states)])
    script = FileSystemScript(script_uri="file:///scripts/observe%20it.py")
    calls = {"init": ProcedureInput([], init)}
    if S.RUNNING in states:
        calls["main"] = ProcedureInput()
    return ProcedureSummary(id=pid, script=script, script_args=calls, history=history, state=states[-1], uri="x")


def entered(pid, state, number=1):
    return Event("procedure.lifecycle.statechange", str(pid), {"new_state": state.name}, str(number))


def notice(topic, **fields):
    return Event(topic, "client", fields, None)


def heard(model, *events):
    for event in events:
        model = hear(model, event, 5.0)
    return model


def test_a_list_gives_a_row_for_each_procedure_and_selects_the_newest_that_is_active():
    model = listed(PanelModel(), [summary(1, *GOOD), summary(2, S.CREATING, subarray_id=4), summary(3, *GOOD)])
    assert list(model.rows) == [1, 2, 3]
    assert model.selected == 2
    assert (model.shown.script, model.shown.subarray, model.shown.state) == ("observe it.py", "4", S.CREATING)
    assert not model.stale


def test_of_none_that_is_active_the_newest_is_selected_and_of_none_at_all_none():
    assert listed(PanelModel(), [summary(1, *GOOD), summary(3, *GOOD)]).selected == 3
    assert listed(PanelModel(), []).selected is None


def test_a_list_does_not_change_what_the_user_has_selected():
    model = chosen(listed(PanelModel(), [summary(1, *GOOD)]), 1)
    assert listed(model, [summary(1, *GOOD), summary(2, S.CREATING)]).selected == 1


def test_a_procedure_that_is_not_listed_any_more_stays_in_sight_while_it_is_selected():
    model = listed(listed(PanelModel(), [summary(1, *GOOD)]), [summary(2, S.READY)])
    assert list(model.rows) == [2]
    assert model.shown.id == 1
    assert listed(model, [summary(2, S.READY)]).shown.id == 1


def test_one_of_the_archive_can_be_selected():
    model = chosen(listed(PanelModel(), [summary(20, S.READY)]), 1, summary(1, *GOOD))
    assert model.shown.state is S.COMPLETE
    assert not model.stale


def test_a_state_is_shown_at_once():
    model = listed(PanelModel(), [summary(1, *GOOD[:6])])
    model = heard(model, entered(1, S.RUNNING))
    assert model.rows[1].state is S.RUNNING
    assert model.stale, "arguments and times are in the list"


def test_a_procedure_that_nobody_knows_is_asked_for():
    assert heard(listed(PanelModel(), []), entered(1, S.CREATING)).stale
    assert not heard(listed(PanelModel(), []), Event("user.x", "7", {}, "1")).stale, "a script may send any msg_src"


@pytest.mark.parametrize("name", ["NONSENSE", None, 5, ["READY"], {}])
def test_a_state_that_a_script_has_made_up_changes_nothing(name):
    model = listed(PanelModel(), [summary(1, S.CREATING)])
    event = Event("procedure.lifecycle.statechange", "1", {"new_state": name}, "1")
    assert heard(model, event).rows == model.rows


def test_a_row_tells_what_its_script_has_announced_last():
    model = listed(PanelModel(), [summary(1, S.RUNNING), summary(2, S.RUNNING)])
    model = heard(
        model,
        Event("user.script.announce", "1", {"msg": "half way"}, "1"),
        Event("procedure.output.stream", "1", {"text": "noise\n"}, "2"),
        Event("request.procedure.stop", "Client", {"cmd": {"process_uid": 1}}, "3"),
    )
    assert (model.rows[1].said, model.rows[2].said) == ("half way", "")
    assert listed(model, [summary(1, S.RUNNING)]).rows[1].said == "half way"


@pytest.mark.parametrize(
    ("states", "startable"), [(GOOD[:6], True), (GOOD[:5], False), (GOOD[:8], False), (GOOD, False)]
)
def test_main_is_started_once(states, startable):
    assert Row(summary(1, *states)).startable is startable


def test_the_panel_says_when_the_service_is_away_and_when_it_is_back():
    model = heard(listed(PanelModel(), [summary(1, S.RUNNING)]), notice(AWAY, why="refused"))
    assert (model.connection.link, model.connection.why) == (Link.AWAY, "refused")
    assert model.rows, "what was known stays in sight"
    model = heard(model, notice(BACK))
    assert model.connection.link is Link.HERE
    assert model.stale
    assert [entry.text for entry in model.live.entries] == ["The service does not answer", "The service answers again"]


def test_a_script_cannot_pass_its_events_off_as_notices():
    model = listed(PanelModel(), [summary(1, S.RUNNING)])
    assert heard(model, Event(AWAY, "1", {"why": "lies"}, "4")).connection == model.connection


def test_after_a_loss_nothing_of_before_is_taken_for_what_comes():
    model = heard(listed(PanelModel(), [summary(3, S.RUNNING)]), entered(3, S.READY, 90), notice(LOST, why="removed"))
    assert (model.rows, model.selected, model.stale) == ({}, None, True)
    assert "removed" in model.live.entries[-1].text
    model = heard(listed(model, [summary(3, S.CREATING)]), entered(3, S.IDLE, 2))
    assert [entry.id for entry in model.log(Filter(3))] == [2]


def test_the_log_of_the_selected_procedure_goes_back_to_its_beginning_and_has_each_event_once():
    model = listed(PanelModel(), [summary(1, S.RUNNING)])
    model = heard(model, Event("user.a", "1", {}, "8"), Event("user.b", "2", {}, "9"), Event("user.c", "1", {}, "10"))
    past = [Entry(number, 0.0, 1, "user.past", "past") for number in (2, 5, 8)]
    assert [entry.id for entry in remembered(model, 1, past).log(Filter(1))] == [2, 5, 8, 10]
    assert [entry.id for entry in remembered(model, 1, past).log(Filter())] == [8, 9, 10]
    assert [entry.id for entry in chosen(remembered(model, 1, past), 2).log(Filter(1))] == [8, 10]


def test_the_past_of_one_that_is_not_selected_any_more_is_left_out():
    model = chosen(listed(PanelModel(), [summary(1, S.RUNNING), summary(2, S.RUNNING)]), 2)
    assert remembered(model, 1, [Entry(1, 0.0, 1, "a", "a")]) == model


@st.composite
def lives(draw):
    """Draw the states that a procedure may go through."""
    states = [S.CREATING]
    while len(states) < 20 and (following := sorted(TRANSITIONS[states[-1]], key=lambda state: state.name)):
        states.append(draw(st.sampled_from(following)))
    return states


@given(lives(), st.data())
def test_however_far_the_list_was_ahead_of_the_events_the_state_is_right_in_the_end(states, data):
    ahead = data.draw(st.integers(1, len(states)))
    behind = data.draw(st.integers(0, ahead))
    model = listed(PanelModel(), [summary(1, *states[:ahead])])
    model = heard(model, *(entered(1, state, number) for number, state in enumerate(states[behind:], 1)))
    assert model.rows[1].state is states[-1]


@given(st.lists(st.sampled_from(["state", "list", "user", "away", "back", "lost"]), max_size=30))
def test_two_panels_that_heard_the_same_show_the_same(happenings):
    models = [PanelModel(), PanelModel()]
    for number, happening in enumerate(happenings, 1):
        for n in (0, 1):
            match happening:
                case "list":
                    models[n] = listed(models[n], [summary(1, *GOOD[:5])])
                case "state":
                    models[n] = heard(models[n], entered(1, S.READY, number))
                case "user":
                    models[n] = heard(models[n], Event("user.x", "1", {"n": number}, str(number)))
                case _:
                    models[n] = heard(models[n], notice(f"connection.{happening}", why="so"))
    assert models[0] == models[1]


@pytest.mark.parametrize("name", ["pausing", "paused", "resumed", "unpaused"])
def test_what_becomes_of_a_pause_is_asked_for(name):
    model = listed(PanelModel(), [summary(1, *GOOD[:7])])
    assert heard(model, Event(f"procedure.lifecycle.{name}", "1", {}, "1")).stale


def test_what_has_ended_or_is_to_pause_already_cannot_be_paused():
    row = Row(summary(1, *GOOD[:7]))
    assert row.pausable
    assert not Row(replace(row.summary, pause=Pause(1.0))).pausable
    assert not Row(summary(1, *GOOD)).pausable
