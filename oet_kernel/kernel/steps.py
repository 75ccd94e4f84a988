"""Steps of a script: one runs at a time, with interrupts, and its outcome is reported once its exit work is done.

Each step is announced as an ``oet_call`` message, which the service maps to lifecycle states::

    {"call": "load", "phase": "started"}
    {"call": "load", "phase": "finished", "has_init": true, "source_sha256": "9f86d0..."}
    {"call": "main", "phase": "finished", "returned": {"type": "int", "value": 5, "text": null}}
    {"call": "main", "phase": "failed", "stacktrace": "Traceback (most recent call last): ...", "quiet": true}
    {"call": "init", "phase": "exited"}

`quiet`: no thread or process of the script runs any more. ``exited``: the script has ended by ``sys.exit(0)`` before
its ``main``. The end of a script is announced when its exit work is done (`oet_kernel.kernel.exit_work`).
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

import msgspec
from msgspec.structs import replace

from oet_kernel.kernel import background_work
from oet_kernel.kernel.checkpoints import Checkpoints
from oet_kernel.kernel.exit_work import ExitWork, end_child, end_now, flush_files, status_of
from oet_kernel.kernel.iopub import Publisher
from oet_kernel.kernel.last_words import end_untold
from oet_kernel.kernel.loader import format_failure, leave_to_debugger
from oet_kernel.kernel.script_loop import ScriptLoop
from oet_kernel.protocol import CallReport


class Steps:
    """Steps of one script.

    Parameters
    ----------
    publisher
        Publishes the outcome of each step.
    loop
        Event loops of the script; closed when ``main`` has returned, or a step has failed.
    checkpoints
        Closed when the script has ended.
    after_call
        Called after each step, in the main thread: shows figures that are still open.
    module
        Returns the script's module; None while there is none.
    ended_early
        Called when the script has ended before its ``main``, before that is reported; its exceptions are ignored.
    """

    def __init__(
        self,
        publisher: Publisher,
        loop: ScriptLoop,
        checkpoints: Checkpoints,
        after_call: Callable[[], None],
        module: Callable[[], ModuleType | None],
        ended_early: Callable[[], None],
    ) -> None:
        self._publisher = publisher
        self._loop = loop
        self._checkpoints = checkpoints
        self._after_call = after_call
        self._module = module
        self._ended_early = ended_early
        self._pid = os.getpid()
        self._on_interrupt: Any = signal.default_int_handler
        self._outcome: CallReport | None = None
        self.expect(0)

    def expect(self, exit_seconds: float) -> None:
        """Prepare for a script: threads that run already are not its own.

        Parameters
        ----------
        exit_seconds
            Deadline of its exit work in seconds; 0 for none.
        """
        self._threads = frozenset(threading.enumerate())
        self._exit_work = ExitWork(exit_seconds, self._cut_off)

    @property
    def over(self) -> bool:
        """True once the exit work was begun: the script's names may be gone."""
        return self._exit_work.began

    @property
    def has_threads(self) -> bool:
        """True while a thread of the script runs."""
        return bool(background_work.threads(self._threads))

    def run(self, name: str, work: Callable[[], dict[str, Any] | None]) -> bool:
        """Run one step and report its outcome; return True when it succeeded.

        The process ends where the outcome cannot be reported.

        Parameters
        ----------
        name
            ``load``, ``init`` or ``main``.
        work
            Does the step; returns the further fields of its report.
        """
        error: BaseException | None = None
        extra: dict[str, Any] | None = None
        try:
            with self._interruptible():  # before the step is announced
                self._publisher.call = name
                self._report(CallReport(name, "started"))
                with self._loop.outside():
                    try:
                        extra = work()
                    except BaseException:
                        self._loop.close()
                        raise
                    if name == "main":
                        self._loop.close()
        except BaseException as caught:
            error = caught
        self._end_if_child(error)
        try:
            return self._end(name, error, extra)
        except BaseException as fault:
            end_untold(fault, error)

    def _end(self, name: str, error: BaseException | None, extra: dict[str, Any] | None) -> bool:
        """Report the outcome of a step; return True when it succeeded."""
        well = status_of(error) == 0
        over = name == "main" or error is not None
        if error is None or (well and name == "main"):
            outcome = CallReport(name, "finished", **(extra or {}))
        elif well:
            outcome = CallReport(name, "exited")
        else:
            outcome = CallReport(name, "failed", stacktrace=format_failure(error))
            leave_to_debugger(error)
        self._outcome = outcome
        if over:
            self._checkpoints.close(f"{name} has ended")
        self._after_call()
        if over:
            # names are kept for daemon threads, which Python would freeze now, and for the inspection of a failure
            keep = not well or self.has_threads
            with suppress(BaseException), self._interruptible():
                self._exit_work.do(None if keep else self._module())
            self._end_if_child(error)
            if name != "main":
                with suppress(Exception):  # for example no descriptors left, of which the script has failed itself
                    self._ended_early()
        self._publisher.synchronise()
        if not well:
            outcome = replace(outcome, quiet=not background_work.at_work(self._threads))
        self._report(outcome)
        return error is None

    def leave(self) -> None:
        """Run the exit work of a script that has not ended, since the process ends."""
        self._exit_work.do(None)

    def _cut_off(self, text: str) -> None:
        """End the process after the deadline of the exit work; called in a separate thread."""
        self._publisher.synchronise()
        self._publisher.send("stream", msgspec.json.encode({"name": "stderr", "text": text}), insist=True)
        flush_files()
        assert self._outcome is not None
        self._report(self._outcome)
        end_now()

    def _end_if_child(self, error: BaseException | None) -> None:
        """End a process that the script has forked, since its end is not the procedure's end."""
        if os.getpid() != self._pid:
            with self._interruptible():
                trace = "" if error is None or self._exit_work.began else format_failure(error)
                end_child(error, trace, self._module())

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Enable interrupts for the duration, with the handler that the script has set or else Python's own."""
        signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            yield
        finally:
            # only short code of the kernel follows; a handler that was set by C code cannot be restored
            self._on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN) or self._on_interrupt

    def _report(self, report: CallReport) -> None:
        # a full disk delays the report of a call's end: a procedure whose end is lost would be active for ever
        self._publisher.say(report, insist=True)
