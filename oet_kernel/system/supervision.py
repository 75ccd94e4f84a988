"""Supervision of the service's own tasks: every exception that ends one is reported."""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")

faults: Counter[str] = Counter()
"""Number of unexpected exceptions by the part of the service that they ended; shown by ``/health``."""
_MOST_LINES = 20
"""Maximum number of tracebacks in the log for one part."""


def report_fault(part: str, error: BaseException) -> None:
    """Count an unexpected exception, and log it with its traceback.

    Parameters
    ----------
    part
        Part of the service that it ended, ``records``.
    error
        Unexpected exception.
    """
    faults[part] += 1
    if faults[part] <= _MOST_LINES:
        log.error("Unexpected failure in %s: %r", part, error, exc_info=error)


def supervise(part: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task whose owner keeps it but may never await its failure.

    Parameters
    ----------
    part
        Part of the service that the task belongs to, for the log.
    work
        Coroutine to run.

    Returns
    -------
    asyncio.Task
        Started task; an exception that ends it is reported, and still raised where it is awaited.
    """
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(lambda ended: _report_end(part, ended))
    return task


def _report_end(part: str, task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        report_fault(part, error)


class Supervisor:
    """Owner of background tasks, until they end or all are cancelled."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, part: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a background task; parameters and result as for `supervise`."""
        task = supervise(part, work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def ended(self) -> None:
        """Wait until all tasks that are running now have ended."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Cancel all running tasks."""
        for task in list(self._tasks):
            task.cancel()
