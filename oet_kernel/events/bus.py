"""Event bus: frames each event once and delivers the same bytes to every listener.

The journal passes events to the bus after storing them. Delivery never waits. A listener has a bounded queue; one that
does not keep up is cut off, and gets the id of its last event.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from oet_kernel.events.event import Event, Filter
from oet_kernel.events.sse import frame
from oet_kernel.system.supervision import report_fault

PIECE_BYTES = 1 << 16
"""Approximate number of bytes that are queued and sent as one piece."""
QUEUE_BYTES = 4 << 20
"""Default number of bytes that a listener may lag behind before it is cut off."""


class Subscription:
    """Subscription of one listener; use it as a context manager.

    Parameters
    ----------
    bus
        Event bus.
    wanted
        Filter of events.
    limit
        Maximum number of queued bytes.
    """

    def __init__(self, bus: "EventBus", wanted: Filter, limit: int) -> None:
        self._bus = bus
        self.wanted = wanted
        self._limit = limit
        self._frames: deque[bytes] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()
        self._ended = False
        self.since = 0
        """Number of the last event before the subscription began."""
        self.last_id: int | None = None
        """Number of the newest queued event; None before the first."""
        self.cut_off = False
        """True once the listener has lagged too far behind: it gets the queued events, and no more."""

    def __enter__(self) -> Self:
        self._bus.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bus.remove(self)

    def offer(self, frames: bytes, last: int) -> None:
        """Queue frames for the listener, with the number of the last one; called by the bus."""
        if self.cut_off:
            return
        if self._waiting + len(frames) > self._limit and self._frames:
            self.cut_off = True
        else:
            self._frames.append(frames)
            self._waiting += len(frames)
            self.last_id = last
        self._wake.set()

    def end(self) -> None:
        """End the subscription, and wake the listener: the service is shutting down, or the listener has left."""
        self._ended = True
        self._wake.set()

    async def batch(self, most: int = PIECE_BYTES) -> bytes | None:
        """Wait for events, and return them.

        Parameters
        ----------
        most
            Approximate number of bytes to return at once.

        Returns
        -------
        bytes | None
            Whole frames; None if no more will follow.
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
    """Deliver events to all listeners in the same order.

    Parameters
    ----------
    last_seq
        Number of the newest event published before.
    """

    def __init__(self, last_seq: int = 0) -> None:
        self.last_seq = last_seq
        """Number of the newest delivered event."""
        self._listeners: set[Subscription] = set()
        self._taps: list[Callable[[Event], None]] = []
        self._closed = False

    @property
    def listeners(self) -> int:
        """Number of listeners."""
        return len(self._listeners)

    def deliver(self, events: Sequence[Event]) -> None:
        """Deliver events to every listener whose filter matches.

        Parameters
        ----------
        events
            Events in order, newer than all delivered before.
        """
        if not events:
            return
        self.last_seq = events[-1].seq
        if self._listeners:
            self._offer(events)
        for tap in self._taps:
            for event in events:
                try:
                    tap(event)
                except Exception as error:  # only this tap misses this event
                    report_fault("a tap of the bus", error)

    def _offer(self, events: Sequence[Event]) -> None:
        """Queue events for listeners; those with the same filter share the same joined bytes."""
        frames = [frame(event.data, event.seq) for event in events]
        pieces: dict[Filter, list[tuple[bytes, int]]] = {}
        for listener in self._listeners:
            if (own := pieces.get(listener.wanted)) is None:
                own = pieces[listener.wanted] = _pieces(events, frames, listener.wanted)
            for piece, last in own:
                listener.offer(piece, last)

    def tap(self, receiver: Callable[[Event], None]) -> None:
        """Register a function that is called with each event at once; for components of the service."""
        self._taps.append(receiver)

    def subscribe(
        self,
        topics: Sequence[str] = (),
        exclude: Sequence[str] = (),
        procedure: int | None = None,
        limit: int = QUEUE_BYTES,
    ) -> Subscription:
        """Create a subscription; it receives events once its context is entered.

        Parameters
        ----------
        topics, exclude
            Topics or beginnings of topics to include, and to exclude.
        procedure
            Id of the only procedure whose events are wanted; None for all events.
        limit
            Maximum number of queued bytes before the listener is cut off.
        """
        return Subscription(self, Filter(tuple(topics), tuple(exclude), procedure), limit)

    def add(self, listener: Subscription) -> None:
        """Register a listener."""
        listener.since = self.last_seq
        self._listeners.add(listener)
        if self._closed:
            listener.end()

    def remove(self, listener: Subscription) -> None:
        """Remove a listener."""
        self._listeners.discard(listener)

    def close(self) -> None:
        """End every subscription, after its queued events."""
        self._closed = True
        for listener in self._listeners:
            listener.end()


def _pieces(events: Sequence[Event], frames: Sequence[bytes], wanted: Filter) -> list[tuple[bytes, int]]:
    """Join the frames of wanted events to pieces, each with the number of its last event."""
    pieces: list[tuple[bytes, int]] = []
    joined: list[bytes] = []
    size = last = 0
    for event, framed in zip(events, frames, strict=True):
        if wanted.wants(event):
            if len(framed) >= PIECE_BYTES and joined:  # a large frame stays alone: all listeners share it
                pieces.append((b"".join(joined), last))
                joined, size = [], 0
            joined.append(framed)
            size, last = size + len(framed), event.seq
            if size >= PIECE_BYTES:
                pieces.append((b"".join(joined), last))
                joined, size = [], 0
    if joined:
        pieces.append((b"".join(joined), last))
    return pieces
