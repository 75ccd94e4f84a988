"""Follower: follows a procedure by its events, in the background of a notebook."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future

import msgspec

from oet_kernel.cli.follow import QUIET
from oet_kernel.cli.options import explain
from oet_kernel.cli.printing import say_readings
from oet_kernel.cli.results import Begun, Following
from oet_kernel.client import ApiError, AsyncClient, ClientError, Event, StreamEnded
from oet_kernel.client.event_texts import concerns
from oet_kernel.client.tracking import entered
from oet_kernel.magics.event_queues import EventQueues
from oet_kernel.magics.view import View, missed, refreshed, see
from oet_kernel.models import ProcedureState, ProcedureSummary
from oet_kernel.topics import STATECHANGE


class Follower:
    """Begins a procedure and follows it to its end.

    Parameters
    ----------
    following
        Procedure to begin, and how to follow it.
    show
        Shows the outcome; called before waiting callers learn of the end.
    """

    def __init__(self, following: Following, show: Callable[[], None]) -> None:
        self._following = following
        self._show = show
        self.queues = EventQueues()
        """Queues of all events about the procedure."""
        self.view: View | None = None
        """Known data of the procedure; None until it is created."""
        self.begun: Future[ProcedureSummary] = Future()
        """Summary at its creation."""
        self.ended: Future[ProcedureSummary] = Future()
        """Summary at its end."""
        self.changed = asyncio.Event()
        """Set when `view` has changed; cleared by the one who shows it."""

    @property
    def known(self) -> View:
        """Known data of a procedure that is created.

        Raises
        ------
        RuntimeError
            When it is not created yet.
        """
        if self.view is None:
            raise RuntimeError("The procedure is not created yet")
        return self.view

    def lasts(self, event: Event) -> bool:
        """Return whether the requested work continues after an event."""
        ready = event.service_topic == STATECHANGE and entered(event) is ProcedureState.READY
        return not (ready and self._following.until_ready)

    async def follow(self) -> None:
        """Follow the procedure; its last update is shown before waiting callers learn of its end."""
        error: Exception | None = None
        try:
            async with self._following.service.async_client() as client:
                await self._listen(client)
        except asyncio.CancelledError:
            error = ClientError("The procedure is no longer followed: the magics were unloaded")
            raise
        except Exception as raised:  # any exception is raised to waiting callers
            error = raised
        finally:
            self._tell(error)

    def _tell(self, error: Exception | None) -> None:
        """Show the outcome, then release waiting callers."""
        if error is not None and self.view is not None and not self.view.state.inactive:
            self.view = msgspec.structs.replace(self.view, trouble=explain(error))
        try:
            self._show()
        finally:
            self.queues.tell(None)
            for future in (self.begun, self.ended):
                if future.done():
                    continue
                if error is None:
                    future.set_result(self.known.summary)
                else:
                    future.set_exception(error)

    async def _listen(self, client: AsyncClient) -> None:
        """Receive events until the procedure has ended; a broken stream is resumed."""
        pid, heard_before = self._following.pid, False
        while True:
            heard = False
            try:
                async with client.events(exclude=QUIET, procedure=pid) as events:
                    pid = await self._catch_up(client)
                    if heard_before and self.known.state is ProcedureState.READY:
                        await self._start(client)
                    while not await self._has_ended(client):
                        event = await anext(events)
                        heard = True
                        if concerns(event, pid):
                            await self._take(client, event)
                    return
            except StreamEnded as error:
                if not heard:
                    raise
                self.view = missed(self.known, str(error))
                heard_before = True

    async def _catch_up(self, client: AsyncClient) -> int:
        """Begin the procedure at the first call; later request its present state. Return its id."""
        if self.view is None:
            begun = await asyncio.to_thread(self._begin)
            self.view = View(begun.summary)
            self.begun.set_result(begun.summary)
        else:
            self.view = refreshed(self.view, await client.procedure(self.view.summary.id))
        self.changed.set()
        return self.view.summary.id

    def _begin(self) -> Begun:
        with self._following.service.client() as client:
            return self._following.begin(client)

    async def _take(self, client: AsyncClient, event: Event) -> None:
        self.view = see(self.known, event, time.time())
        self.changed.set()
        self.queues.tell(event)
        if event.service_topic == STATECHANGE and entered(event) is ProcedureState.READY:
            await self._start(client)

    async def _start(self, client: AsyncClient) -> None:
        """Start a procedure that was created to run, once; stop it if it may not start, as no other client will."""
        summary = self.known.summary
        if (main := self._following.main) is None or "main" in summary.script_args:
            return
        try:
            started = await client.start(summary.id, main)
        except ApiError as error:
            self.view = msgspec.structs.replace(self.known, error=explain(error))
            await client.stop(summary.id, abort=False)
        else:
            say_readings(main, started, "main")
            known = self.known.summary
            known = msgspec.structs.replace(known, script_args=started.script_args)
            self.view = msgspec.structs.replace(self.known, summary=known)

    async def _has_ended(self, client: AsyncClient) -> bool:
        """Return whether the service confirms the end of the procedure, since a script can publish any state.

        A procedure that the service has forgotten keeps its last known state.
        """
        if self.known.state.inactive:
            try:
                self.view = refreshed(self.known, await client.procedure(self.known.summary.id))
            except ApiError as error:
                if error.type != "ResourceNotFound":
                    raise
        return self.known.state.inactive
