"""EventListener: display of the newest events in the output of a cell."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from oet_kernel.cli.options import explain
from oet_kernel.cli.results import Listening
from oet_kernel.client import Event
from oet_kernel.client.event_texts import Preparations, describe, marked, owner
from oet_kernel.formatting.terminal_text import settled
from oet_kernel.magics.event_queues import EventQueues
from oet_kernel.magics.rendering import events_html
from oet_kernel.magics.shown import Shown
from oet_kernel.printable import printable
from oet_kernel.topics import OUTPUT_STREAM

_KEPT = 10_000
"""Maximum number of events that are kept."""
_LINES = 20
"""Maximum number of events that are shown."""
_FRAME = 0.1
"""Minimum number of seconds between two updates."""


class EventListener(Shown):
    """Listener to events until it is stopped.

    Parameters
    ----------
    shell
        Shell in which it is shown.
    listening
        Selection of events.
    """

    def __init__(self, shell: InteractiveShell, listening: Listening) -> None:
        super().__init__(shell)
        self._listening = listening
        self._events: deque[Event] = deque(maxlen=_KEPT)
        self._trouble: str | None = None
        self._stopped = asyncio.Event()
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begun: Future[None] = Future()
        self._queues = EventQueues()

    @property
    def events(self) -> list[Event]:
        """Received events, the newest last; only the newest ones of many."""
        return list(self._events)

    def begin(self, start: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """Start to listen; no event after the return is missed.

        Parameters
        ----------
        start
            Starts a coroutine in the background.

        Raises
        ------
        ClientError
            When the service refuses the request, or is not reached.
        """
        start(self._listen())
        self._begun.result()

    def hear(self) -> "SimpleQueue[Event | None]":
        """Return a queue of the events from now on; None marks the end."""
        return self._queues.hear()

    def stop(self) -> None:
        """Stop listening."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)

    def __repr__(self) -> str:
        lines = [*self._lines(), *([f"[{self._trouble}]"] if self._trouble else [])]
        return printable("\n".join(lines)) or "[listening]"

    def _html(self) -> str:
        return events_html(self._lines(), self._trouble)

    def _lines(self) -> list[str]:
        newest = list(self._events)[-_LINES:]
        preparations = Preparations()
        return [marked(text, owner(event)) for event in newest if (text := _line(event, preparations)) is not None]

    async def _listen(self) -> None:
        """Receive events until stopped, or until the stream ends."""
        self._loop = asyncio.get_running_loop()
        hearing = asyncio.create_task(self._hear())
        painter = asyncio.create_task(self._paint())
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait((hearing, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (hearing, painter, stopped):
                task.cancel()
            self._begun.cancel()
            self._trouble = self._trouble or "stopped"
            self._refresh()
            self._queues.tell(None)

    async def _hear(self) -> None:
        wanted = self._listening
        try:
            async with (
                wanted.service.async_client() as client,
                client.events(wanted.topics, wanted.exclude) as events,
            ):
                self._begun.set_result(None)
                async for event in events:
                    self._events.append(event)
                    self._changed.set()
                    self._queues.tell(event)
        except Exception as error:  # shown in the cell: no caller awaits it
            self._trouble = explain(error)
            if not self._begun.done():
                self._begun.set_exception(error)

    async def _paint(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._refresh()
            await asyncio.sleep(_FRAME)


def _line(event: Event, preparations: Preparations) -> str | None:
    if event.service_topic == OUTPUT_STREAM:
        return settled(str(event.fields.get("text", "")).rstrip("\n"))
    return preparations.describe(event) or describe(event)
