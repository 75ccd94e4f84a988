"""A notebook as a procedure: its code cells, and which of them run when; pure.

In a Python notebook whose cells define ``main``, all cells are run when it is loaded, and then ``init`` and ``main``
are called as those of a script are. In any other, ``init`` runs the cells tagged ``init`` and ``main`` the others, in
order, with the arguments injected behind the cell tagged ``parameters``, as papermill does.
"""

import ast
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from oet_kernel.scripts.names import ScriptUnreadable, parse

SUFFIX = ".ipynb"
"""What names a notebook."""
PARAMETERS, INJECTED, INIT, FINALLY = "parameters", "injected-parameters", "init", "finally"
"""Tags: defaults of arguments; arguments that an earlier run has injected; what prepares; what is run in any case."""
MAY_RAISE, SKIPPED = "raises-exception", "skip-execution"
"""Tags that nbclient knows: a cell that may fail, and one that is not run."""
OWN_KERNELS = ("python3", "oet")
"""Kernelspecs that stand for this environment."""


class NotebookUnreadable(Exception):
    """The file is no notebook that could be run."""


class _Cell(Struct):
    cell_type: str = ""
    source: str | list[str] = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    id: str = ""


class _File(Struct):
    nbformat: int
    cells: list[_Cell] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


class Cell(Struct, frozen=True, kw_only=True):
    """A code cell."""

    id: str
    number: int
    """Its place among the code cells of the notebook, from 1; 0 for one that is none of these."""
    source: str
    tags: tuple[str, ...] = ()


class Notebook(Struct, frozen=True, kw_only=True):
    """A notebook, as far as it is run."""

    title: str | None
    """The first line of its first text."""
    kernel: str | None
    """Name of the kernelspec that it was written with; None where it does not say."""
    language: str
    """Name of its language, in small letters."""
    cells: tuple[Cell, ...]
    """The code cells that are to be run, in order."""
    count: int
    """How many code cells there are, those that are not to be run included."""

    @property
    def python(self) -> bool:
        """Whether its cells are Python."""
        return self.language == "python"

    def tagged(self, tag: str) -> tuple[Cell, ...]:
        """Give the cells that have a tag."""
        return tuple(cell for cell in self.cells if tag in cell.tags)

    @property
    def parameters(self) -> Cell | None:
        """The cell that holds the defaults of the arguments: the first that has the tag."""
        return next(iter(self.tagged(PARAMETERS)), None)

    @property
    def main(self) -> tuple[Cell, ...]:
        """The cells that ``main`` runs."""
        others = (cell for cell in self.cells if not {INIT, FINALLY} & {*cell.tags})
        return tuple(cell for cell in others if cell is not self.parameters)


def read_notebook(data: bytes) -> Notebook:
    """Read a notebook file.

    Parameters
    ----------
    data
        What it holds.

    Raises
    ------
    NotebookUnreadable
        When it is no notebook, or one of a format before 4.
    """
    try:
        file = msgspec.json.decode(data, type=_File)
    except msgspec.MsgspecError as error:
        raise NotebookUnreadable(f"this is no notebook: {error}") from None
    if file.nbformat != 4:
        raise NotebookUnreadable(
            f"the notebook has format {file.nbformat}, and 4 can be run: open it in JupyterLab and save it"
        )
    code = [cell for cell in file.cells if cell.cell_type == "code"]
    cells = [
        Cell(id=cell.id or f"cell-{number}", number=number, source=_text(cell), tags=_tags(cell))
        for number, cell in enumerate(code, 1)
    ]
    texts = (_text(cell).strip() for cell in file.cells if cell.cell_type == "markdown")
    title = next((text.splitlines()[0].lstrip("#").strip() for text in texts if text), None)
    spec, info = (_object(file.metadata, name) for name in ("kernelspec", "language_info"))
    kernel = spec.get("name")
    return Notebook(
        title=title,
        kernel=kernel if isinstance(kernel, str) and kernel else None,
        language=str(spec.get("language") or info.get("name") or "python").lower(),
        cells=tuple(cell for cell in cells if cell.source.strip() and not {SKIPPED, INJECTED} & {*cell.tags}),
        count=len(cells),
    )


def without_outputs(data: bytes) -> bytes:
    """Give a notebook file without what earlier runs have left in it."""
    content = msgspec.json.decode(data)
    for cell in content["cells"]:
        if cell.get("cell_type") == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return msgspec.json.encode(content)


def python_source(cells: tuple[Cell, ...]) -> str:
    """Join Python cells to the text of a module; one that is not Python is left out.

    Magics and shell commands become the calls that IPython makes of them.
    """
    return "\n\n".join(source for cell in cells if (source := _as_module(cell)) is not None)


def functions(notebook: Notebook) -> dict[str, bool]:
    """Name the functions of a procedure that a notebook's own text defines, and which are coroutine functions.

    Returns
    -------
    dict
        ``{"main": False}``; empty when it is to be run cell by cell.
    """
    if not notebook.python:
        return {}
    bound: dict[str, bool] = {}
    for statement in parse(python_source(notebook.cells)).body:
        for name in _bound(statement):
            bound[name] = isinstance(statement, ast.AsyncFunctionDef)
    return {name: bound[name] for name in ("init", "main") if name in bound} if "main" in bound else {}


def injection(number: int, source: str) -> Cell:
    """Make the cell that gives arguments to the others.

    Parameters
    ----------
    number
        Of the cell that it stands behind.
    source
        The assignments.
    """
    return Cell(id=INJECTED, number=number, source=source, tags=(INJECTED,))


def cell_name(path: Path, number: int) -> str:
    """Name a cell where a file's name would stand in a traceback."""
    return f"{path.name}, cell {number}"


def _as_module(cell: Cell) -> str | None:
    from IPython.core.inputtransformer2 import TransformerManager  # takes long to import, and few need it

    try:
        source: str = TransformerManager().transform_cell(cell.source)
        parse(source)
    except (SyntaxError, ScriptUnreadable):
        return None
    return source


def _bound(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            names = (one for target in targets for one in ast.walk(target) if isinstance(one, ast.Name))
            return [one.id for one in names if isinstance(one.ctx, ast.Store)]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return [name]
        case ast.ImportFrom(names=imported):
            return [one.asname or one.name for one in imported]
    return []


def _text(cell: _Cell) -> str:
    return cell.source if isinstance(cell.source, str) else "".join(cell.source)


def _tags(cell: _Cell) -> tuple[str, ...]:
    tags = cell.metadata.get("tags")
    return tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()


def _object(values: dict[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}
