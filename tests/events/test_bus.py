"""The bus: one order for all, the same bytes to all, and nobody waits for a slow listener."""

import asyncio

import pytest

from oet_kernel.events.bus import EventBus
from oet_kernel.events.event import Event, Filter
from oet_kernel.events.mapping import announce
from oet_kernel.events.sse import Decoder
from oet_kernel.system.supervision import faults

pytestmark = pytest.mark.anyio


def publish(bus, topic="user.script.announce", procedure=None, **fields):
    event = Event(bus.last_seq + 1, topic, procedure, announce(topic, "1", **fields).data)
    bus.deliver([event])
    return event


async def test_every_listener_gets_every_event_in_order_as_the_same_bytes():
    bus = EventBus()
    with bus.subscribe() as one, bus.subscribe() as other:
        events = [publish(bus, n=n) for n in range(100)]
        batches = [await one.batch(1 << 20), await other.batch(1 << 20)]
    assert batches[0] == batches[1]
    assert [message.id for message in Decoder().feed(batches[0])] == [str(event.seq) for event in events]


async def test_events_that_come_together_are_handed_out_like_those_that_come_one_by_one():
    bus, events = EventBus(), [Event(n, f"a.{n % 2}", n % 3, b"{}") for n in range(1, 50)]
    with bus.subscribe() as every, bus.subscribe(["a.1"]) as odd, bus.subscribe(procedure=2) as second:
        bus.deliver(events)
        for listener, wanted in ((every, lambda n: True), (odd, lambda n: n % 2), (second, lambda n: n % 3 == 2)):
            heard = [int(message.id) for message in Decoder().feed(await listener.batch(1 << 20))]
            assert heard == [n for n in range(1, 50) if wanted(n)]
            assert listener.last_id == heard[-1]


async def test_listener_hears_nothing_from_before_and_after():
    bus = EventBus()
    publish(bus, n=0)
    with bus.subscribe() as listener:
        publish(bus, n=1)
    publish(bus, n=2)
    assert bus.listeners == 0
    batch = await listener.batch()
    assert b'"n":1' in batch
    assert b'"n":0' not in batch
    assert b'"n":2' not in batch


@pytest.mark.parametrize(
    ("wanted", "topic", "procedure", "heard"),
    [
        (Filter(), "a.b", None, True),
        (Filter(topics=("procedure.lifecycle", "user")), "user.script.announce", 1, True),
        (Filter(topics=("procedure.lifecycle", "user")), "procedure.output.stream", 1, False),
        (Filter(exclude=("request",)), "request.procedure.list", 1, False),
        (Filter(exclude=("request",)), "requests", 1, True),
        (Filter(procedure=3), "a.b", 3, True),
        (Filter(procedure=3), "a.b", 4, False),
        (Filter(procedure=3), "a.b", None, False),
    ],
)
async def test_filter_by_topic_and_procedure(wanted, topic, procedure, heard):
    bus = EventBus()
    assert wanted.wants(publish(bus, topic, procedure)) is heard


async def test_slow_listener_is_cut_off_and_others_are_not():
    bus = EventBus()
    with bus.subscribe(limit=1000) as slow, bus.subscribe() as quick:
        events = [publish(bus, text="x" * 100) for _ in range(100)]
        assert slow.cut_off
        assert not quick.cut_off
        kept = Decoder().feed(await slow.batch(1 << 20))
        assert int(kept[-1].id) == slow.last_id < events[-1].seq
        assert await slow.batch() is None, "a listener that was cut off gets no more after what it had"
        assert len(Decoder().feed(await quick.batch(1 << 20))) == 100


async def test_event_larger_than_the_limit_reaches_a_listener_that_keeps_up():
    bus = EventBus()
    with bus.subscribe(limit=10) as listener:
        publish(bus, text="x" * 1000)
        assert b"xxx" in await listener.batch()
        assert not listener.cut_off


async def test_large_event_is_kept_once_whoever_listens():
    bus = EventBus()
    small, large = Event(1, "a.b", None, b'{"n":1}'), Event(2, "a.b", None, b'{"n":"%s"}' % (b"x" * 1_000_000))
    with bus.subscribe() as all_of_it, bus.subscribe(("a",)) as some:
        bus.deliver([small, large, small])
        batches = [[await one.batch(1) for _ in range(3)] for one in (all_of_it, some)]
    assert batches[0] == batches[1]
    assert batches[0][1] is batches[1][1]


async def test_waiting_listener_wakes_for_an_event_and_for_the_end():
    bus = EventBus()
    with bus.subscribe() as listener:
        waiting = asyncio.ensure_future(listener.batch())
        await asyncio.sleep(0)
        publish(bus, n=1)
        assert b'"n":1' in await waiting
        waiting = asyncio.ensure_future(listener.batch())
        await asyncio.sleep(0)
        bus.close()
        assert await waiting is None
    with bus.subscribe() as late:
        assert await late.batch() is None


async def test_batch_is_about_as_large_as_asked_for():
    bus = EventBus()
    with bus.subscribe() as listener:
        for n in range(10):
            publish(bus, n=n, text="x" * 100)
        sizes = [len(Decoder().feed(await listener.batch(300))) for _ in range(5)]
    assert sizes == [2] * 5


async def test_tap_that_raises_spoils_nobody_elses_event():
    bus, heard = EventBus(), []

    def raising(event):
        raise ValueError("this tap takes nothing")

    bus.tap(raising)
    bus.tap(heard.append)
    before = faults.total()
    with bus.subscribe() as listener:
        events = [publish(bus, n=n) for n in range(3)]
        assert (await listener.batch()).count(b"data:") == 3
    assert heard == events
    assert faults.total() == before + 3
