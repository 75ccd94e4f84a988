"""Background: a thread with an event loop of its own, so that events are received while a cell runs."""

import asyncio
import threading
from collections.abc import Coroutine
from contextvars import Context
from typing import Any


class Background:
    """Thread that runs coroutines until it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="oet magics", daemon=True)
        self._thread.start()

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Start a coroutine, which must report its own failures.

        Parameters
        ----------
        coroutine
            Coroutine to run, without the context of the cell that starts it: its displays belong to the cell that runs
            at the time, which is the one that a frontend listens to.
        """
        self._loop.call_soon_threadsafe(self._start, coroutine, context=Context())

    def close(self) -> None:
        """Cancel all coroutines, and end the thread."""
        self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._end()))
        self._thread.join()
        self._loop.close()

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()
        self._loop.stop()
