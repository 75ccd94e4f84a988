"""A plain file as a program of the `Runner`: run as a whole as ``__main__``, like ``python script.py``."""

import builtins
import sys
from types import CodeType, ModuleType
from typing import Any

from oet_kernel.kernel.calls import command_line
from oet_kernel.kernel.loader import ScriptLoader
from oet_kernel.models import ProcedureInput

_FOR_ALL = "subarray_id"
"""Argument that clients pass to every ``init``."""


class PlainProgram:
    """A file without ``main``, which is compiled at loading and run at the start.

    Its module is ``__main__`` from the beginning to the end: for ``pickle``, for processes that ``multiprocessing``
    spawns, and for later inspection.

    Parameters
    ----------
    loader
        Loader that has read the file.
    init
        Arguments for ``init``.

    Raises
    ------
    TypeError
        When there are arguments for ``init`` besides ``subarray_id``.
    SyntaxError
        When the file is not Python.
    """

    has_init = False
    unpausable = ""

    def __init__(self, loader: ScriptLoader, init: ProcedureInput) -> None:
        if init.args or set(init.kwargs) - {_FOR_ALL}:
            raise TypeError(
                f"{loader.path} has no init(): the file runs as a whole at the start; "
                f"give its arguments to the start (oet run {loader.path} -- ARGUMENTS)"
            )
        loader.name = "__main__"
        self._code: CodeType = loader.get_code(loader.name)
        self.module = ModuleType("__main__")
        vars(self.module).update(__file__=loader.path, __loader__=loader, __builtins__=builtins, __cached__=None)
        if sys.version_info < (3, 14):
            vars(self.module)["__annotations__"] = {}
        sys.modules["__main__"] = self.module

    def init(self, arguments: ProcedureInput) -> None:
        """No-op: a plain file has no preparation."""

    def main(self, arguments: ProcedureInput) -> Any:
        """Run the file, with the arguments as its command line."""
        sys.argv[1:] = command_line(arguments)
        exec(self._code, vars(self.module))
