"""A notebook as a program of the `Runner`: runs its cells, and publishes each cell's start and outcome."""

import keyword
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from oet_kernel import topics
from oet_kernel.kernel.exit_work import status_of
from oet_kernel.kernel.iopub import Publisher
from oet_kernel.kernel.loader import format_failure
from oet_kernel.kernel.notebooks.cells import Cells, RunEnded
from oet_kernel.models import ProcedureInput
from oet_kernel.scripts.notebook import FINALLY, INIT, INJECTED, MAY_RAISE, Cell, Notebook, cell_name, injection

_R = "if else repeat while function for in next break TRUE FALSE NULL Inf NaN NA NA_integer_ NA_real_ NA_character_"
_KEYWORDS = {"python": frozenset({*keyword.kwlist, "__debug__"}), "r": frozenset({*_R.split(), "NA_complex_"})}
"""Keywords, which cannot be names of variables, by language; a shell has none."""


class NotebookProgram:
    """A notebook that is run as a procedure.

    Parameters
    ----------
    path
        Path of the notebook.
    notebook
        The notebook that was read.
    defined
        Functions of a procedure that the cells define: these are called, and the cells run at loading. Empty for a
        notebook that is run cell by cell.
    cells
        Executor of the cells.
    publisher, publish
        Publishes output; publishes an event of the kernel.
    checkpoint
        Called before each cell of ``init`` and ``main``; waits there while a pause is requested.
    """

    def __init__(
        self,
        path: Path,
        notebook: Notebook,
        defined: Collection[str],
        cells: Cells,
        publisher: Publisher,
        publish: Callable[[str, Mapping[str, Any]], None],
        checkpoint: Callable[[str], None],
    ) -> None:
        self._path = path
        self._notebook = notebook
        self._defined = defined
        self._cells = cells
        self._publisher = publisher
        self._publish = publish
        self._checkpoint = checkpoint
        self._held: dict[str, Any] = {}
        """Arguments of ``init`` that are kept for ``main``, where ``init`` has no cells."""
        self.open = False
        """Whether the ``finally`` cells are still to be run."""

    @property
    def has_init(self) -> bool:
        """Whether ``init`` has something to do."""
        return "init" in self._defined if self._defined else bool(self._notebook.tagged(INIT))

    @property
    def unpausable(self) -> str:
        """Reason why the notebook reaches no checkpoint (its functions run in another kernel); empty where it may."""
        if not self._defined or self._cells.name is None:
            return ""
        return f"its functions run in the kernel {self._cells.name}, which has no checkpoints"

    def load(self) -> None:
        """Run the cells that define the functions."""
        if self._defined:
            with self._closing_on_failure():
                for cell in self._notebook.cells:
                    if FINALLY not in cell.tags:
                        self._run(cell)

    def init(self, arguments: ProcedureInput) -> None:
        """Call ``init``, or run the cells tagged ``init``, with the arguments."""
        with self._closing_on_failure():
            if self._defined:
                self._cells.call("init", arguments)
                return
            self._open_with(_by_name(arguments, self._notebook.language))
            for cell in self._notebook.tagged(INIT):
                if not self._notebook.opens(cell):
                    self._come_to(cell)

    def main(self, arguments: ProcedureInput) -> Any:
        """Call ``main``, or run the other cells, with the arguments; those of ``init`` stay in effect."""
        returned = None
        with self._closing_on_failure():
            if self._defined:
                returned = self._cells.call("main", arguments)
            else:
                values = {**self._held, **_by_name(arguments, self._notebook.language)}
                if self.has_init:
                    self._inject(values)
                else:
                    self._open_with(values)
                for cell in self._notebook.main:
                    self._come_to(cell)
        self.close()
        return returned

    def hold(self, arguments: ProcedureInput) -> None:
        """Keep the arguments of an ``init`` that has nothing to do, for ``main``."""
        if not self._defined:
            self._held = _by_name(arguments, self._notebook.language)

    def close(self) -> None:
        """Run the cells tagged ``finally``, each once per procedure, even where others fail."""
        if not self.open:
            return
        self.open = False
        first: BaseException | None = None
        for cell in self._notebook.tagged(FINALLY):
            try:
                self._run(cell)
            except (Exception, SystemExit) as error:
                if status_of(error):
                    first = first or error
        if first is not None:
            raise first

    def leave(self) -> None:
        """Run the cells tagged ``finally`` if the process ends between ``init`` and ``main``."""
        with suppress(BaseException):  # the failure was published, and has no caller to be raised to
            self.close()

    @contextmanager
    def _closing_on_failure(self) -> Iterator[None]:
        self.open = True
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _open_with(self, values: dict[str, Any]) -> None:
        """Run the cells down to the one with the defaults, and inject the arguments behind it, as papermill does."""
        for cell in self._notebook.opening:
            self._come_to(cell)
        self._inject(values)

    def _inject(self, values: dict[str, Any]) -> None:
        if values:
            defaults = self._notebook.parameters
            cell = injection(0 if defaults is None else defaults.number, self._cells.assignments(values))
            self._run(cell)

    def _come_to(self, cell: Cell) -> None:
        self._checkpoint(f"cell {cell.number}")
        self._run(cell)

    def _run(self, cell: Cell) -> None:
        about = {
            "call": self._publisher.call,
            "id": cell.id,
            "number": cell.number,
            "count": self._notebook.count,
            "tags": list(cell.tags),
        }
        source = cell.source if cell.tags == (INJECTED,) else None
        self._publish(topics.CELL_STARTED, {**about, "source": source})
        name = cell_name(self._path, cell.number) if source is None else f"{self._path.name}, injected parameters"
        try:
            self._cells.run(name, cell.source)
        except BaseException as error:
            expected = MAY_RAISE in cell.tags and not isinstance(error, KeyboardInterrupt | RunEnded)
            self._publisher.synchronise()
            if status_of(error) == 0 and not expected:  # the cell has ended the run successfully
                self._publish(topics.CELL_FINISHED, about)
                raise
            self._publish(topics.CELL_FAILED, {**about, "stacktrace": format_failure(error), "expected": expected})
            if not expected:
                raise
        else:
            self._publisher.synchronise()
            self._publish(topics.CELL_FINISHED, about)


def _by_name(arguments: ProcedureInput, language: str) -> dict[str, Any]:
    if arguments.args:
        raise TypeError(
            f"A notebook that does not define main takes arguments by name only, and was given "
            f"{len(arguments.args)} by position"
        )
    for name in arguments.kwargs:
        if not name.isidentifier():
            raise TypeError(
                f"{name!r} is not a valid argument of a notebook: arguments are variables of its cells; give the name "
                "of a variable"
            )
        if name in _KEYWORDS.get(language, ()):
            raise TypeError(
                f"{name!r} is not a valid argument of a notebook: {name} is a keyword of {language.capitalize()}; "
                "give the argument another name"
            )
    return arguments.kwargs
