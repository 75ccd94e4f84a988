"""The interactive shell of a kernel: ipykernel's, but that it leaves a script's environment variables as they are."""

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
