"""``/stream``: events as they happen, by server-sent events."""

import asyncio
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado import web
from tornado.iostream import StreamClosedError

from oet_kernel.errors import MalformedRequest
from oet_kernel.events.bus import Subscription
from oet_kernel.events.sse import comment, frame
from oet_kernel.handlers.base import RESOURCE, OetHandler, query_list
from oet_kernel.models import to_json

_WRITE_DEADLINE = 30.0
"""Seconds for a listener to take what was sent to it."""


class StreamHandler(OetHandler):
    """One listener's connection, for as long as it lasts."""

    _track_activity = False
    _subscription: Subscription | None = None

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str) -> None:
        """Send every event that the listener asked for (``topic``, ``exclude``, ``procedure``) until it leaves."""
        procedure = self.get_query_argument("procedure", None)
        if procedure is not None and not procedure.isdecimal():
            raise MalformedRequest(f"procedure: expected the id of a procedure, a number, got {procedure!r}")
        subscription = self.context.bus.subscribe(
            query_list(self.get_query_argument("topic", None)),
            query_list(self.get_query_argument("exclude", None)),
            int(procedure) if procedure else None,
            self.context.queue_bytes,
        )
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")
        with subscription:
            self._subscription = subscription
            try:
                await self._send(b"\n")
                await self._follow(subscription)
            except (StreamClosedError, TimeoutError):
                if self.request.connection is not None:
                    self.request.connection.stream.close()
        if not self._finished:
            self.finish()

    async def _follow(self, subscription: Subscription) -> None:
        while True:
            try:
                frames = await asyncio.wait_for(subscription.batch(), self.context.heartbeat)
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
        await asyncio.wait_for(self.flush(), _WRITE_DEADLINE)

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
