"""Jobs that concurrent callers with the same key share."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

Log = Callable[[str], None]


class _Job(Generic[T]):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.listeners: list[Log] = []
        self.task: asyncio.Task[T]

    def tell(self, line: str) -> None:
        self.lines.append(line)
        for listener in self.listeners:
            listener(line)


class Shared(Generic[T]):
    """Runs one job for each key at a time; concurrent callers get the same result and the same lines.

    A job runs as long as a caller waits for it, and is cancelled with the last of them.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, _Job[T]] = {}

    @property
    def keys(self) -> list[str]:
        """Keys of the jobs that run."""
        return list(self._jobs)

    async def get(self, key: str, make: Callable[[Log], Awaitable[T]], log: Log) -> T:
        """Return the result of a job, started where none with its key runs.

        Parameters
        ----------
        key
            Key of the job.
        make
            Runs the job; called with a function that logs a line for all callers.
        log
            Called with each line of the job, earlier lines included.
        """
        job = self._jobs.get(key)
        if job is None:
            job = self._jobs[key] = _Job()
            job.task = asyncio.ensure_future(make(job.tell))
            job.task.add_done_callback(lambda _: self._jobs.pop(key, None))
        for line in job.lines:
            log(line)
        job.listeners.append(log)
        try:
            return await asyncio.shield(job.task)
        finally:
            job.listeners.remove(log)
            if not job.listeners and not job.task.done():
                self._jobs.pop(key, None)
                job.task.cancel()
                await asyncio.wait([job.task])
