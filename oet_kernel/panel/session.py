"""Communication of a panel with the service: events, queries and commands; reports changes of the model."""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from oet_kernel.client import AsyncClient, ClientError
from oet_kernel.models import ProcedureInput, ProcedureState, ProcedureSummary, Script, ScriptList, ScriptSchema
from oet_kernel.panel.log import MOST_ENTRIES, Entry, entry_of
from oet_kernel.panel.model import Connection, Link, PanelModel, chosen, hear, listed, remembered

_UNHEARD = ("request.procedure.list", "request.activity.list", "procedure.pool", "activity.pool")
"""Topics of queries, which are not shown."""


class PanelSession:
    """Session that keeps a model up to date with the service.

    All methods run on one event loop, and must not be called from another thread.

    Parameters
    ----------
    url, token, ca
        As for the clients.
    changed
        Called after each change of the model.
    """

    def __init__(self, url: str | None, token: str | None, ca: str | Path | None, changed: Callable[[], None]) -> None:
        self.model = PanelModel()
        self._new = partial(AsyncClient, url, token, ca=ca)
        self._client = self._new()
        self._changed = changed
        self._recalling: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Present API root of the service."""
        return self._client.address.url

    async def listen(self) -> None:
        """Follow the service until cancelled, or until it refuses; retry while it cannot be reached."""
        self._set(replace(self.model, connection=Connection(Link.CONNECTING)))
        await self._client.close()
        try:
            self._client = self._new()  # the new client looks up the service again
            async with self._client.events(exclude=_UNHEARD, resume=math.inf, notices=True) as events:
                self._set(replace(self.model, connection=Connection(Link.HERE)))
                await self._refresh()
                async for event in events:
                    self._set(hear(self.model, event, time.time()))
                    # between events, so that a list is never older than the received events
                    if self.model.stale and self.model.connection.link is Link.HERE:
                        await self._refresh()
        except ClientError as error:
            self._set(replace(self.model, connection=Connection(Link.ENDED, str(error))))

    async def close(self) -> None:
        """Close the connections."""
        if self._recalling is not None:
            self._recalling.cancel()
        await self._client.close()

    async def create(self, script: Script, init: ProcedureInput) -> ProcedureSummary:
        """Create a procedure from a script, and select it."""
        made = await self._client.create(script, init)
        self.select(made.id)
        return made

    async def start(self, pid: int, main: ProcedureInput) -> ProcedureSummary:
        """Start ``main`` of a procedure that is READY."""
        return await self._client.start(pid, main)

    async def pause(self, pid: int) -> None:
        """Pause a procedure at its next checkpoint."""
        await self._client.pause(pid)

    async def resume(self, pid: int) -> None:
        """Resume a procedure."""
        await self._client.resume(pid)

    async def stop(self, pid: int, *, abort: bool) -> str:
        """Stop a procedure; return the service's message."""
        return await self._client.stop(pid, abort=abort)

    async def scripts(self) -> ScriptList:
        """Return the scripts in the folders of the service."""
        return await self._client.scripts()

    async def schema(self, script: str) -> ScriptSchema:
        """Return the schemas of a script's arguments."""
        return await self._client.schema(script)

    def select(self, pid: int, visited: ProcedureSummary | None = None) -> None:
        """Select a procedure, and start to read its past events.

        Parameters
        ----------
        pid
            Id of the procedure.
        visited
            Summary of the procedure if it comes from the archive; otherwise None.
        """
        self._set(chosen(self.model, pid, visited))
        self._recall()

    def archive(self, script: str, state: ProcedureState | None) -> AsyncIterator[ProcedureSummary]:
        """Iterate over all procedures that ever were, the newest first.

        Parameters
        ----------
        script
            Text in the URI of the script; empty for all.
        state
            State to include; None for all.
        """
        query: dict[str, Any] = {"states": (state,)} if state else {}
        return self._client.archive(script=script or None, **query)

    async def _refresh(self) -> None:
        before = self.model.selected
        try:
            summaries = await self._client.procedures()
        except ClientError:
            return  # the service is unreachable again, which the stream will report; the list stays stale
        self._set(listed(self.model, summaries))
        if self.model.selected != before:
            self._recall()

    def _recall(self) -> None:
        if self._recalling is not None:
            self._recalling.cancel()
        if self.model.selected is not None:
            self._recalling = asyncio.create_task(self._read_past(self.model.selected))

    async def _read_past(self, pid: int) -> None:
        """Read the past events of a procedure; only the newest part of many is kept."""
        newest: deque[Entry] = deque(maxlen=MOST_ENTRIES)
        now = time.time()
        try:
            async for event in self._client.procedure_events(pid, exclude=_UNHEARD):
                if (entry := entry_of(event, now)) is not None:
                    newest.append(entry)
        except ClientError as error:
            newest.append(Entry(0, now, pid, "", f"What it has said before cannot be had: {error}"))
        self._set(remembered(self.model, pid, list(newest)))

    def _set(self, model: PanelModel) -> None:
        self.model = model
        self._changed()
