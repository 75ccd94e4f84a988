"""Threads for work that may block, apart by what may block it, and started before they are needed.

`asyncio.to_thread` has one pool for all, of six threads on a small machine, which it starts on demand: a folder of
scripts on a file server that does not answer would keep stops waiting, and at the limit of processes nothing could be
stopped at all.
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
    """A fixed number of threads with one queue; they end with the process, whatever they are waiting for.

    Parameters
    ----------
    name
        What they are for.
    count
        How many there are.
    """

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._threads: list[Thread] = []
        self._jobs: SimpleQueue[_Job] = SimpleQueue()

    def start(self) -> None:
        """Start the threads that are not there yet.

        Raises
        ------
        OSError
            When the system gives none, `errno.EAGAIN`; with at least one, the work is done.
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
                    f"The system gives no thread for {self._name}; this user may be at the limit of processes",
                ) from error
            self._threads.append(thread)

    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in one of the threads.

        Parameters
        ----------
        work
            The function.
        *args, **kwargs
            What it is called with.

        Returns
        -------
        object
            What it returns; it raises what the function raises.
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
"""Looks for processes, waits for them and ends them: what a stop needs."""
STATE = Threads("state", 6)
"""Reads and writes the state folder."""
SCRIPTS = Threads("scripts", 8)
"""Reads scripts, definitions and checkouts, which may lie on a file server."""
RECORDS = Threads("records", 2)
"""Makes pages of records, which takes the processor."""


def start_all() -> None:
    """Start all threads, so that none is wanting when the system gives no more; raises what `Threads.start` does."""
    for threads in (PROCESSES, STATE, SCRIPTS, RECORDS):
        threads.start()
