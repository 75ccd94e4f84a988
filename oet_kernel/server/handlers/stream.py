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
from oet_kernel.store.sqlite import HORIZON
from oet_kernel.system.threads import STATE

_WITHOUT_DASHES = re.compile("[-_]")
_PAGE = 5000
"""Events that are read at once for a listener that has missed some."""
_PAGE_BYTES = 1 << 20
"""Bytes of them: what a listener costs that does not read."""
_LARGE = 1 << 18
"""Bytes above which an event is read in pieces of this size."""
_WRITE_DEADLINE = 30.0
"""Seconds for a listener to take a piece of what is sent to it."""


class _Removed(Exception):
    """Retention has removed an event while it was sent."""


class StreamHandler(OetHandler):
    """One listener's connection, for as long as it lasts."""

    _track_activity = False
    _subscription: Subscription | None = None

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str) -> None:
        """Send every event that the listener asked for (``topic``, ``exclude``, ``procedure``) until it leaves.

        One that has listened before says how far it got, as ``Last-Event-ID`` or ``after``: it gets what it has missed,
        and then what happens. One that asks for it (``position=true``) is told first where the stream begins.
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
        """Return the id of the event that the listener had last; None when it wants only what is to come.

        A client that comes back adds what it has heard to the address that it was given, which may say where it began:
        the header goes before the query's ``lastEventId``, and that before ``after``. What the original gave as id, a
        time, is no position.
        """
        heard = self.query_texts(lambda name: _WITHOUT_DASHES.sub("", name).lower() == "lasteventid")
        for last in (self.request.headers.get("Last-Event-ID", "").strip(), *reversed(heard)):
            if last.isascii() and last.isdecimal() and len(last) <= 18:
                return int(last)
        return self.query_number("after", "the id of an event")

    async def _send_history(self, after: int, wanted: Filter) -> int:
        """Send what was missed up to now; gives how far that led."""
        newest = self.context.bus.last_seq
        if after > newest:
            await self._send(frame(to_json({"after": after, "last_id": newest}), event="unknown-id"))
            return newest
        store = self.context.journal.store
        removed = await STATE.run(store.counter, HORIZON)
        if after < removed:
            await self._send(frame(to_json({"after": after, "removed_through": removed}), event="removed"))
        return await self._send_stored(after, wanted)

    async def _send_stored(self, after: int, wanted: Filter, up_to: int | None = None) -> int:
        """Send the events behind a number, page by page; gives the number of the last."""
        store, more = self.context.journal.store, True
        while more:
            page = await STATE.run(store.events, after, wanted, _PAGE, up_to, most_bytes=_PAGE_BYTES, longest=_LARGE)
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
        """Send an event of which no more than a piece is in memory while the listener does not read."""
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
            last = to_json({"last_id": subscription.last_id})
            await self._send(frame(last, event="overflow"))

    async def _send(self, data: bytes) -> None:
        view = memoryview(data)
        for begin in range(0, len(data), _LARGE):  # a large event is shared by all who listen; what is sent is a copy
            self.write(bytes(view[begin : begin + _LARGE]))
            async with asyncio.timeout(_WRITE_DEADLINE):
                await self.flush()

    def on_connection_close(self) -> None:
        """The listener has left."""
        super().on_connection_close()
        if self._subscription is not None:
            self._subscription.end()

    def finish(self, *args: Any, **kwargs: Any) -> Any:
        """Keep the type of the content that was sent."""
        if self._subscription is not None:
            kwargs["set_content_type"] = self._headers["Content-Type"]
        return super().finish(*args, **kwargs)


def routes(root: str) -> list[tuple[str, type[OetHandler]]]:
    """List the handlers and their paths under an API root, given as a pattern with one group."""
    return [(rf"{root}/stream/?", StreamHandler)]
