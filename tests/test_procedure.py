"""The state machine: no illegal transition, no lost end, no history out of order, whatever is observed and when."""

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from oet_kernel.errors import IllegalTransition
from oet_kernel.models import FileSystemScript, Pause, ProcedureInput, ProcedureState
from oet_kernel.procedure import (
    TRANSITIONS,
    CallFinished,
    CallStarted,
    EnvironmentFinished,
    EnvironmentStarted,
    Failed,
    KernelExited,
    KernelReady,
    LoadFinished,
    LoadStarted,
    PauseAsked,
    Paused,
    PauseEnded,
    Started,
    StartWithdrawn,
    StopAccepted,
    StopGivenUp,
    apply,
    create,
    enter,
)

S = ProcedureState
SCRIPT = FileSystemScript(script_uri="file:///x.py")
GOOD_RUN = [
    KernelReady(1), LoadStarted(2), LoadFinished(3, True), CallStarted(4, "init"), CallFinished(5, "init"),
    Started(6, ProcedureInput()), CallStarted(7, "main"), CallFinished(8, "main"), KernelExited(9, ""),
]  # fmt: skip


def fresh():
    return create(1, SCRIPT, ProcedureInput(), 0.0)


def after(facts):
    procedure = fresh()
    for fact in facts:
        procedure = apply(procedure, fact)
    return procedure


def names(procedure):
    return [state.name for state, _ in procedure.history.process_states]


def test_good_run_has_the_history_of_the_contract():
    assert names(after(GOOD_RUN)) == [
        "CREATING", "IDLE", "LOADING", "IDLE", "INITIALISING", "READY", "RUNNING", "READY", "COMPLETE",
    ]  # fmt: skip


def test_good_run_without_init_has_no_initialising():
    facts = [KernelReady(1), LoadStarted(2), LoadFinished(3, False), *GOOD_RUN[5:]]
    assert names(after(facts)) == ["CREATING", "IDLE", "LOADING", "IDLE", "READY", "RUNNING", "READY", "COMPLETE"]


def test_environment_comes_before_loading():
    facts = [EnvironmentStarted(0.2), EnvironmentFinished(0.4), *GOOD_RUN]
    assert names(after(facts))[:5] == ["CREATING", "IDLE", "PREP_ENV", "IDLE", "LOADING"]


@pytest.mark.parametrize("steps", range(len(GOOD_RUN) - 1))
@pytest.mark.parametrize("end", [Failed(99, "trace"), KernelExited(99, "exit code 3")])
def test_failure_at_any_point_is_failed_with_its_trace(steps, end):
    procedure = after([*GOOD_RUN[:steps], end])
    if steps < len(GOOD_RUN) - 1:
        assert procedure.state is S.FAILED
        assert procedure.history.stacktrace in ("trace", "exit code 3")


@pytest.mark.parametrize("steps", range(len(GOOD_RUN) - 1))
@pytest.mark.parametrize(("end", "state"), [(KernelExited(99, ""), S.STOPPED), (StopGivenUp(99), S.UNKNOWN)])
def test_after_a_stop_only_stopped_or_unknown_follow(steps, end, state):
    procedure = after([*GOOD_RUN[:steps], StopAccepted(50), *GOOD_RUN[steps:-1], Failed(60, "late"), end])
    assert names(procedure) == [*names(after(GOOD_RUN[:steps])), state.name]
    assert procedure.history.stacktrace is None


def test_clock_that_steps_back_does_not_turn_the_history_round():
    procedure = after([KernelReady(100), LoadStarted(50), LoadFinished(70, False)])
    assert [at for _, at in procedure.history.process_states] == [0, 100, 100, 100, 100]


@pytest.mark.parametrize("current", TRANSITIONS)
@pytest.mark.parametrize("target", ProcedureState)
def test_only_what_the_table_allows_can_be_entered(current, target):
    from msgspec.structs import replace

    from oet_kernel.models import ProcedureHistory

    past = [] if current is None else [(current, 0.0)]
    procedure = replace(fresh(), history=ProcedureHistory(past))
    if target in TRANSITIONS[current]:
        assert enter(procedure, 1.0, target).state is target
    else:
        with pytest.raises(IllegalTransition, match=f"cannot become {target.name} after"):
            enter(procedure, 1.0, target)


def test_table_names_every_state_and_ends_where_it_should():
    assert set(TRANSITIONS) == {None, *ProcedureState}
    assert {state for state, following in TRANSITIONS.items() if not following} == {
        state for state in ProcedureState if state.inactive
    }


@pytest.mark.parametrize(
    ("init", "main", "slot"),
    [
        ({}, {}, "default"),
        ({"subarray_id": 2}, {}, "2"),
        ({"subarray_id": 2}, {"subarray_id": 3}, "3"),
        ({"subarray_id": None}, {}, "default"),
    ],
)
def test_subarray_is_that_of_the_newest_call_that_names_one(init, main, slot):
    procedure = create(1, SCRIPT, ProcedureInput(kwargs=init), 0.0)
    for fact in GOOD_RUN[:5]:
        procedure = apply(procedure, fact)
    procedure = apply(procedure, Started(6, ProcedureInput(kwargs=main)))
    assert procedure.subarray == slot


def test_start_that_was_withdrawn_can_be_asked_for_again():
    ready = after(GOOD_RUN[:5])
    started = apply(ready, Started(6, ProcedureInput(args=[1])))
    assert apply(started, StartWithdrawn(7)) == ready
    running = apply(started, CallStarted(7, "main"))
    assert apply(running, StartWithdrawn(8)) is running


def test_a_pause_changes_no_state_and_is_over_when_it_is_resumed():
    running = after(GOOD_RUN[:7])
    asked = apply(running, PauseAsked(8, "scan .*"))
    assert asked.pause == Pause(8, "scan .*")
    waiting = apply(asked, Paused(9, "scan 1"))
    assert waiting.pause == Pause(8, "scan .*", None, "scan 1", 9)
    assert str(waiting.pause) == "paused at scan 1"
    assert names(waiting) == names(running)
    assert apply(waiting, PauseEnded(10)) == running
    assert apply(asked, PauseEnded(10)) == running


def test_a_pause_that_is_told_again_is_the_same():
    waiting = after([*GOOD_RUN[:7], PauseAsked(8, None), Paused(9, "scan 1")])
    assert apply(waiting, Paused(10, "scan 1")) is waiting
    assert apply(waiting, PauseAsked(11, None)).pause == Pause(8), "what waited was cancelled"
    assert apply(waiting, PauseAsked(11, None)).pause != apply(after([*GOOD_RUN[:7]]), PauseAsked(11, None)).pause


def test_what_nobody_has_asked_for_is_no_pause():
    running = after(GOOD_RUN[:7])
    assert apply(running, Paused(9, "scan 1")) is running
    assert apply(running, PauseEnded(9)) is running


@pytest.mark.parametrize("end", [CallFinished(10, "main"), Failed(10, "trace"), KernelExited(10, "exit code 3")])
def test_the_end_ends_a_pause(end):
    waiting = after([*GOOD_RUN[:7], PauseAsked(8, None), Paused(9, "scan 1")])
    assert apply(waiting, end).pause is None
    stopping = apply(waiting, StopAccepted(10))
    assert stopping.pause == waiting.pause
    assert apply(stopping, PauseEnded(11)) is stopping
    assert apply(stopping, KernelExited(12, "")).pause is None


TIMES = st.floats(0, 1000)
CALLS = st.sampled_from(["init", "main", "load", "something"])
FACTS = st.one_of(
    st.builds(KernelReady, TIMES),
    st.builds(EnvironmentStarted, TIMES),
    st.builds(EnvironmentFinished, TIMES),
    st.builds(LoadStarted, TIMES),
    st.builds(LoadFinished, TIMES, st.booleans()),
    st.builds(CallStarted, TIMES, CALLS),
    st.builds(CallFinished, TIMES, CALLS),
    st.builds(Failed, TIMES, st.text()),
    st.builds(StopAccepted, TIMES),
    st.builds(StopGivenUp, TIMES),
    st.builds(KernelExited, TIMES, st.text()),
    st.builds(Started, TIMES, st.builds(ProcedureInput)),
    st.builds(StartWithdrawn, TIMES),
    st.builds(PauseAsked, TIMES, st.none() | st.text()),
    st.builds(Paused, TIMES, st.text()),
    st.builds(PauseEnded, TIMES),
)


def test_who_asked_is_kept_of_the_request_that_counted():
    procedure = create(1, SCRIPT, ProcedureInput(), 0.0, "alice")
    for fact in GOOD_RUN[:5]:
        procedure = apply(procedure, fact)
    procedure = apply(procedure, Started(9.0, ProcedureInput(), "bob"))
    assert procedure.requested_by == {"create": "alice", "start": "bob"}
    withdrawn = apply(procedure, StartWithdrawn(9.0))
    assert withdrawn.requested_by == {"create": "alice"}
    for who in (None, "carol", "dora"):
        procedure = apply(procedure, StopAccepted(10.0, who))
    assert procedure.requested_by == {"create": "alice", "start": "bob"}, "the first stop said no name"


class AnyOrder(RuleBasedStateMachine):
    """Facts in any order, twice, late, forged, with a clock that jumps; and now and then the next good one."""

    @initialize()
    def begin(self):
        self.procedure = fresh()
        self.ended_as = None
        self.stopped = False

    def learn(self, fact):
        before = self.procedure
        self.procedure = apply(before, fact)
        if isinstance(fact, StopAccepted) and not before.state.inactive:
            self.stopped = True
        if isinstance(fact, KernelExited):
            assert self.procedure.state.inactive, "a procedure whose kernel is gone has ended"
        kept = before.history.process_states
        assert self.procedure.history.process_states[: len(kept)] == kept, "history is only added to"

    @rule(fact=FACTS)
    def anything(self, fact):
        self.learn(fact)

    @rule(step=st.sampled_from(GOOD_RUN[:-1]))
    def good_step(self, step):
        self.learn(step)

    @invariant()
    def only_legal_transitions_in_order(self):
        states = self.procedure.history.process_states
        assert states[0][0] is S.CREATING
        for (one, at), (following, later) in pairwise(states):
            assert following in TRANSITIONS[one]
            assert later >= at

    @invariant()
    def an_end_is_final(self):
        if self.ended_as is not None:
            assert self.procedure.state is self.ended_as
        if self.procedure.state.inactive:
            self.ended_as = self.procedure.state

    @invariant()
    def a_stop_is_not_forgotten(self):
        if self.stopped and self.procedure.state.inactive:
            assert self.procedure.state in (S.STOPPED, S.UNKNOWN)

    @invariant()
    def a_trace_goes_with_failure_and_only_with_it(self):
        assert (self.procedure.history.stacktrace is not None) == (self.procedure.state is S.FAILED)

    @invariant()
    def nothing_that_has_ended_is_paused(self):
        assert self.procedure.pause is None or not self.procedure.state.inactive

    @invariant()
    def main_runs_only_once_it_was_started(self):
        ran = S.RUNNING in [state for state, _ in self.procedure.history.process_states]
        assert not ran or "main" in self.procedure.calls


AnyOrder.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestAnyOrder = AnyOrder.TestCase
