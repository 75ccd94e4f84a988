"""Programs of the `Runner`: a loaded script or notebook, with an ``init`` and a ``main``."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol

from oet_kernel.kernel.calls import check_function
from oet_kernel.models import ProcedureInput


class Program(Protocol):
    """A script or a notebook that was loaded."""

    @property
    def has_init(self) -> bool:
        """Whether `init` is to be called."""

    @property
    def unpausable(self) -> str:
        """Reason why the program reaches no checkpoint of this kernel; empty where it may."""

    def init(self, arguments: ProcedureInput) -> None:
        """Call ``init`` with the arguments."""

    def main(self, arguments: ProcedureInput) -> Any:
        """Run ``main`` with the arguments, and return its result."""


class ScriptProgram:
    """A script as a program.

    Parameters
    ----------
    module
        The script's loaded module.
    call
        Calls a function of the module.

    Raises
    ------
    AttributeError, TypeError
        When the module has neither ``init`` nor ``main``, or a ``main`` that is not callable.
    """

    def __init__(self, module: ModuleType, call: Callable[[Callable[..., Any], ProcedureInput], Any]) -> None:
        self.module = module
        self.unpausable = ""
        self._call = call
        if not self.has_init:
            self._function("main")

    @property
    def has_init(self) -> bool:
        """Whether the module has an ``init``."""
        return hasattr(self.module, "init")

    def init(self, arguments: ProcedureInput) -> None:
        """Call ``init``, after which the module must have a ``main``."""
        self._call(self._function("init"), arguments)
        self._function("main")

    def main(self, arguments: ProcedureInput) -> Any:
        """Call ``main``, looked up now since ``init`` may have rebound it."""
        return self._call(self._function("main"), arguments)

    def _function(self, name: str) -> Callable[..., Any]:
        file = str(getattr(self.module, "__file__", None) or "the script")
        if not hasattr(self.module, name):
            raise AttributeError(
                f"{file} has no function {name}(); a procedure needs one, to be run when it is started, or else "
                'statements that do something, as under if __name__ == "__main__":'
            )
        return check_function(name, getattr(self.module, name), file)
