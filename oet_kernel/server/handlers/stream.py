"""``/stream``: events as they happen, by server-sent events."""

import asyncio
import re
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado import web
from tornado.iostream import StreamClosedError

from oet_kernel.events.bus import PIECE_BYTES, Subscription
from oet_kernel.events.event import Event, Filter
from oet_kernel.events.sse import BEGINNING, comment, end_of_frame, frame, one_line, position, whole_characters
from oet_kernel.models import to_json
from oet_kernel.server.handlers.base import RESOURCE, OetHandler, query_list
from oet_kernel.store.base import HORIZON
from oet_kernel.system.threads import STATE
from oet_kernel.topics.notices import EventsRemoved, Overflow, StreamNotice, UnknownPosition

_WITHOUT_DASHES = re.compile("[-_]")
_PAGE = 5000
"""Number of events that are read at once for a listener that has missed some."""
_PAGE_BYTES = 1 << 20
"""Bytes of events that are read at once: the memory that a listener takes if it does not read."""
_LARGE = 1 << 18
"""Size in bytes above which an event is read in pieces of this size."""
_WRITE_DEADLINE = 30.0
"""Seconds within which a listener must take a piece of data."""


class _Removed(Exception):
    """Retention has removed an event while it was being sent."""


class StreamHandler(OetHandler):
    """Connection of one listener."""

    _track_activity = False
    _subscription: Subscription | None = None

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str) -> None:
        """Send the events that the listener asks for (``topic``, ``exclude``, ``procedure``) until it leaves.

        A listener that reconnects gives its last event's id as ``Last-Event-ID`` or ``after``: the missed events are
        sent first, then new ones. With ``position=true`` the position at which the stream begins is sent first.
        """
        procedure = self.query_number("procedure", "the id of a procedure")
        told = self.query_truth("position")
        after = self._position()
        subscription = self.context.bus.subscribe(
            query_list(self.query_text("topic")),
            query_list(self.query_text("exclude")),
            procedure,
            self.context.queue_bytes,
        )
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")
        self._subscription = subscription
        try:
            if after is not None:
                await self._send(b"\n")
                after = await self._send_history(after, subscription.wanted)
            with subscription:
                if after is None:
                    await self._send(b"\n" + (position(subscription.since) if told else b""))
                else:
                    await self._send_stored(after, subscription.wanted, subscription.since)
                await self._follow(subscription)
        except (StreamClosedError, TimeoutError, _Removed):
            if self.request.connection is not None:
                self.request.connection.stream.close()
        if not self._finished:
            self.finish()

    def _position(self) -> int | None:
        """Return the id of the listener's last event; None if it wants new events only.

        A client that reconnects adds its last id to its address, which may hold the id at which it began: the header
        has precedence over the query's ``lastEventId``, and that over ``after``. The ids of the original, times, are
        not positions.
        """
        heard = self.query_texts(lambda name: _WITHOUT_DASHES.sub("", name).lower() == "lasteventid")
        for last in (self.request.headers.get("Last-Event-ID", "").strip(), *reversed(heard)):
            if last.isascii() and last.isdecimal() and len(last) <= 18:
                return int(last)
        return self.query_number("after", "the id of an event")

    async def _send_history(self, after: int, wanted: Filter) -> int:
        """Send the events missed up to now; return the id of the last one."""
        newest = self.context.bus.last_seq
        if after > newest:
            await self._notify(UnknownPosition(after, newest))
            return newest
        store = self.context.journal.store
        removed = await STATE.run(store.counter, HORIZON)
        if after < removed:
            await self._notify(EventsRemoved(after, removed))
        return await self._send_stored(after, wanted)

    async def _send_stored(self, after: int, wanted: Filter, up_to: int | None = None) -> int:
        """Send the stored events after an id that the bus has delivered, page by page; return the last one's id."""
        store, more = self.context.journal.store, True
        while more:
            # what is stored and not delivered yet follows from the bus, and would come twice
            newest = self.context.bus.last_seq if up_to is None else up_to
            page = await STATE.run(store.events, after, wanted, _PAGE, newest, most_bytes=_PAGE_BYTES, longest=_LARGE)
            more = page.more
            if page.rows:
                after = page.rows[-1].seq
                await self._send_events(page.rows)
        return after

    async def _send_events(self, events: list[Event]) -> None:
        frames, size = [], 0
        for event in events:
            if event.data:
                frames.append(frame(event.data, event.seq))
                size += len(frames[-1])
            if frames and (size >= PIECE_BYTES or not event.data):
                await self._send(b"".join(frames))
                frames, size = [], 0
            if not event.data:
                await self._send_large(event.seq)
        if frames:
            await self._send(b"".join(frames))

    async def _send_large(self, seq: int) -> None:
        """Send a large event in pieces, so that only one is in memory while the listener does not read."""
        store, begin = self.context.journal.store, 0
        await self._send(BEGINNING)
        while piece := await STATE.run(store.event_data, seq, begin, _LARGE):
            piece = whole_characters(piece)
            begin += len(piece)
            await self._send(one_line(piece))
        if piece is None:
            raise _Removed
        await self._send(end_of_frame(seq))

    async def _follow(self, subscription: Subscription) -> None:
        while True:
            try:
                async with asyncio.timeout(self.context.heartbeat):
                    frames = await subscription.batch()
            except TimeoutError:
                frames = comment("keep-alive")
            if frames is None:
                break
            await self._send(frames)
        if subscription.cut_off:
            await self._notify(Overflow(subscription.last_id))

    async def _notify(self, notice: StreamNotice) -> None:
        await self._send(frame(to_json(notice), event=notice.event))

    async def _send(self, data: bytes) -> None:
        view = memoryview(data)
        for begin in range(0, len(data), _LARGE):  # a large event is shared by all listeners; copies are sent
            self.write(bytes(view[begin : begin + _LARGE]))
            async with asyncio.timeout(_WRITE_DEADLINE):
                await self.flush()

    def on_connection_close(self) -> None:
        """Handle the listener's leaving."""
        super().on_connection_close()
        if self._subscription is not None:
            self._subscription.end()

    def finish(self, *args: Any, **kwargs: Any) -> Any:
        """Finish the response with the type of its content."""
        if self._subscription is not None:
            kwargs["set_content_type"] = self._headers["Content-Type"]
        return super().finish(*args, **kwargs)


def routes(root: str) -> list[tuple[str, type[OetHandler]]]:
    """Return paths and handlers under an API root, given as a pattern with one group."""
    return [(rf"{root}/stream/?", StreamHandler)]
