"""Doing: what a button sets off runs on the panel's event loop, wherever the click arrives, and says how it went."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ipywidgets import HTML

from oet_kernel.client import ClientError
from oet_kernel.panel.rendering import message_html


class Doing:
    """Runs coroutines on one event loop, and shows their failures.

    A frontend's message may be handled in another thread than the one that runs the loop, so callbacks only schedule.
    """

    def __init__(self) -> None:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "A control panel needs an event loop that runs: make it in a notebook's cell, or in a coroutine"
            ) from None
        self._tasks: set[asyncio.Task[None]] = set()
        self.message = HTML()

    def on_loop(self, function: Callable[[], object]) -> Callable[[Any], None]:
        """Make a callback for a widget, whose own argument is left out.

        Parameters
        ----------
        function
            Called on the loop.
        """
        return lambda _: self.call(function)

    def doing(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
        """Make a callback for a widget that runs a coroutine.

        Parameters
        ----------
        work
            Makes the coroutine.
        """
        return self.on_loop(lambda: self.begin(work()))

    def call(self, function: Callable[[], object]) -> None:
        """Call a function on the loop, from any thread."""
        self._loop.call_soon_threadsafe(function)

    def later(self, seconds: float, function: Callable[[], object]) -> None:
        """Call a function on the loop after a while; on the loop only."""
        self._loop.call_later(seconds, function)

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine; on the loop only."""
        task = self._loop.create_task(self._report(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def say(self, text: str, *, trouble: bool = False) -> None:
        """Show what came of it."""
        self.message.value = message_html(text, trouble=trouble)

    def end(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Cancel what runs, and run one thing more; from any thread, and also when the loop has ended.

        Parameters
        ----------
        last
            Makes the coroutine.
        """
        if not self._loop.is_closed():
            self.call(lambda: self._end(last()))

    def _end(self, last: Coroutine[Any, Any, None]) -> None:
        for task in self._tasks:
            task.cancel()
        self.begin(last)

    async def _report(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ClientError as error:
            self.say(str(error), trouble=True)
        except Exception as error:  # shown to the user: nobody awaits this task
            self.say(f"{type(error).__name__}: {error}", trouble=True)
