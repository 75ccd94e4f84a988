"""Checkpoints: places where a script waits while a pause is requested."""

import asyncio
import fnmatch
import os
import re
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar, Self

from msgspec import Struct

from oet_kernel.bounds import PATTERN_CHARACTERS
from oet_kernel.kernel.journal import CALL
from oet_kernel.protocol import PauseReport, PauseRequest


class _Waiter(Struct, eq=False):
    """A thread or task that waits at a checkpoint."""

    name: str
    release: Callable[[], None]
    in_main_thread: bool
    """Whether the interrupt of a stop reaches the waiter."""
    ended: bool = False
    """Whether it was released because the script ends, and raises KeyboardInterrupt."""


class _Pause(Struct, eq=False):
    """A requested pause."""

    at: str | None
    who: str | None
    pattern: re.Pattern[str] | None
    pid: int
    """Process in which the pause was requested: nobody could resume a forked child."""
    waiters: list[_Waiter]

    def concerns(self, name: str) -> bool:
        """Return whether the calling thread has to wait at this checkpoint."""
        if os.getpid() != self.pid or CALL.get() is not None:  # code typed in a console is not the script
            return False
        return self.pattern is None or self.pattern.match(name) is not None

    @property
    def checkpoint(self) -> str | None:
        """Name of the checkpoint where the script waits, the first of several; None while it has reached none."""
        return self.waiters[0].name if self.waiters else None


class Checkpoints:
    """Pauses and resumes a script at its checkpoints.

    Requests arrive in the thread of the control channel, checkpoints are reached in any thread. Every thread that
    reaches one while a pause is requested waits.

    Parameters
    ----------
    say
        Announces the outcome of a pause. With True it waits for space on a full disk, instead of raising.
    """

    def __init__(self, say: Callable[[PauseReport, bool], None]) -> None:
        self._say = say
        self._pause: _Pause | None = None
        self._closed = ""
        """Reason why pauses are refused; empty while they are accepted."""
        self._lock = threading.Lock()  # no class built on one in Python: an interrupt could leave that locked

    def take(self, request: PauseRequest) -> None:
        """Handle a request; it is in effect when its answer is announced."""
        with self._lock:
            match request.action:
                case "pause":
                    self._ask(request)
                case "resume":
                    self._resume(request)
                case "stop":
                    self._end("it is being stopped", interrupted=True)
                    self._say(PauseReport("stopping", answers=request.id), False)

    def close(self, why: str) -> None:
        """Refuse further pauses, and end a pending one: no thread of the script waits any more.

        Parameters
        ----------
        why
            Reason that is reported for pending and further requests.
        """
        with self._lock:
            if self._pause is not None:
                self._say(PauseReport("missed", why=why), True)
            self._end(why, interrupted=False)

    def wait(self, name: str) -> None:
        """Wait at a checkpoint while a pause is requested; return at once without one.

        Parameters
        ----------
        name
            Name of the checkpoint.

        Raises
        ------
        KeyboardInterrupt
            When the procedure is stopped during the wait.
        """
        pause = self._pause
        if pause is None or not pause.concerns(name):
            return
        if threading.current_thread() is threading.main_thread():
            with _MainGate() as gate, self._at(pause, _Waiter(name, gate.open, True)) as waits:
                if waits:
                    gate.pass_through()
            return
        lock = threading.Lock()
        lock.acquire()
        with self._at(pause, _Waiter(name, lock.release, False)) as waits:
            if waits:
                lock.acquire()

    async def wait_async(self, name: str) -> None:
        """Wait as `wait` does, while other tasks of the event loop go on."""
        pause = self._pause
        if pause is None or not pause.concerns(name):
            return
        loop, gate = asyncio.get_running_loop(), asyncio.Event()

        def release() -> None:
            with suppress(RuntimeError):  # the loop is closed, and nothing waits in it
                loop.call_soon_threadsafe(gate.set)

        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread:
            # from now on any signal wakes the loop, even one that arrives just before the loop starts to wait
            loop.add_signal_handler(signal.SIGURG, _nothing)
        with self._at(pause, _Waiter(name, release, in_main_thread)) as waits:
            if waits:
                await gate.wait()

    @contextmanager
    def _at(self, pause: _Pause, waiter: _Waiter) -> Iterator[bool]:
        """Register a waiter for the duration of its wait; yield False where the pause was withdrawn meanwhile."""
        try:
            yield self._enter(pause, waiter)
        except BaseException:
            self._leave(pause, waiter)
            raise
        if waiter.ended:
            raise KeyboardInterrupt(f"the procedure ended during its pause at {waiter.name}")

    def _enter(self, pause: _Pause, waiter: _Waiter) -> bool:
        with self._lock:
            if self._pause is not pause:
                return False
            pause.waiters.append(waiter)
            if len(pause.waiters) == 1:
                self._say(PauseReport("paused", checkpoint=waiter.name), True)
            return True

    def _leave(self, pause: _Pause, waiter: _Waiter) -> None:
        """Remove a waiter that an interrupt or a task's cancellation has ended; the pause stays requested."""
        with self._lock:
            if self._pause is not pause or waiter not in pause.waiters:
                return
            before = pause.checkpoint
            pause.waiters.remove(waiter)
            if pause.checkpoint is None:
                self._say(PauseReport("pausing", at=pause.at, who=pause.who), True)
            elif pause.checkpoint != before:
                self._say(PauseReport("paused", checkpoint=pause.checkpoint), True)

    def _ask(self, request: PauseRequest) -> None:
        why = self._closed
        if not why and request.at is not None and len(request.at) > PATTERN_CHARACTERS:
            why = f"a pattern of {len(request.at)} characters is too long; {PATTERN_CHARACTERS} are allowed"
        if why:
            self._say(PauseReport("refused", why=why, answers=request.id), False)
            return
        if self._pause is not None and self._pause.waiters:  # paused already: a repeated request changes nothing
            self._say(PauseReport("paused", checkpoint=self._pause.checkpoint, answers=request.id), False)
            return
        # patterns from `fnmatch` do not backtrack behind a star: matching time is linear in the name
        pattern = None if request.at is None else re.compile(fnmatch.translate(request.at))
        before, self._pause = self._pause, _Pause(request.at, request.who, pattern, os.getpid(), [])
        try:
            # announced once in effect: after the announcement no checkpoint may be passed
            self._say(PauseReport("pausing", at=request.at, who=request.who, answers=request.id), False)
        except BaseException:
            self._pause = before
            raise

    def _resume(self, request: PauseRequest) -> None:
        pause = self._pause
        if pause is None:
            self._say(PauseReport("refused", why="the procedure is not paused", answers=request.id), False)
            return
        report = PauseReport("resumed", checkpoint=pause.checkpoint, who=request.who, answers=request.id)
        self._say(report, False)
        self._pause = None
        for waiter in pause.waiters:
            waiter.release()

    def _end(self, why: str, *, interrupted: bool) -> None:
        """Refuse further pauses; waiters that the interrupt does not reach raise KeyboardInterrupt."""
        self._closed = self._closed or why
        pause, self._pause = self._pause, None
        for waiter in pause.waiters if pause is not None else ():
            if not (interrupted and waiter.in_main_thread):
                waiter.ended = True
                waiter.release()


_OPEN = 0
"""Byte that opens a gate; no signal has this number."""


class _MainGate:
    """Holds the main thread until the gate is opened, or a signal handler raises.

    A lock does not suffice: an interrupt just before the thread starts to wait in it would not wake it. Here an
    interrupt raises, whatever handler the script has set: asyncio's own, for example, only notes it.
    """

    _pipes: ClassVar[list[tuple[int, int]]] = []
    """Unused pipes, for the next gates. They are never closed: a signal in another thread may write late, and must not
    write to a file that has got the pipe's number since."""

    def __enter__(self) -> Self:
        self._end, self._bell = self._pipes.pop() if self._pipes else os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._rung = set[int]()
        self._look()
        self._rung.clear()
        self._handler = signal.signal(signal.SIGINT, signal.default_int_handler) or signal.SIG_DFL
        self._listener = signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        return self

    def __exit__(self, *error: object) -> None:
        signal.set_wakeup_fd(self._listener, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self._handler)
        self._look()
        if self._listener >= 0 and (signals := bytes(self._rung - {_OPEN})):
            with suppress(BlockingIOError):  # full, so its reader wakes anyway
                os.write(self._listener, signals)  # pass the signals on to an event loop
        self._pipes.append((self._end, self._bell))

    def open(self) -> None:
        """Release the main thread; called in any thread, while it is held."""
        os.write(self._bell, bytes([_OPEN]))

    def pass_through(self) -> None:
        """Wait until the gate is open."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        while _OPEN not in self._rung:
            poll.poll()
            self._look()

    def _look(self) -> None:
        with suppress(BlockingIOError):
            self._rung.update(os.read(self._end, 4096))


def _nothing() -> None:
    """No-op handler, for a signal that only has to wake the loop."""
