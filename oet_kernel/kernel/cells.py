"""Runs the cells of a notebook in this kernel, in the namespace that a console which is attached to it has too."""

import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol

from oet_kernel.kernel.calls import check_function
from oet_kernel.models import ProcedureInput


class Cells(Protocol):
    """Where the cells of a notebook are run: this kernel, or another one."""

    @property
    def name(self) -> str | None:
        """Name of the other kernel's kernelspec; None for this kernel."""

    def run(self, name: str, source: str) -> None:
        """Run a cell.

        Parameters
        ----------
        name
            What stands for a file's name in its tracebacks.
        source
            Its text.

        Raises
        ------
        BaseException
            Whatever it raises; KeyboardInterrupt when there was an interrupt, whatever the cell has made of it.
        """

    def assignments(self, values: dict[str, Any]) -> str:
        """Write arguments in the language of the cells."""

    def call(self, name: str, arguments: ProcedureInput) -> Any:
        """Call a function that the cells have defined, and return what it gives; None from another kernel."""


class OwnCells:
    """Runs Python cells as IPython does, with magics, ``await`` and the display of what a cell's last line gives.

    Parameters
    ----------
    shell
        The kernel's shell.
    await_
        Runs a coroutine in the procedure's own event loop.
    call
        Calls a function of the procedure.
    """

    name = None

    def __init__(
        self,
        shell: Any,
        await_: Callable[[Coroutine[Any, Any, Any]], Any],
        call: Callable[[Callable[..., Any], ProcedureInput], Any],
    ) -> None:
        self._shell = shell
        self._await = await_
        self._call = call
        self._interrupted = False

    def enter(self, path: Path, module: str | None) -> None:
        """Make the namespace that of a notebook's file.

        Parameters
        ----------
        path
            The notebook; its folder comes first on ``sys.path``, and it alone is ``sys.argv``.
        module
            Name by which what the cells define is to be found, as that of a script is; None to leave it at
            ``__main__``.
        """
        self._shell.history_manager.enabled = False  # which is that of a session, not of the user who has one file
        sys.path.insert(0, str(path.resolve().parent))
        sys.argv = [os.path.abspath(path)]
        if module is not None:
            self._shell.user_module.__name__ = module
            sys.modules[module] = self._shell.user_module

    def run(self, name: str, source: str) -> None:
        """Run a cell."""
        self._interrupted = False
        with self._named(name), self._noting_interrupts():
            # in the history, for ``In`` and ``Out``, and since IPython looks there for a semicolon at the end
            result = self._shell.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if error is None and self._interrupted:  # IPython keeps one that comes while a figure is shown to itself
            error = KeyboardInterrupt()
        if error is not None:
            raise error.with_traceback(_below(error.__traceback__, name))

    def assignments(self, values: dict[str, Any]) -> str:
        """Write arguments in Python; papermill's translator writes the same, and takes two seconds to import."""
        return "\n".join(f"{name} = {value!r}" for name, value in values.items())

    def call(self, name: str, arguments: ProcedureInput) -> Any:
        """Call a function that the cells have defined, and return what it gives."""
        return self._call(check_function(name, self._shell.user_ns.get(name), "the notebook"), arguments)

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """Have IPython compile under a name of ours; it puts the text into the cache of lines under it too."""
        compiler, loop_runner = self._shell.compile, self._shell.loop_runner
        usual = compiler.get_code_name
        compiler.get_code_name = lambda raw, transformed, number: name
        self._shell.loop_runner = self._run_coroutine
        try:
            yield
        finally:
            compiler.get_code_name, self._shell.loop_runner = usual, loop_runner

    @contextmanager
    def _noting_interrupts(self) -> Iterator[None]:
        usual = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        self._interrupted = True
        signal.default_int_handler(signum, frame)

    def _run_coroutine(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        # asyncio turns an interrupt into a cancellation only where Python's own handler is in place
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return self._await(coroutine)
        finally:
            signal.signal(signal.SIGINT, self._interrupt)


def _below(frames: TracebackType | None, name: str) -> TracebackType | None:
    """Give a traceback from a cell's own frame on; IPython's stand above it, and alone where the cell did not begin."""
    found = frames
    while found is not None and found.tb_frame.f_code.co_filename != name:
        found = found.tb_next
    return found
