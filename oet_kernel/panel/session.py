"""A panel's dealings with the service: it listens, asks and commands; widgets are told that the model has changed."""

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
"""Topics that tell of questions, and not of what goes on."""


class PanelSession:
    """Keeps a model as the service is.

    Everything runs on one event loop; nothing here is called from another thread.

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
        """API root of the service, wherever it is now."""
        return self._client.address.url

    async def listen(self) -> None:
        """Follow the service until cancelled, or until it refuses; a service that is away is waited for."""
        self._set(replace(self.model, connection=Connection(Link.CONNECTING)))
        await self._client.close()
        try:
            self._client = self._new()  # which looks for the service anew
            async with self._client.events(exclude=_UNHEARD, resume=math.inf, notices=True) as events:
                self._set(replace(self.model, connection=Connection(Link.HERE)))
                await self._refresh()
                async for event in events:
                    self._set(hear(self.model, event, time.time()))
                    # in between events, so that a list is never older than what was heard
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
        """Prepare a script, and select its procedure."""
        made = await self._client.create(script, init)
        self.select(made.id)
        return made

    async def start(self, pid: int, main: ProcedureInput) -> ProcedureSummary:
        """Run ``main`` of a procedure that is READY."""
        return await self._client.start(pid, main)

    async def pause(self, pid: int) -> None:
        """Have a procedure wait at its next checkpoint."""
        await self._client.pause(pid)

    async def resume(self, pid: int) -> None:
        """Let a procedure go on."""
        await self._client.resume(pid)

    async def stop(self, pid: int, *, abort: bool) -> str:
        """End a procedure; gives the service's message."""
        return await self._client.stop(pid, abort=abort)

    async def scripts(self) -> ScriptList:
        """List the scripts in the folders of the service."""
        return await self._client.scripts()

    async def schema(self, script: str) -> ScriptSchema:
        """Say what a script takes."""
        return await self._client.schema(script)

    def select(self, pid: int, visited: ProcedureSummary | None = None) -> None:
        """Select a procedure, and begin to read what it has said before.

        Parameters
        ----------
        pid
            Id of the procedure.
        visited
            The procedure, where it comes from the archive.
        """
        self._set(chosen(self.model, pid, visited))
        self._recall()

    def archive(self, script: str, state: ProcedureState | None) -> AsyncIterator[ProcedureSummary]:
        """Give all procedures that ever were, the newest first.

        Parameters
        ----------
        script
            With this in the URI of the script; empty for all.
        state
            In this state; None for all.
        """
        query: dict[str, Any] = {"states": (state,)} if state else {}
        return self._client.archive(script=script or None, **query)

    async def _refresh(self) -> None:
        before = self.model.selected
        try:
            summaries = await self._client.procedures()
        except ClientError:
            return  # it has gone away again, which the stream will say; the list stays stale
        self._set(listed(self.model, summaries))
        if self.model.selected != before:
            self._recall()

    def _recall(self) -> None:
        if self._recalling is not None:
            self._recalling.cancel()
        if self.model.selected is not None:
            self._recalling = asyncio.create_task(self._read_past(self.model.selected))

    async def _read_past(self, pid: int) -> None:
        """Read what a procedure has said before; of much, the newest part is kept."""
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
