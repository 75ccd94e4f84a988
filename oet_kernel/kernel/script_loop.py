"""The event loop of a script: asyncio behaves as in a plain process, although the kernel's own loop runs below it."""

import asyncio
import inspect
import sys
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any


class ScriptLoop:
    """Hides the kernel's loop from a script, and runs the script's awaitables."""

    def __init__(self) -> None:
        self._runners: dict[asyncio.AbstractEventLoop, asyncio.Runner] = {}
        """Runners by their loops, which exist as long as the procedure."""
        self._entered = False

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Hide the kernel's running loop for the duration; entered in the kernel's main thread.

        Within, no loop runs, and the thread's current loop is the one that the script has set: at first there is none,
        and ``asyncio.get_event_loop()`` creates one where Python itself does.
        """
        loop, task, hooks = asyncio.get_running_loop(), asyncio.current_task(), sys.get_asyncgen_hooks()
        if not self._entered:
            self._entered = True
            _forget_policy()  # the kernel uses its running loop only
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
        """Run an awaitable, and return its result.

        A future runs in its own loop; any other awaitable in the loop of the previous run, else in the thread's current
        loop if the script has set one, else in a new one.

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
        asyncio.events._set_event_loop_policy(None)  # the public function raises a deprecation warning
    else:
        asyncio.set_event_loop_policy(None)


def _current_loop() -> asyncio.AbstractEventLoop | None:
    """Return the thread's current loop if it can be run, else None; asyncio's functions would create one, and warn."""
    policy = vars(asyncio.events)["_event_loop_policy"]
    loop = getattr(getattr(policy, "_local", None), "_loop", None)
    usable = isinstance(loop, asyncio.AbstractEventLoop) and not loop.is_closed() and not loop.is_running()
    return loop if usable else None
