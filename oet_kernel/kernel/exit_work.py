"""Exit work of a script: the steps of Python's finalisation, done while the kernel still runs and can report them.

In the order of `Py_FinalizeEx`: threads that are not daemons end, executors with them; handlers of ``atexit`` are
called; open files are flushed; the names of the script's module are dropped, so that finalisers run and files that
only the module referred to are closed. A forked child of the script does the same, and ends with the exit status that
a separate process would have had.
"""

import _thread
import atexit
import ctypes
import gc
import io
import os
import sys
import threading
import traceback
from collections.abc import Callable, Collection
from contextlib import suppress
from types import ModuleType
from typing import Any, NoReturn

_exit = os._exit  # bound here: a script may bind it anew


class ExitWork:
    """The exit work of one script, done once.

    Parameters
    ----------
    seconds
        Deadline; 0 for none.
    cut
        Called in a separate thread when the deadline passes, with a text that describes the remaining work; ends the
        process.
    """

    def __init__(self, seconds: float, cut: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._cut = cut
        self._began = False

    @property
    def began(self) -> bool:
        """True once the exit work was begun."""
        return self._began

    def do(self, module: ModuleType | None) -> None:
        """Wait for threads, call exit handlers, flush files; no-op the second time.

        Exceptions are printed on standard error, as Python does; an interrupt ends the step that it arrives in.

        Parameters
        ----------
        module
            The script, whose names are dropped; None to keep them for inspection.
        """
        if self._began:
            return
        self._began = True
        over = threading.Event()
        if self._seconds > 0:
            with suppress(RuntimeError):  # no thread can be started; a stop still ends the process
                _thread.start_new_thread(self._watch, (over,))  # Thread.start would wait for the thread to run
        try:
            finish(module)
        finally:
            over.set()

    def _watch(self, over: threading.Event) -> None:
        if not over.wait(self._seconds):
            self._cut(
                f"The script's main is over, and what it has left at work was cut off after {self._seconds:g} s "
                f"(OetApp.exit_seconds):\n{_at_work()}"
            )


def finish(module: ModuleType | None) -> None:
    """Run the steps of Python's finalisation that concern the script.

    Parameters
    ----------
    module
        Module whose names are dropped; None for none.
    """
    # flushed before the collection, which may free a file's buffer before the file and lose unwritten text
    parts: list[Callable[[], object]] = [
        threading._shutdown,  # type: ignore[attr-defined]
        atexit._run_exitfuncs,
        flush_files,
    ]
    if module is not None:
        parts += [lambda: _clear(module), gc.collect]
    parts.append(_flush_c)
    for part in parts:
        try:
            part()
        except BaseException:
            with suppress(BaseException):
                traceback.print_exc()


def _flush_c() -> None:
    """Flush the buffers of the C library, since a forked kernel ends without its exit handlers."""
    ctypes.CDLL(None).fflush(None)


def flush_files() -> None:
    """Flush all files that are open for writing."""
    for one in gc.get_objects():
        # isinstance would read __class__ of the script's objects, and may run their code
        if issubclass(type(one), (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)):
            with suppress(BaseException):
                one.flush()


def status_of(error: BaseException | None) -> int:
    """Return the exit status of a process that ends with an exception.

    Parameters
    ----------
    error
        Exception at the end; None for an end without one.
    """
    if error is None:
        return 0
    if not isinstance(error, SystemExit):
        return 1
    code = error.code
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1


def end_now() -> NoReturn:
    """End the process at once, with exit status 0."""
    _exit(0)


def drop_modules(before: Collection[str]) -> None:
    """Drop the names of all modules that were imported since, as at the end of a process, which must follow.

    Parameters
    ----------
    before
        Names of the modules that keep their names.
    """
    for name, module in reversed(list(sys.modules.items())):
        if name not in before and type(module) is ModuleType and not name.startswith("oet_kernel"):
            _clear(module)
    gc.collect()
    flush_files()


def end_child(error: BaseException | None, trace: str, module: ModuleType | None) -> NoReturn:
    """End a forked child of the script, once the function has ended in it in which the script forked.

    Parameters
    ----------
    error
        Exception of the function; None for none.
    trace
        Traceback of the exception; empty where it was printed already.
    module
        The script.
    """
    status = status_of(error)
    try:
        if isinstance(error, SystemExit) and status and not isinstance(error.code, int):
            print(error.code, file=sys.stderr)  # noqa: T201 - as Python does
        elif status and trace:
            sys.stderr.write(trace)
        finish(module)
        for stream in (sys.stdout, sys.stderr):
            with suppress(BaseException):
                stream.flush()
    finally:
        _exit(status)


def _clear(module: ModuleType) -> None:
    """Drop the names of a module in Python's own order: names with one leading underscore first."""
    names: dict[str, Any] = vars(module)
    first = [name for name in names if name.startswith("_") and not name.startswith("__")]
    for name in [*first, *names]:
        if name != "__builtins__":
            names[name] = None


def _at_work() -> str:
    """Return the stacks of the threads that the process waits for, or of its main thread where there are none."""
    frames = sys._current_frames()
    main = threading.main_thread()
    threads = [one for one in threading.enumerate() if not one.daemon and one is not main]
    # the main thread waits for the others, if there are any
    told = threads or [main]
    return "".join(
        f"{one.name}:\n{''.join(traceback.format_stack(frames[one.ident]))}" for one in told if one.ident in frames
    )
