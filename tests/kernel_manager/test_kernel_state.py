"""The state machine of a kernel: its life never goes back, whatever is observed and when."""

import asyncio
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.kernel_manager.kernel_state import (
    Adopted,
    Announced,
    Asked,
    CallEnded,
    CaughtUp,
    Detached,
    KernelState,
    Launched,
    Life,
    Reached,
    RequestEnded,
    apply,
    fact_of,
)
from oet_kernel.kernel_manager.life import KernelLife
from oet_kernel.protocol import ABILITIES, Record

REQUESTS = st.sampled_from(["prepare", "run"])
FACTS = st.one_of(
    st.just(Launched()),
    st.builds(Adopted, ended=st.booleans(), ready=st.booleans(), at_work=st.none() | REQUESTS),
    st.builds(Announced, abilities=st.just(("event",))),
    st.builds(Asked, REQUESTS),
    st.just(CallEnded()),
    st.builds(RequestEnded, REQUESTS),
    st.just(CaughtUp()),
    st.builds(Reached, st.sampled_from([life for life in Life if life > Life.RUNNING])),
    st.just(Detached()),
)
ENDS = [Reached(life) for life in (Life.ENDED, Life.GONE, Life.WRITTEN, Life.HEARD)]


def after(*facts):
    state = KernelState()
    for fact in facts:
        state = apply(state, fact)
    return state


# --- table


@pytest.mark.parametrize(
    ("facts", "holds"),
    [
        ([], {"life": Life.NEW, "started": False, "alive": False, "attached": False, "gone": False}),
        ([Launched()], {"alive": True, "running": True, "ready": False, "idle": False, "attached": True}),
        ([Launched(), Announced(("event",))], {"ready": True, "idle": True, "abilities": ("event",)}),
        ([Launched(), Announced(("event",)), Announced(())], {"abilities": ("event",)}),
        ([Launched(), *ENDS[:1]], {"alive": True, "running": False, "gone": False}),
        ([Launched(), *ENDS[:2]], {"alive": False, "gone": True, "heard": False, "caught_up": False}),
        ([Launched(), *ENDS], {"gone": True, "heard": True, "caught_up": True, "attached": False}),
        ([Launched(), Reached(Life.HEARD)], {"gone": True, "heard": True, "caught_up": True}),
        ([Launched(), Detached()], {"detached": True, "alive": True, "attached": False}),
        ([Launched(), Detached(), CaughtUp()], {"caught_up": True}),
        ([Launched(), *ENDS, Detached()], {"detached": False}),
        ([Detached()], {"detached": False}),
        ([Reached(Life.GONE)], {"life": Life.NEW}),
        ([Adopted(ended=True, ready=True)], {"life": Life.ENDED, "running": False, "ready": True, "idle": True}),
        ([Adopted(ended=False, ready=True, at_work="run")], {"running": True, "idle": False, "at_work": "run"}),
    ],
)
def test_state_after_facts(facts, holds):
    state = after(*facts)
    assert {name: getattr(state, name) for name in holds} == holds


READY = [Launched(), Announced()]


@pytest.mark.parametrize(
    ("facts", "idle"),
    [
        ([Asked("prepare")], False),
        ([Asked("prepare"), CallEnded()], True),
        ([Asked("prepare"), RequestEnded("prepare")], True),
        ([Asked("prepare"), CallEnded(), RequestEnded("prepare"), Asked("run")], False),
        # the kernel tells the end of a request after its outcome, and main may be asked for between the two
        ([Asked("prepare"), CallEnded(), Asked("run"), RequestEnded("prepare")], False),
        ([Asked("run"), RequestEnded("run")], True),
        ([Asked("run"), Announced()], False),
    ],
)
def test_kernel_is_idle_while_no_function_of_the_script_runs(facts, idle):
    assert after(*READY, *facts).idle is idle


# --- whatever is observed


@given(st.lists(FACTS))
def test_nothing_that_has_happened_is_undone(facts):
    states = [after(*facts[:count]) for count in range(len(facts) + 1)]
    for before, later in pairwise(states):
        assert later.life >= before.life
        for once in ("started", "gone", "heard", "ready", "caught_up", "detached"):
            assert getattr(later, once) >= getattr(before, once), once


@given(st.lists(FACTS))
def test_states_imply_each_other(facts):
    state = after(*facts)
    assert not state.heard or (state.gone and state.caught_up)
    assert state.started or state == KernelState(), "nothing is known of a process that was not started"
    assert not (state.gone and state.alive)
    assert not state.running or state.alive
    assert not (state.detached and state.attached)
    assert not state.attached or (state.started and not state.heard)


@given(st.lists(FACTS), st.lists(FACTS))
def test_detached_kernel_changes_no_more_for_this_service(before, later):
    state = after(*before, Detached())
    if state.detached:
        unchanged = msgspec.structs.replace(state, caught_up=True)
        for fact in later:
            state = apply(state, fact)
            assert state in (unchanged, msgspec.structs.replace(unchanged, caught_up=False))


@given(st.lists(FACTS), FACTS)
def test_fact_that_changes_nothing_gives_the_same_state(facts, fact):
    state = after(*facts)
    later = apply(state, fact)
    assert later is state or later != state


# --- records


@pytest.mark.parametrize(
    ("kind", "content", "fact"),
    [
        ("oet_kernel", b'{"phase":"ready","can":["event"]}', Announced(("event",))),
        ("oet_kernel", b"[]", Announced(ABILITIES)),
        ("oet_idle", b'{"request":"run"}', RequestEnded("run")),
        ("oet_call", b'{"call":"load","phase":"started"}', None),
        ("oet_call", b'{"call":"load","phase":"finished","has_init":true}', None),
        ("oet_call", b'{"call":"load","phase":"finished"}', CallEnded()),
        ("oet_call", b'{"call":"load","phase":"failed"}', CallEnded()),
        ("oet_call", b'{"call":"init","phase":"finished"}', CallEnded()),
        ("oet_call", b'{"call":"main","phase":"started"}', None),
        ("oet_call", b'{"call":"main","phase":"exited"}', CallEnded()),
        ("oet_call", b'{"call":7}', None),
        ("oet_call", b"[" * 5000, None),
        ("stream", b'{"name":"stdout","text":"oet_idle"}', None),
    ],
)
def test_facts_that_records_tell(kind, content, fact):
    assert fact_of(Record(1, 0.0, kind, None, msgspec.Raw(content))) == fact


# --- waiting


@pytest.mark.anyio
async def test_condition_that_held_for_an_instant_wakes_its_waiter():
    life = KernelLife()
    life.learn(Launched())
    wait = asyncio.ensure_future(life.until(lambda state: state.idle))
    await asyncio.sleep(0)
    life.learn(Announced())
    life.learn(Asked("prepare"))
    async with asyncio.timeout(60):
        await wait
    assert not life.state.idle


@pytest.mark.anyio
async def test_wait_with_a_deadline_ends_with_the_kernel():
    life = KernelLife()
    life.learn(Launched())
    assert not await life.within(0, lambda state: state.ready)
    wait = asyncio.ensure_future(life.within(60, lambda state: state.ready))
    await asyncio.sleep(0)
    life.learn(Reached(Life.ENDED))
    assert not wait.done()
    life.learn(Reached(Life.GONE))
    assert await wait
    assert await life.within(0, lambda state: state.ready)


@pytest.mark.anyio
async def test_waiter_that_is_cancelled_leaves_nothing_behind():
    life = KernelLife()
    wait = asyncio.ensure_future(life.until(lambda state: state.started))
    await asyncio.sleep(0)
    wait.cancel()
    await asyncio.wait([wait])
    assert not life._waits
    life.learn(Launched())
