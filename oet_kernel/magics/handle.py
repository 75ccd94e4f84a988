"""ProcedureHandle: procedure that a notebook follows."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import msgspec
from IPython.core.interactiveshell import InteractiveShell

from oet_kernel.cli.follow import QUIET
from oet_kernel.cli.options import explain
from oet_kernel.cli.printing import say_readings
from oet_kernel.cli.results import Begun, Following
from oet_kernel.client import ApiError, AsyncClient, ClientError, Event, StreamEnded
from oet_kernel.client.event_texts import concerns
from oet_kernel.client.tracking import entered
from oet_kernel.magics.rendering import card_html, card_text
from oet_kernel.magics.shown import Shown
from oet_kernel.magics.view import View, missed, refreshed, see
from oet_kernel.models import ProcedureState, ProcedureSummary
from oet_kernel.topics import STATECHANGE

_FRAME = 0.1
"""Minimum number of seconds between two updates, so that a script with much output does not flood the notebook."""
_TICK = 1.0
"""Seconds after which the duration is updated, if nothing else has changed."""


class ProcedureHandle(Shown):
    """Handle of a procedure; ``await`` it for its end.

    Its display is updated in place: state, duration, last announcement, output, error.

    Parameters
    ----------
    shell
        Shell in which it is shown.
    following
        Procedure to begin, and how to follow it.
    pictures
        Whether to show the newest picture of the script; False where all pictures are shown separately.
    """

    def __init__(self, shell: InteractiveShell, following: Following, *, pictures: bool = True) -> None:
        super().__init__(shell)
        self._pictures = pictures
        self._following = following
        self._view: View | None = None
        self._begun: Future[ProcedureSummary] = Future()
        self._ended: Future[ProcedureSummary] = Future()
        self._ears: list[SimpleQueue[Event | None]] = []
        self._changed = asyncio.Event()

    @property
    def id(self) -> int:
        """Id of the procedure."""
        return self.summary.id

    @property
    def state(self) -> ProcedureState:
        """State of the procedure."""
        return self.summary.state

    @property
    def summary(self) -> ProcedureSummary:
        """Present summary of the procedure."""
        return self._known().summary

    @property
    def output(self) -> str:
        """Output of the script since it is followed, including standard error; only the newest part of much output."""
        return self._known().output

    @property
    def progress(self) -> str:
        """Last announcement."""
        return self._known().progress

    @property
    def error(self) -> str | None:
        """Stack trace of a failed procedure; None otherwise."""
        return self._known().error

    def pause(self, at: str | None = None) -> None:
        """Pause the procedure at a checkpoint, without waiting until it gets there.

        Parameters
        ----------
        at
            Pattern of the checkpoint's whole name, as for file names: ``scan *``; None for the next checkpoint.
        """
        with self._following.service.client() as client:
            client.pause(self.id, at)

    def resume(self) -> None:
        """Resume the procedure."""
        with self._following.service.client() as client:
            client.resume(self.id)

    def stop(self, run_abort: bool = True) -> str:
        """Stop the procedure.

        Parameters
        ----------
        run_abort
            Whether to run the abort script on its subarray afterwards.

        Returns
        -------
        str
            Message of the service.
        """
        with self._following.service.client() as client:
            return client.stop(self.id, abort=run_abort)

    def wait(self, timeout: float | None = None) -> ProcedureSummary:
        """Wait for the procedure's end, in code that cannot ``await``.

        Parameters
        ----------
        timeout
            Timeout in seconds; None for no limit.

        Raises
        ------
        TimeoutError
            When the procedure has not ended in time.
        ClientError
            When the connection to the service is lost for good.
        """
        try:
            return self._ended.result(timeout)
        finally:
            self._refresh()  # as in `__await__`

    def __await__(self) -> Generator[Any, None, ProcedureSummary]:
        return self._until_ended().__await__()

    def begin(self, start: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """Begin the procedure, and return when it is created.

        Parameters
        ----------
        start
            Starts a coroutine in the background.

        Raises
        ------
        ClientError
            When the service refuses the request, or is not reached.
        """
        start(self._follow())
        self._begun.result()

    def hear(self) -> "SimpleQueue[Event | None]":
        """Return a queue of all events about the procedure from the first, or from now on; None marks the end."""
        ear: SimpleQueue[Event | None] = SimpleQueue()
        self._ears.append(ear)
        return ear

    async def _until_ended(self) -> ProcedureSummary:
        try:
            # shielded: a cell that is interrupted while waiting does not end this handle
            return await asyncio.shield(asyncio.wrap_future(self._ended))
        finally:
            # programs that execute notebooks unattended (nbclient) ignore changes between two cells
            self._refresh()

    def lasts(self, event: Event) -> bool:
        """Return whether the requested work continues after an event."""
        ready = event.service_topic == STATECHANGE and entered(event) is ProcedureState.READY
        return not (ready and self._following.until_ready)

    def __repr__(self) -> str:
        return card_text(self._view, time.time())

    def _html(self) -> str:
        return card_html(self._view, time.time(), picture=self._pictures)

    def _known(self) -> View:
        if self._view is None:
            raise RuntimeError("The procedure is not created yet")
        return self._view

    async def _follow(self) -> None:
        """Follow the procedure; its last update is shown before waiting callers learn of its end."""
        painter = asyncio.create_task(self._paint())
        error: Exception | None = None
        try:
            async with self._following.service.async_client() as client:
                await self._listen(client)
        except asyncio.CancelledError:
            error = ClientError("The procedure is not followed any more: the magics were unloaded")
            raise
        except Exception as raised:  # any exception is raised to waiting callers
            error = raised
        finally:
            painter.cancel()
            self._tell(error)

    def _tell(self, error: Exception | None) -> None:
        """Show the outcome, then release waiting callers."""
        if error is not None and self._view is not None and not self._view.state.inactive:
            self._view = msgspec.structs.replace(self._view, trouble=explain(error))
        try:
            self._refresh()
        finally:
            for ear in self._ears:
                ear.put(None)
            for future in (self._begun, self._ended):
                if future.done():
                    continue
                if error is None:
                    future.set_result(self.summary)
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
                    if heard_before and self.state is ProcedureState.READY:
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
                self._view = missed(self._known(), str(error))
                heard_before = True

    async def _catch_up(self, client: AsyncClient) -> int:
        """Begin the procedure at the first call; later request its present state. Return its id."""
        if self._view is None:
            begun = await asyncio.to_thread(self._begin)
            self._view = View(begun.summary)
            self._begun.set_result(begun.summary)
        else:
            self._view = refreshed(self._view, await client.procedure(self._view.summary.id))
        self._changed.set()
        return self._view.summary.id

    def _begin(self) -> Begun:
        with self._following.service.client() as client:
            return self._following.begin(client)

    async def _take(self, client: AsyncClient, event: Event) -> None:
        self._view = see(self._known(), event, time.time())
        self._changed.set()
        for ear in self._ears:
            ear.put(event)
        if event.service_topic == STATECHANGE and entered(event) is ProcedureState.READY:
            await self._start(client)

    async def _start(self, client: AsyncClient) -> None:
        """Start a procedure that was created to run, once; stop it if it may not start, as no other client will."""
        summary = self.summary
        if (main := self._following.main) is None or "main" in summary.script_args:
            return
        try:
            started = await client.start(summary.id, main)
        except ApiError as error:
            self._view = msgspec.structs.replace(self._known(), error=explain(error))
            await client.stop(summary.id, abort=False)
        else:
            say_readings(main, started, "main")
            known = self._known().summary
            known = msgspec.structs.replace(known, script_args=started.script_args)
            self._view = msgspec.structs.replace(self._known(), summary=known)

    async def _has_ended(self, client: AsyncClient) -> bool:
        """Return whether the service confirms the end of the procedure, since a script can publish any state.

        A procedure that the service has forgotten keeps its last known state.
        """
        if self.state.inactive:
            try:
                self._view = refreshed(self._known(), await client.procedure(self.id))
            except ApiError as error:
                if error.type != "ResourceNotFound":
                    raise
        return self.state.inactive

    async def _paint(self) -> None:
        """Show changes at a limited rate, and the passing time."""
        while True:
            passes = self._view is not None and self._view.passes
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _TICK if passes else None)
            self._changed.clear()
            self._refresh()
            pictured = self._pictures and self._view is not None and self._view.picture is not None
            await asyncio.sleep(_TICK if pictured else _FRAME)
