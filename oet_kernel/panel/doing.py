"""Doing: runs callbacks of buttons on the panel's event loop, whatever the thread, and shows their results."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ipywidgets import HTML

from oet_kernel.client import ClientError
from oet_kernel.panel.rendering import message_html


class Doing:
    """Runner of coroutines on one event loop, which shows their failures.

    A frontend's message may be handled in a thread other than the loop's, so callbacks only schedule the work.
    """

    def __init__(self) -> None:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "ControlPanel needs a running event loop; create the panel in a notebook cell or in a coroutine"
            ) from None
        self._tasks: set[asyncio.Task[None]] = set()
        self.message = HTML()

    def on_loop(self, function: Callable[[], object]) -> Callable[[Any], None]:
        """Return a callback for a widget that calls a function without the widget's argument.

        Parameters
        ----------
        function
            Function to call on the loop.
        """
        return lambda _: self.call(function)

    def doing(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
        """Return a callback for a widget that runs a coroutine.

        Parameters
        ----------
        work
            Creates the coroutine.
        """
        return self.on_loop(lambda: self.begin(work()))

    def call(self, function: Callable[[], object]) -> None:
        """Call a function on the loop, from any thread."""
        self._loop.call_soon_threadsafe(function)

    def later(self, seconds: float, function: Callable[[], object]) -> None:
        """Call a function on the loop after a delay in seconds; call this on the loop only."""
        self._loop.call_later(seconds, function)

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a coroutine as a task; call this on the loop only."""
        task = self._loop.create_task(self._report(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def say(self, text: str, *, trouble: bool = False) -> None:
        """Show the result of an action."""
        self.message.value = message_html(text, trouble=trouble)

    def end(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Cancel all tasks, and run a last coroutine; may be called from any thread, and after the loop has ended.

        Parameters
        ----------
        last
            Creates the coroutine.
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
        except Exception as error:  # shown to the user: no caller awaits this task
            self.say(f"{type(error).__name__}: {error}", trouble=True)
