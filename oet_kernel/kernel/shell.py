"""The interactive shell of a kernel: ipykernel's, except that it does not change a script's environment variables."""

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
        """No-op; `enter_notebook` sets the variables."""

    def enter_notebook(self) -> None:
        """Set the environment variables that cells find in Jupyter."""
        environment: Any = super()
        environment.init_environment()

    def _format_exception_for_storage(self, exception: BaseException, *args: Any, **options: Any) -> dict[str, Any]:
        """Format an exception of a cell for the history, without the traceback of an interrupt.

        IPython takes up to half a second to format one, time that the cells tagged ``finally`` need at a stop.
        """
        if is_interrupt(exception):
            return {"ename": type(exception).__name__, "evalue": str(exception), "traceback": []}
        formatted: dict[str, Any] = super()._format_exception_for_storage(exception, *args, **options)
        return formatted


def is_interrupt(error: BaseException) -> bool:
    """Return whether an exception comes from the interrupt of a cell: KeyboardInterrupt, or a cancelled task."""
    return isinstance(error, KeyboardInterrupt | asyncio.CancelledError)
