"""The event loop of a script: asyncio answers as in a plain process, although the kernel's own loop runs below it."""

import asyncio
import inspect
import sys
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any


class ScriptLoop:
    """Hides the kernel's loop from a script, and runs what the script has to be awaited."""

    def __init__(self) -> None:
        self._runners: dict[asyncio.AbstractEventLoop, asyncio.Runner] = {}
        """By their loops, which live as long as the procedure."""
        self._entered = False

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Hide the kernel's running loop; to be entered in the kernel's main thread.

        Within, no loop runs, and the thread's current loop is what the script has made of it: at first there is none,
        and ``asyncio.get_event_loop()`` makes one where Python's own does.
        """
        loop, task, hooks = asyncio.get_running_loop(), asyncio.current_task(), sys.get_asyncgen_hooks()
        if not self._entered:
            self._entered = True
            _forget_policy()  # the kernel knows its loop as the running one, and asks for no other
        if task is not None:
            _leave_task(loop, task)
        asyncio._set_running_loop(None)
        sys.set_asyncgen_hooks(None, None)
        try:
            yield
        finally:
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(loop)
            if task is not None:
                _enter_task(loop, task)

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Run something that is to be awaited, and return what it gives.

        A future runs in the loop that it belongs to; anything else in the loop of what was run before, else in the
        thread's current one if the script has made one, else in a new one.

        Parameters
        ----------
        awaitable
            A coroutine, a future or any other object with ``__await__``.
        """
        coroutine = awaitable if inspect.iscoroutine(awaitable) else _wait_for(awaitable)
        return self._runner_for(awaitable).run(coroutine)

    def close(self) -> None:
        """End as ``asyncio.run`` does: cancel pending tasks, finish asynchronous generators, close the loop."""
        while self._runners:
            loop, runner = self._runners.popitem()
            if not loop.is_closed():
                runner.close()

    def _runner_for(self, awaitable: Awaitable[Any]) -> asyncio.Runner:
        wanted = awaitable.get_loop() if asyncio.isfuture(awaitable) else next(iter(self._runners), None)
        if wanted is None or wanted.is_closed():
            wanted = _current_loop()
        if wanted is None:
            runner = asyncio.Runner()
            return self._runners.setdefault(runner.get_loop(), runner)
        if wanted not in self._runners:
            self._runners[wanted] = asyncio.Runner(loop_factory=lambda: wanted)
        return self._runners[wanted]


async def _wait_for(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _forget_policy() -> None:
    """Reset asyncio's policy, and with it the thread's current loop, to their state at the start of the process."""
    if sys.version_info >= (3, 14):
        asyncio.events._set_event_loop_policy(None)  # the public function warns that policies are going to go
    else:
        asyncio.set_event_loop_policy(None)


def _current_loop() -> asyncio.AbstractEventLoop | None:
    """Return the thread's current loop if it can be run; asyncio's own functions would make one, and warn of it."""
    policy = vars(asyncio.events)["_event_loop_policy"]
    loop = getattr(getattr(policy, "_local", None), "_loop", None)
    usable = isinstance(loop, asyncio.AbstractEventLoop) and not loop.is_closed() and not loop.is_running()
    return loop if usable else None
