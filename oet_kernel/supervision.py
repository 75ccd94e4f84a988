"""Supervises the service's own tasks: none ends by an exception that nobody hears of."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)

faults: Counter[str] = Counter()
"""Exceptions that were not expected, by the part of the service that they ended; shown by ``/health``."""
_MOST_LINES = 20
"""Tracebacks in the log of one part."""


def report_fault(part: str, error: BaseException) -> None:
    """Count an exception that was not expected, and log it with its traceback.

    Parameters
    ----------
    part
        What it has ended, ``records``.
    error
        The exception.
    """
    faults[part] += 1
    if faults[part] <= _MOST_LINES:
        log.error("Unexpected failure in %s: %r", part, error, exc_info=error)


class Supervisor:
    """Runs tasks that nobody waits for."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self,
        part: str,
        work: Coroutine[Any, Any, Any],
        on_failure: Callable[[Exception], None] = lambda error: None,
    ) -> asyncio.Task[None]:
        """Run something in the background.

        Parameters
        ----------
        part
            What it is part of, for the log.
        work
            What is run.
        on_failure
            Called with what it raises.
        """

        async def watched() -> None:
            try:
                await work
            except Exception as error:
                report_fault(part, error)
                on_failure(error)

        task = asyncio.get_running_loop().create_task(watched())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self) -> None:
        """Cancel all that run."""
        for task in list(self._tasks):
            task.cancel()
