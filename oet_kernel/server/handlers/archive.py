"""``/archive`` and the events of a procedure: stored procedures, listed or not."""

from contextlib import suppress
from math import isfinite
from typing import Any

import msgspec
from jupyter_server.auth.decorator import authorized
from tornado import web

from oet_kernel.errors import MalformedRequest, ResourceNotFound
from oet_kernel.events.event import Filter
from oet_kernel.models import ProcedureState
from oet_kernel.procedure import summary_of
from oet_kernel.server.handlers.base import RESOURCE, OetHandler, procedure_id, query_list
from oet_kernel.store.rows import ArchiveQuery
from oet_kernel.system.threads import STATE

_MOST = 1000
"""Maximum number of procedures or events in one reply."""


class _PageHandler(OetHandler):
    def limit(self, usual: int) -> int:
        """Read the number of items that the caller wants in one reply."""
        wanted = self.query_number("limit", f"a maximum count, 1 to {_MOST}")
        if wanted is not None and not 1 <= wanted <= _MOST:
            raise MalformedRequest(f"limit: expected a number from 1 to {_MOST}, got {wanted}")
        return wanted or usual


class ArchiveHandler(_PageHandler):
    """All procedures that ever were, except those that retention has removed."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str) -> None:
        """Send procedures, newest first, by page (``before``, ``limit``), state, script, subarray and time."""
        query = ArchiveQuery(
            states=tuple(_state(name) for name in query_list(self.query_text("state"))),
            script=self.query_text("script"),
            subarray=self.query_text("subarray"),
            since=self._time("since"),
            until=self._time("until"),
            before=self.query_number("before", "the id of a procedure"),
            limit=self.limit(50),
        )
        page = await STATE.run(self.context.journal.store.archive, query)
        base_url = self.api_url(root)
        body = {
            "procedures": [summary_of(row.procedure, base_url) for row in page.rows],
            "next": page.rows[-1].id if page.more else None,
        }
        self.answer(body)

    def _time(self, name: str) -> float | None:
        given = self.query_text(name)
        if given is None:
            return None
        with suppress(ValueError):
            if isfinite(time := float(given)):
                return time
        raise MalformedRequest(f"{name}: expected a time in Unix seconds, got {given!r}")


class EventsHandler(_PageHandler):
    """Events of one procedure."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, root: str, pid: str) -> None:
        """Send events in order, by page (``after``, ``limit``) and topic (``topic``, ``exclude``)."""
        uid = procedure_id(pid)
        store = self.context.journal.store
        if not await STATE.run(store.procedures, [uid]):
            raise ResourceNotFound.procedure(pid)
        wanted = Filter(
            query_list(self.query_text("topic")),
            query_list(self.query_text("exclude")),
            uid,
        )
        after = self.query_number("after", "the id of an event") or 0
        limit = self.limit(_MOST)
        page = await STATE.run(store.events, after, wanted, limit)
        body: dict[str, Any] = {
            "events": [
                {"id": one.seq, "time": one.at, "topic": one.topic, "data": msgspec.Raw(one.data)} for one in page.rows
            ],
            "next": page.rows[-1].seq if page.more else None,
        }
        self.answer(body)


def _state(name: str) -> ProcedureState:
    try:
        return ProcedureState[name]
    except KeyError:
        names = ", ".join(ProcedureState.__members__)
        raise MalformedRequest(f"state: {name!r} is not a valid state; the states are {names}") from None


def routes(root: str) -> list[tuple[str, type[OetHandler]]]:
    """Return paths and handlers under an API root, given as a pattern with one group."""
    return [(rf"{root}/archive/?", ArchiveHandler), (rf"{root}/procedures/([^/]+)/events/?", EventsHandler)]
