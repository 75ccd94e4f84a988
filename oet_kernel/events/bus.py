"""The event bus: numbers each event, frames it once, hands the same bytes to every listener.

Publishing never waits. A listener has a bounded queue; one that does not keep up is cut off and told the id it got to.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from msgspec import Struct

from oet_kernel.events.mapping import Announcement
from oet_kernel.events.sse import frame
from oet_kernel.topics import under

QUEUE_BYTES = 4 << 20
"""How much a listener may lag behind before it is cut off, by default."""


class Event(Struct, frozen=True):
    """A published event."""

    seq: int
    """Its number: counts up by one for each event of the service."""
    topic: str
    procedure: int | None
    """The procedure that it is about; None when it is about none, or about several."""
    data: bytes
    """The JSON object that goes out."""


class Filter(Struct, frozen=True):
    """Which events a listener wants."""

    topics: tuple[str, ...] = ()
    """Topics or beginnings of topics; empty for all."""
    exclude: tuple[str, ...] = ()
    """The same, for what it does not want."""
    procedure: int | None = None
    """Only events about this procedure."""

    def wants(self, event: Event) -> bool:
        """Tell whether an event is to be delivered."""
        if self.procedure is not None and event.procedure != self.procedure:
            return False
        if self.topics and not any(under(event.topic, prefix) for prefix in self.topics):
            return False
        return not any(under(event.topic, prefix) for prefix in self.exclude)


class Subscription:
    """One listener's place on the bus; use it as a context manager.

    Parameters
    ----------
    bus
        Where it listens.
    wanted
        What it listens to.
    limit
        Bytes that may wait for it.
    """

    def __init__(self, bus: "EventBus", wanted: Filter, limit: int) -> None:
        self._bus = bus
        self._wanted = wanted
        self._limit = limit
        self._frames: deque[bytes] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()
        self._ended = False
        self.last_id: int | None = None
        """Number of the newest event that was queued; None before the first."""
        self.cut_off = False
        """True once it lagged too far behind: it gets what is queued, and nothing after."""

    def __enter__(self) -> Self:
        self._bus.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bus.remove(self)

    def offer(self, event: Event, framed: bytes) -> None:
        """Queue an event if it is wanted; called by the bus."""
        if self.cut_off or not self._wanted.wants(event):
            return
        if self._waiting + len(framed) > self._limit and self._frames:
            self.cut_off = True
        else:
            self._frames.append(framed)
            self._waiting += len(framed)
            self.last_id = event.seq
        self._wake.set()

    def end(self) -> None:
        """Wake the listener for the last time: the service is going."""
        self._ended = True
        self._wake.set()

    async def batch(self, most: int = 1 << 16) -> bytes | None:
        """Wait for events and take them.

        Parameters
        ----------
        most
            About how many bytes to take at once.

        Returns
        -------
        bytes | None
            Whole frames; None when there will be no more.
        """
        while not self._frames:
            if self.cut_off or self._ended:
                return None
            self._wake.clear()
            await self._wake.wait()
        taken, size = [], 0
        while self._frames and size < most:
            taken.append(self._frames.popleft())
            size += len(taken[-1])
        self._waiting -= size
        return b"".join(taken)


class EventBus:
    """Takes events in and hands them out, in one order for all."""

    def __init__(self) -> None:
        self._seq = 0
        self._listeners: set[Subscription] = set()
        self._taps: list[Callable[[Event], None]] = []
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many listeners there are."""
        return len(self._listeners)

    def publish(self, announcement: Announcement, procedure: int | None = None) -> Event:
        """Number an event and hand it to every listener that wants it.

        Parameters
        ----------
        announcement
            The event's topic and encoded fields.
        procedure
            The procedure that it is about.
        """
        self._seq += 1
        event = Event(self._seq, announcement.topic, procedure, announcement.data)
        if self._listeners:
            framed = frame(event.data, event.seq)
            for listener in self._listeners:
                listener.offer(event, framed)
        for tap in self._taps:
            tap(event)
        return event

    def tap(self, receiver: Callable[[Event], None]) -> None:
        """Have a function called with each event, at once; for components of the service."""
        self._taps.append(receiver)

    def subscribe(
        self,
        topics: Sequence[str] = (),
        exclude: Sequence[str] = (),
        procedure: int | None = None,
        limit: int = QUEUE_BYTES,
    ) -> Subscription:
        """Make a place for a listener; it hears nothing before it is entered.

        Parameters
        ----------
        topics, exclude
            Topics or beginnings of topics that it wants, and that it does not want.
        procedure
            Only events about this procedure.
        limit
            Bytes that may wait for it before it is cut off.
        """
        return Subscription(self, Filter(tuple(topics), tuple(exclude), procedure), limit)

    def add(self, listener: Subscription) -> None:
        """Begin to hand events to a listener."""
        self._listeners.add(listener)
        if self._closed:
            listener.end()

    def remove(self, listener: Subscription) -> None:
        """Hand no more events to a listener."""
        self._listeners.discard(listener)

    def close(self) -> None:
        """End every listener, after what is queued for it."""
        self._closed = True
        for listener in self._listeners:
            listener.end()
