"""Execution of a notebook's cells in this kernel, in the namespace that attached consoles share."""

import asyncio
import builtins
import getpass
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple, NoReturn, Protocol, Self

from oet_kernel.kernel.calls import check_function
from oet_kernel.kernel.shell import is_interrupt
from oet_kernel.models import ProcedureInput

_TURNS = 10
"""Iterations of the event loop before a cell."""
_CELL_FUNCTIONS = frozenset({"run_code", "run_cell_async", "run_ast_nodes", "_run_now"})
"""Functions of IPython and of this module that catch the exception of a cell."""


class RunEnded(SystemExit):
    """A cell has called ``exit`` or ``quit``: the run ends with success, without further cells."""


class Cells(Protocol):
    """Executor of a notebook's cells: this kernel, or another one."""

    @property
    def name(self) -> str | None:
        """Name of the other kernel's kernelspec; None for this kernel."""

    def run(self, name: str, source: str) -> None:
        """Run a cell.

        Parameters
        ----------
        name
            Name in place of a file's name in the cell's tracebacks.
        source
            Text of the cell.

        Raises
        ------
        RunEnded
            When the cell has asked for the end of the run.
        BaseException
            Any exception of the cell; KeyboardInterrupt after an interrupt, even if the cell has caught it.
        """

    def assignments(self, values: dict[str, Any]) -> str:
        """Write arguments in the language of the cells."""

    def call(self, name: str, arguments: ProcedureInput) -> Any:
        """Call a function that the cells have defined, and return its result; None from another kernel.

        Raises
        ------
        RunEnded
            When the function has asked for the end of the run.
        """


class OwnCells:
    """Runs Python cells as the kernel of a notebook in Jupyter does: in an event loop, with magics and displays.

    Parameters
    ----------
    shell
        The kernel's shell.
    await_
        Runs a coroutine in the procedure's own event loop, which runs only during such calls.
    call
        Calls a function of the procedure.
    show
        Sends a message to attached clients only.
    """

    name = None

    def __init__(
        self,
        shell: Any,
        await_: Callable[[Coroutine[Any, Any, Any]], Any],
        call: Callable[[Callable[..., Any], ProcedureInput], Any],
        show: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._shell = shell
        self._await = await_
        self._call = call
        self._show = show
        self._interrupted = False
        self._task: asyncio.Task[Any] | None = None
        """Task that runs the cell; None while no cell runs."""

    def enter(self, path: Path, module: str | None) -> None:
        """Set up the namespace and the process for a notebook's file.

        Parameters
        ----------
        path
            The notebook; its folder comes first on ``sys.path``, and the path alone is ``sys.argv``.
        module
            Module name for the cells' definitions, as that of a script; None to keep ``__main__``.
        """
        self._shell.history_manager.enabled = False  # not into the user's one history file
        builtins.input = getpass.getpass = _refuse_input
        sys.path.insert(0, str(path.resolve().parent))
        sys.argv = [os.path.abspath(path)]
        if module is not None:
            self._shell.user_module.__name__ = module
            sys.modules[module] = self._shell.user_module

    def run(self, name: str, source: str) -> None:
        """Run a cell."""
        self._interrupted = False
        with self._named(name), self._noting_interrupts(), _Tracebacks(self._shell) as shown, self._exits() as exits:
            try:
                result = self._await(self._run(source))
            except asyncio.CancelledError:
                if self._interrupted:  # before or after the cell's own code
                    raise KeyboardInterrupt from None
                raise
        error = result.error_before_exec or result.error_in_exec
        failure = shown.end(error, self._show)
        if self._interrupted and (error is None or isinstance(error, asyncio.CancelledError)):
            # IPython swallows an interrupt while it shows a figure; an interrupt during an await cancels the task
            error = KeyboardInterrupt().with_traceback(None if error is None else error.__traceback__)
        if error is not None:
            raise error.with_traceback(_below(error.__traceback__, name))
        if failure is not None:
            raise failure
        if exits:
            raise RunEnded

    def assignments(self, values: dict[str, Any]) -> str:
        """Write arguments in Python; papermill's translator writes the same, and takes two seconds to import."""
        return "\n".join(f"{name} = {value!r}" for name, value in values.items())

    def call(self, name: str, arguments: ProcedureInput) -> Any:
        """Call a function that the cells have defined, and return its result."""
        function = check_function(name, self._shell.user_ns.get(name), "the notebook")
        with self._exits() as exits:
            returned = self._call(function, arguments)
        if exits:
            raise RunEnded
        return returned

    async def _run(self, source: str) -> Any:
        """Run a cell within the event loop, as ipykernel does; return IPython's result."""
        self._task = asyncio.current_task()
        await _settle()  # callbacks that became due during the previous cell run first
        try:
            return await self._run_now(source)
        finally:
            self._task = None

    async def _run_now(self, source: str) -> Any:
        shell, failure = self._shell, None
        try:
            transformed = shell.transform_cell(source)
        except Exception:
            transformed, failure = source, sys.exc_info()
        about = {"transformed_cell": transformed, "preprocessing_exc_tuple": failure}
        # history is stored for ``In`` and ``Out``, and since IPython looks there for a semicolon at the end
        if not (shell.loop_runner is self._usual_runner and shell.should_run_async(source, **about)):
            return shell.run_cell(source, store_history=True)
        result = None
        try:
            result = await shell.run_cell_async(source, store_history=True, **about)
        finally:
            shell.events.trigger("post_execute")
            shell.events.trigger("post_run_cell", result)
        return result

    @property
    def _usual_runner(self) -> Any:
        from IPython.core.async_helpers import _asyncio_runner

        return _asyncio_runner

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """Set the name under which IPython compiles a cell, and enters its text into the line cache."""
        compiler = self._shell.compile
        usual = compiler.get_code_name
        compiler.get_code_name = lambda raw, transformed, number: name
        try:
            yield
        finally:
            compiler.get_code_name = usual

    @contextmanager
    def _exits(self) -> Iterator[list[bool]]:
        """Yield a list that gets an item when the cell calls ``exit``, since the kernel must report the end first."""
        asked: list[bool] = []

        def ask_exit() -> None:
            if not self._shell.keepkernel_on_exit:
                asked.append(True)

        self._shell.ask_exit = ask_exit
        try:
            yield asked
        finally:
            del self._shell.ask_exit

    @contextmanager
    def _noting_interrupts(self) -> Iterator[None]:
        usual = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt in the cell's code; cancel the cell where it awaits something, as ipykernel does."""
        again, self._interrupted = self._interrupted, True
        task = self._task
        loop = None if task is None else task.get_loop()
        if task is None or loop is None or again or asyncio.current_task(loop) is task:
            signal.default_int_handler(signum, frame)
        task.cancel()
        loop.call_soon_threadsafe(lambda: None)  # wakes the loop


def _refuse_input(*prompt: object, **options: object) -> NoReturn:
    """Raise the error of a Jupyter kernel whose client does not support input requests."""
    from IPython.core.error import StdinNotImplementedError  # imported already where cells run

    raise StdinNotImplementedError("input() is not available in a procedure; pass an argument instead")


async def _settle() -> None:
    """Run the event loop for some iterations, as it runs in Jupyter while a kernel waits for the next cell."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


class _Shown(NamedTuple):
    """A traceback that IPython shows."""

    kind: type[BaseException]
    value: BaseException
    lines: list[str]


class _Tracebacks:
    """Passes on the tracebacks that IPython shows while a cell runs, except the one with which the cell itself fails.

    That traceback is reported with the failure of the cell.

    Parameters
    ----------
    shell
        The kernel's shell.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._ending: _Shown | None = None
        """Traceback of the exception that has ended the cell; None for none."""
        self._of_result: _Shown | None = None
        """Newest traceback from the display of the cell's result; None for none."""

    def __enter__(self) -> Self:
        self._shell.showtraceback, self._shell._showtraceback = self._show, self._take
        return self

    def __exit__(self, *error: object) -> None:
        del self._shell.showtraceback, self._shell._showtraceback

    def end(self, error: BaseException | None, show: Callable[[str, dict[str, Any]], None]) -> BaseException | None:
        """Pass on the retained tracebacks; the one of the cell's failure is shown to attached clients only.

        Parameters
        ----------
        error
            Exception of the cell; None where it has finished.
        show
            Sends a message to attached clients.

        Returns
        -------
        BaseException or None
            Exception from the display of the result, with which the cell fails: ipykernel fails the request then, and
            nbclient the cell. None where the cell itself has raised, and where there was no exception.
        """
        failure = self._of_result if error is None else self._ending
        for one in (self._of_result, self._ending):
            if one is not failure:
                self._pass_on(one)
        if failure is None:
            return None
        show("error", {"ename": failure.kind.__name__, "evalue": str(failure.value), "traceback": failure.lines})
        return failure.value if error is None else None

    def _show(self, exc_tuple: Any = None, *args: Any, **options: Any) -> None:
        error = sys.exc_info()[1] if exc_tuple is None else exc_tuple[1]
        # formatting the traceback of an interrupt would take time that the cells tagged ``finally`` need at a stop
        if error is None or not is_interrupt(error) or not _ends_the_cell(error):
            type(self._shell).showtraceback(self._shell, exc_tuple, *args, **options)

    def _take(self, kind: type[BaseException], value: BaseException, lines: list[str]) -> None:
        shown: _Shown | None = _Shown(kind, value, lines)
        self._shell._last_traceback = lines
        if getattr(self._shell.displayhook, "msg", None) is not None:  # while a result is being shown
            shown, self._of_result = self._of_result, shown
        elif _ends_the_cell(value):
            shown, self._ending = self._ending, shown
        self._pass_on(shown)

    def _pass_on(self, shown: _Shown | None) -> None:
        if shown is not None:
            type(self._shell)._showtraceback(self._shell, *shown)


def _ends_the_cell(error: BaseException) -> bool:
    """Return whether an exception has reached the function in which IPython runs the cell, not a nested cell.

    Exceptions that IPython only shows were caught before.
    """
    frames = error.__traceback__
    if frames is None:  # of text that cannot be compiled
        return True
    frame: FrameType | None = frames.tb_frame
    names = []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names[0] in _CELL_FUNCTIONS and names.count("run_cell_async") <= 1


def _below(frames: TracebackType | None, name: str) -> TracebackType | None:
    """Return a traceback from the cell's own frame on, without IPython's above; None where the cell did not begin."""
    found = frames
    while found is not None and found.tb_frame.f_code.co_filename != name:
        found = found.tb_next
    return found
