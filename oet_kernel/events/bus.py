"""The event bus: frames each event once and hands the same bytes to every listener.

It gets events from the journal, which has written them down before. Handing out never waits. A listener has a bounded
queue; one that does not keep up is cut off and told the id it got to.
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
"""About how many bytes are queued, and sent, as one."""
QUEUE_BYTES = 4 << 20
"""How much a listener may lag behind before it is cut off, by default."""


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
        self.wanted = wanted
        self._limit = limit
        self._frames: deque[bytes] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()
        self._ended = False
        self.since = 0
        """Number of the last event before the first that it can hear."""
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

    def offer(self, frames: bytes, last: int) -> None:
        """Queue frames that it wants, of which the last has this number; called by the bus."""
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
        """Wake the listener for the last time: the service is going."""
        self._ended = True
        self._wake.set()

    async def batch(self, most: int = PIECE_BYTES) -> bytes | None:
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
    """Hands events out, in one order for all.

    Parameters
    ----------
    last_seq
        Number of the newest event that was published before.
    """

    def __init__(self, last_seq: int = 0) -> None:
        self.last_seq = last_seq
        """Number of the newest event that was handed out."""
        self._listeners: set[Subscription] = set()
        self._taps: list[Callable[[Event], None]] = []
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many listeners there are."""
        return len(self._listeners)

    def deliver(self, events: Sequence[Event]) -> None:
        """Hand events to every listener that wants them.

        Parameters
        ----------
        events
            In order, and after all that were handed out before.
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
                except Exception as error:  # it costs that tap this event, and nobody else
                    report_fault("a tap of the bus", error)

    def _offer(self, events: Sequence[Event]) -> None:
        """Queue events for listeners; those who want the same get the same bytes, joined."""
        frames = [frame(event.data, event.seq) for event in events]
        pieces: dict[Filter, list[tuple[bytes, int]]] = {}
        for listener in self._listeners:
            if (own := pieces.get(listener.wanted)) is None:
                own = pieces[listener.wanted] = _pieces(events, frames, listener.wanted)
            for piece, last in own:
                listener.offer(piece, last)

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
        listener.since = self.last_seq
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


def _pieces(events: Sequence[Event], frames: Sequence[bytes], wanted: Filter) -> list[tuple[bytes, int]]:
    """Join the frames that are wanted to pieces of some size, each with the number of its last event."""
    pieces: list[tuple[bytes, int]] = []
    joined: list[bytes] = []
    size = last = 0
    for event, framed in zip(events, frames, strict=True):
        if wanted.wants(event):
            if len(framed) >= PIECE_BYTES and joined:  # a large one stays alone: all listeners share it
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
