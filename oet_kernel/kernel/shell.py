"""The interactive shell of a kernel: ipykernel's, but that it leaves a script's environment variables as they are."""

import asyncio
from typing import Any

from ipykernel.zmqshell import ZMQInteractiveShell


class OetShell(ZMQInteractiveShell):
    """An interactive shell whose variables for the programs of a notebook are set when a notebook is run.

    ipykernel sets ``TERM``, ``FORCE_COLOR``, ``PAGER`` and more when it makes its shell. A script, and each program
    that it starts, would write escape sequences where under ``python script.py`` it writes none (Python 3.13 does so
    for the traceback of a thread).
    """

    def init_environment(self) -> None:
        """Do nothing yet."""

    def enter_notebook(self) -> None:
        """Set the variables that cells find in Jupyter."""
        environment: Any = super()
        environment.init_environment()

    def _format_exception_for_storage(self, exception: BaseException, *args: Any, **options: Any) -> dict[str, Any]:
        """Format what a cell has raised for the history, but for the traceback of an interrupt.

        IPython takes up to half a second for that, of the time that a stop leaves the cells tagged ``finally``.
        """
        if is_interrupt(exception):
            return {"ename": type(exception).__name__, "evalue": str(exception), "traceback": []}
        formatted: dict[str, Any] = super()._format_exception_for_storage(exception, *args, **options)
        return formatted


def is_interrupt(error: BaseException) -> bool:
    """Return whether an exception is what an interrupt raises in a cell, or in one that awaits something."""
    return isinstance(error, KeyboardInterrupt | asyncio.CancelledError)
