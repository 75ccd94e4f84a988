"""What a procedure is to the `Runner`: something that was loaded, and has an ``init`` and a ``main``."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol

from oet_kernel.models import ProcedureInput


class Program(Protocol):
    """A script or a notebook that was loaded."""

    @property
    def has_init(self) -> bool:
        """Whether `init` is to be called."""

    @property
    def unpausable(self) -> str:
        """Why it comes to no checkpoint that this kernel knows of; empty where it may."""

    def init(self, arguments: ProcedureInput) -> None:
        """Prepare."""

    def main(self, arguments: ProcedureInput) -> None:
        """Do what the procedure is for."""


class ScriptProgram:
    """A script's module.

    Parameters
    ----------
    module
        As it was loaded.
    call
        Calls a function of it.

    Raises
    ------
    AttributeError
        When it has neither ``init`` nor ``main``.
    """

    def __init__(self, module: ModuleType, call: Callable[[Callable[..., Any], ProcedureInput], None]) -> None:
        self.module = module
        self.unpausable = ""
        self._call = call
        if not self.has_init:
            self._function("main")

    @property
    def has_init(self) -> bool:
        """Whether it has an ``init``."""
        return hasattr(self.module, "init")

    def init(self, arguments: ProcedureInput) -> None:
        """Call ``init``; there must be a ``main`` afterwards."""
        self._call(self.module.init, arguments)
        self._function("main")

    def main(self, arguments: ProcedureInput) -> None:
        """Call ``main``, looked up now since ``init`` may have bound it anew."""
        self._call(self._function("main"), arguments)

    def _function(self, name: str) -> Callable[..., Any]:
        function = getattr(self.module, name, None)
        if not callable(function):
            file = getattr(self.module, "__file__", "the script")
            raise AttributeError(
                f"{file} has no function {name}(); a procedure needs one, to be run when it is started"
            )
        return function  # type: ignore[no-any-return]
