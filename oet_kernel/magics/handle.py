"""ProcedureHandle: procedure that a notebook follows."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from oet_kernel.cli.results import Following
from oet_kernel.client import Event
from oet_kernel.magics.follower import Follower
from oet_kernel.magics.rendering import card_html, card_text
from oet_kernel.magics.shown import Shown
from oet_kernel.models import ProcedureState, ProcedureSummary

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
        self._follower = Follower(following, self._refresh)

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
        return self._follower.known.summary

    @property
    def output(self) -> str:
        """Output of the script since it is followed, including standard error; only the newest part of much output."""
        return self._follower.known.output

    @property
    def progress(self) -> str:
        """Last announcement."""
        return self._follower.known.progress

    @property
    def error(self) -> str | None:
        """Stack trace of a failed procedure; None otherwise."""
        return self._follower.known.error

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
            return self._follower.ended.result(timeout)
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
        self._follower.begun.result()

    def hear(self) -> "SimpleQueue[Event | None]":
        """Return a queue of all events about the procedure from the first, or from now on; None marks the end."""
        return self._follower.queues.hear()

    async def _until_ended(self) -> ProcedureSummary:
        try:
            # shielded: a cell that is interrupted while waiting does not end this handle
            return await asyncio.shield(asyncio.wrap_future(self._follower.ended))
        finally:
            # programs that execute notebooks unattended (nbclient) ignore changes between two cells
            self._refresh()

    def lasts(self, event: Event) -> bool:
        """Return whether the requested work continues after an event."""
        return self._follower.lasts(event)

    def __repr__(self) -> str:
        return card_text(self._follower.view, time.time())

    def _html(self) -> str:
        return card_html(self._follower.view, time.time(), picture=self._pictures)

    async def _follow(self) -> None:
        painter = asyncio.create_task(self._paint())
        try:
            await self._follower.follow()
        finally:
            painter.cancel()

    async def _paint(self) -> None:
        """Show changes at a limited rate, and the passing time."""
        while True:
            passes = self._follower.view is not None and self._follower.view.passes
            with suppress(TimeoutError):
                await asyncio.wait_for(self._follower.changed.wait(), _TICK if passes else None)
            self._follower.changed.clear()
            self._refresh()
            pictured = self._pictures and self._follower.view is not None and self._follower.view.picture is not None
            await asyncio.sleep(_TICK if pictured else _FRAME)
