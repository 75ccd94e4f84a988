"""Supervises the service's own tasks: none ends by an exception that nobody hears of."""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")

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


def supervise(part: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task that its owner keeps, but whose failure nobody may come to see.

    Parameters
    ----------
    part
        What it is part of, for the log.
    work
        What is run.

    Returns
    -------
    asyncio.Task
        The task; an exception that ends it is reported, and raised to whoever awaits it all the same.
    """
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(lambda ended: _report_end(part, ended))
    return task


def _report_end(part: str, task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        report_fault(part, error)


class Supervisor:
    """Keeps tasks that have no other owner, until they end or all are cancelled."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, part: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something in the background; parameters and result as `supervise` has them."""
        task = supervise(part, work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def ended(self) -> None:
        """Wait until all that run now have ended."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Cancel all that run."""
        for task in list(self._tasks):
            task.cancel()
