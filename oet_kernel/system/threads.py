"""Threads for blocking work, in separate pools by cause of blocking, and started before they are needed.

`asyncio.to_thread` has one pool for all work, of six threads on a small machine, started on demand: a folder of scripts
on a file server that does not answer would delay stops, and at the limit of processes nothing could be stopped at all.
"""

import asyncio
import errno
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context, copy_context
from queue import SimpleQueue
from threading import Thread
from typing import Any, ParamSpec, TypeVar

from msgspec import Struct

P = ParamSpec("P")
T = TypeVar("T")


class _Job(Struct):
    future: Future[Any]
    context: Context
    work: Callable[[], Any]

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.context.run(self.work)
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class Threads:
    """Pool of a fixed number of threads with one queue; they end with the process, even while blocked.

    Parameters
    ----------
    name
        Purpose of the pool, for the names of threads.
    count
        Number of threads.
    """

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._threads: list[Thread] = []
        self._jobs: SimpleQueue[_Job] = SimpleQueue()

    def start(self) -> None:
        """Start the threads that are missing.

        Raises
        ------
        OSError
            When the system starts no thread, `errno.EAGAIN`; one thread is enough to go on.
        """
        while len(self._threads) < self._count:
            thread = Thread(target=self._work, name=f"oet-{self._name}-{len(self._threads)}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                if self._threads:
                    return
                raise OSError(
                    errno.EAGAIN,
                    f"The system cannot start a thread for {self._name}; this user may be at the limit of processes",
                ) from error
            self._threads.append(thread)

    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in one of the threads.

        Parameters
        ----------
        work
            Function to call.
            *args, **kwargs
                Arguments of the function.

        Returns
        -------
        object
            Result of the function; its exceptions are raised.
        """
        self.start()
        job = _Job(Future(), copy_context(), lambda: work(*args, **kwargs))
        self._jobs.put(job)
        result: T = await asyncio.wrap_future(job.future)
        return result

    def _work(self) -> None:
        while True:
            self._jobs.get().run()


PROCESSES = Threads("processes", 4)
"""Pool for finding, awaiting and ending processes, as stops need."""
STATE = Threads("state", 6)
"""Pool for reading and writing the state folder."""
SCRIPTS = Threads("scripts", 8)
"""Pool for reading scripts, definitions and checkouts, which may be on a file server."""
RECORDS = Threads("records", 2)
"""Pool for rendering pages of records, which needs the processor."""


def start_all() -> None:
    """Start all threads, so that none is missing when the system refuses more; raises as `Threads.start` does."""
    for threads in (PROCESSES, STATE, SCRIPTS, RECORDS):
        threads.start()
