"""Checkpoints: the places where a script waits while a pause is asked for."""

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
    """What waits at a checkpoint."""

    name: str
    release: Callable[[], None]
    in_main_thread: bool
    """Whether the interrupt of a stop reaches it."""
    ended: bool = False
    """Whether it is released since nothing is to go on."""


class _Pause(Struct, eq=False):
    """A pause that is asked for."""

    at: str | None
    who: str | None
    pattern: re.Pattern[str] | None
    pid: int
    """The process in which it was asked for: a child that is forked off has nobody to resume it."""
    waiters: list[_Waiter]

    def concerns(self, name: str) -> bool:
        """Return whether the calling thread has to wait at this checkpoint."""
        if os.getpid() != self.pid or CALL.get() is not None:  # what is typed in a console is not the script
            return False
        return self.pattern is None or self.pattern.match(name) is not None

    @property
    def checkpoint(self) -> str | None:
        """The checkpoint where it waits, the first of several; None where it has come to none."""
        return self.waiters[0].name if self.waiters else None


class Checkpoints:
    """Pauses and resumes a script at its checkpoints.

    Requests come in the thread of the control channel, checkpoints are reached in any thread. Every one that is reached
    while a pause is asked for waits, in whatever thread.

    Parameters
    ----------
    say
        Announces what has become of a pause. With True it waits for space where the disk is full, instead of raising.
    """

    def __init__(self, say: Callable[[PauseReport, bool], None]) -> None:
        self._say = say
        self._pause: _Pause | None = None
        self._closed = ""
        """Why no pause is taken any more."""
        self._lock = threading.Lock()  # and nothing that is made of one in Python: an interrupt could leave that locked

    def take(self, request: PauseRequest) -> None:
        """Carry out a request; it holds when its answer is announced."""
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
            What is told to whoever has asked for it, or will.
        """
        with self._lock:
            if self._pause is not None:
                self._say(PauseReport("missed", why=why), True)
            self._end(why, interrupted=False)

    def wait(self, name: str) -> None:
        """Wait at a checkpoint for as long as a pause is asked for; at once without.

        Parameters
        ----------
        name
            Of the checkpoint.

        Raises
        ------
        KeyboardInterrupt
            When it waited, and the procedure is stopped.
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
            with suppress(RuntimeError):  # the loop has been closed, and nothing waits in it
                loop.call_soon_threadsafe(gate.set)

        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread:
            # any signal wakes the loop from now on, and is not missed where it comes just before the loop falls asleep
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
            raise KeyboardInterrupt(f"the procedure has ended while it was paused at {waiter.name}")

    def _enter(self, pause: _Pause, waiter: _Waiter) -> bool:
        with self._lock:
            if self._pause is not pause:
                return False
            pause.waiters.append(waiter)
            if len(pause.waiters) == 1:
                self._say(PauseReport("paused", checkpoint=waiter.name), True)
            return True

    def _leave(self, pause: _Pause, waiter: _Waiter) -> None:
        """An interrupt, or the cancellation of a task, ends the wait of one; the pause is asked for all the same."""
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
        if self._pause is not None and self._pause.waiters:  # it is paused: that it is asked for again changes nothing
            self._say(PauseReport("paused", checkpoint=self._pause.checkpoint, answers=request.id), False)
            return
        # what `fnmatch` makes of any pattern goes back behind no star: the time to match is linear in the name
        pattern = None if request.at is None else re.compile(fnmatch.translate(request.at))
        before, self._pause = self._pause, _Pause(request.at, request.who, pattern, os.getpid(), [])
        try:
            # told when it holds: whoever was told must not see the next checkpoint passed
            self._say(PauseReport("pausing", at=request.at, who=request.who, answers=request.id), False)
        except BaseException:
            self._pause = before
            raise

    def _resume(self, request: PauseRequest) -> None:
        pause = self._pause
        if pause is None:
            self._say(PauseReport("refused", why="it is not paused", answers=request.id), False)
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
"""What is written to open a gate; no signal has this number."""


class _MainGate:
    """Holds the main thread until it is opened, or a signal's handler raises.

    A lock would not do: an interrupt that comes just before the thread falls asleep in it would not wake it. Here an
    interrupt raises, whatever the script has made of it: asyncio's own handler, for one, only notes it.
    """

    _pipes: ClassVar[list[tuple[int, int]]] = []
    """Those that no gate uses, and the next one may. None is closed: what a signal writes that comes to another thread
    may come late, and is not to end up in whatever has the pipe's number then."""

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
            with suppress(BlockingIOError):  # it is full, and its reader is to wake anyway
                os.write(self._listener, signals)  # an event loop hears of them too
        self._pipes.append((self._end, self._bell))

    def open(self) -> None:
        """Release the main thread; called in any thread, while it is held."""
        os.write(self._bell, bytes([_OPEN]))

    def pass_through(self) -> None:
        """Wait until it is open."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        while _OPEN not in self._rung:
            poll.poll()
            self._look()

    def _look(self) -> None:
        with suppress(BlockingIOError):
            self._rung.update(os.read(self._end, 4096))


def _nothing() -> None:
    """Stand for the handler of a signal that is of no interest itself."""
