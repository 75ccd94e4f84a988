"""``/stream``: events as they happen, by server-sent events."""

import asyncio
import re
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado import web
from tornado.iostream import StreamClosedError

from oet_kernel.events.bus import Subscription
from oet_kernel.events.event import Event, Filter
from oet_kernel.events.sse import comment, frame, position
from oet_kernel.handlers.base import RESOURCE, OetHandler, query_list
from oet_kernel.models import to_json
from oet_kernel.store.store import HORIZON

_WITHOUT_DASHES = re.compile("[-_]")
_PAGE = 5000
"""Events that are read, and sent, at once to a listener that has missed some."""
_WRITE_DEADLINE = 30.0
"""Seconds for a listener to take what was sent to it."""


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
                    await self._send_events(await self._read(after, subscription.wanted, up_to=subscription.since))
                await self._follow(subscription)
        except (StreamClosedError, TimeoutError):
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
        """Send what was missed, but for a rest that fits one page; gives how far that led."""
        newest = self.context.bus.last_seq
        if after > newest:
            await self._send(frame(to_json({"after": after, "last_id": newest}), event="unknown-id"))
            return newest
        store = self.context.journal.store
        removed = await asyncio.to_thread(store.counter, HORIZON)
        if after < removed:
            await self._send(frame(to_json({"after": after, "removed_through": removed}), event="removed"))
        while len(page := await self._read(after, wanted, limit=_PAGE)) == _PAGE:
            await self._send_events(page)
            after = page[-1].seq
        return after

    async def _read(self, after: int, wanted: Filter, limit: int = -1, up_to: int | None = None) -> list[Event]:
        return await asyncio.to_thread(self.context.journal.store.events, after, wanted, limit, up_to)

    async def _send_events(self, events: list[Event]) -> None:
        if events:
            await self._send(b"".join(frame(event.data, event.seq) for event in events))

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
        self.write(data)
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
