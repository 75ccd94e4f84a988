"""A notebook as a procedure: its code cells, and the step of the procedure in which each runs; pure.

In a Python notebook whose cells define a function ``main`` and do not call it, all cells run at loading, and then
``init`` and ``main`` are called like those of a script. In any other notebook, ``init`` runs the cells tagged ``init``
and ``main`` the others, in order, with the arguments injected behind the cell tagged ``parameters``, as papermill does.
"""

import ast
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from oet_kernel.scripts.signature.bindings import ScriptUnreadable, parse

SUFFIX = ".ipynb"
"""File suffix of notebooks."""
PARAMETERS, INJECTED, INIT, FINALLY = "parameters", "injected-parameters", "init", "finally"
"""Tags: defaults of arguments; arguments injected by an earlier run; preparation; cells that run in any case."""
MAY_RAISE, SKIPPED = "raises-exception", "skip-execution"
"""Tags that nbclient knows: a cell that may fail, and one that is not run."""
OWN_KERNELS = ("python3", "oet")
"""Names of kernelspecs that refer to this environment."""


_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Cell ids that nbformat allows."""
_CALL = re.compile(r"\b([^\W\d]\w*)\s*\(")
"""A call in the text of a magic command."""


class NotebookUnreadable(Exception):
    """The file is not a notebook, or one that cannot be run."""


class Cell(Struct, frozen=True, kw_only=True):
    """A code cell."""

    id: str
    number: int
    """Number of the cell among the code cells of the notebook, from 1; 0 for an injected cell in front of all."""
    source: str
    tags: tuple[str, ...] = ()


class Notebook(Struct, frozen=True, kw_only=True):
    """The title, kernel and code cells of a notebook."""

    title: str | None
    """First line of the first Markdown cell with text; None where there is none."""
    kernel: str | None
    """Name of the kernelspec that the notebook was written with; None where it names none."""
    language: str
    """Name of the language, in lower case."""
    cells: tuple[Cell, ...]
    """Code cells to run, in order."""
    count: int
    """Number of all code cells, those that are not run included."""

    @property
    def python(self) -> bool:
        """Whether the cells are Python."""
        return self.language == "python"

    def tagged(self, tag: str) -> tuple[Cell, ...]:
        """Return the cells that have a tag."""
        return tuple(cell for cell in self.cells if tag in cell.tags)

    @property
    def parameters(self) -> Cell | None:
        """First cell with the tag ``parameters``, which holds the defaults of the arguments; None for none."""
        return next(iter(self.tagged(PARAMETERS)), None)

    @property
    def opening(self) -> tuple[Cell, ...]:
        """Cells down to the one with the defaults, which may need imports of those above; empty without defaults."""
        defaults = self.parameters
        if defaults is None:
            return ()
        above = self.cells[: self.cells.index(defaults) + 1]
        return tuple(cell for cell in above if FINALLY not in cell.tags)

    def opens(self, cell: Cell) -> bool:
        """Return whether a cell belongs to `opening`."""
        return any(one is cell for one in self.opening)

    @property
    def main(self) -> tuple[Cell, ...]:
        """Cells that ``main`` runs, after those of `opening`."""
        others = (cell for cell in self.cells if not {INIT, FINALLY} & {*cell.tags})
        return tuple(cell for cell in others if not self.opens(cell))


def read_notebook(data: bytes) -> Notebook:
    """Read a notebook file.

    Parameters
    ----------
    data
        Content of the file.

    Raises
    ------
    NotebookUnreadable
        When the file is not a notebook, or one that cannot be run.
    """
    content = _read(data)
    metadata = content["metadata"]
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    cells = [
        Cell(id=cell["id"], number=number, source=cell["source"], tags=_tags(cell))
        for number, cell in enumerate(code, 1)
    ]
    texts = (cell["source"].strip() for cell in content["cells"] if cell["cell_type"] == "markdown")
    title = next((text.splitlines()[0].lstrip("#").strip() for text in texts if text), None)
    spec, info = (_object(metadata.get(name)) for name in ("kernelspec", "language_info"))
    kernel = spec.get("name")
    return Notebook(
        title=title,
        kernel=kernel if isinstance(kernel, str) and kernel else None,
        language=str(spec.get("language") or info.get("name") or "python").lower(),
        cells=tuple(cell for cell in cells if cell.source.strip() and not {SKIPPED, INJECTED} & {*cell.tags}),
        count=len(cells),
    )


def without_outputs(data: bytes) -> bytes:
    """Return a notebook file in nbformat 4.5, without the outputs of earlier runs.

    Cells have the ids of `read_notebook`. Values without a form in JSON are replaced: NaN and the infinities by None,
    half a surrogate pair by U+FFFD, integers beyond 64 bits by text.
    """
    return msgspec.json.encode(_read(data))


def _read(data: bytes) -> dict[str, Any]:
    """Read a notebook into the form of nbformat 4.5, without outputs."""
    content = _upgraded(_decoded(data))
    if not isinstance(cells := content.get("cells", []), list):
        raise NotebookUnreadable(f"this is no notebook: its cells are {type(cells).__name__} and not a list")
    used: set[str] = set()
    try:
        read = [_cell(number, cell, used) for number, cell in enumerate(cells, 1)]
        metadata = _plain(_object(content.get("metadata")))
    except RecursionError:
        raise NotebookUnreadable("this is no notebook: its metadata are nested too deeply") from None
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": read}


def _decoded(data: bytes) -> dict[str, Any]:
    """Decode JSON as Jupyter does: with NaN, with halves of surrogate pairs, behind a byte order mark."""
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise NotebookUnreadable(
            f"this is no notebook: byte {error.start} is no UTF-8 ({error.reason}); save it in UTF-8, as Jupyter does"
        ) from None
    except (ValueError, RecursionError) as error:
        raise NotebookUnreadable(f"this is no notebook: {error}") from None
    if not isinstance(content, dict) or type(content.get("nbformat")) is not int:
        raise NotebookUnreadable("this is no notebook: it is no JSON object with a number named nbformat")
    return content


def _upgraded(content: dict[str, Any]) -> dict[str, Any]:
    if content["nbformat"] == 4:
        return content
    if content["nbformat"] not in (1, 2, 3):
        raise NotebookUnreadable(
            f"format {content['nbformat']} of the notebook is not supported; save the notebook in format 4"
        )
    from nbformat import convert, from_dict  # takes long to import, and few need it

    try:
        upgraded: dict[str, Any] = convert(from_dict({"metadata": {}, **content}), 4)
    except Exception as error:  # nbformat raises anything for a damaged file
        raise NotebookUnreadable(
            f"the notebook has format {content['nbformat']}, which cannot be converted to 4: {type(error).__name__}: "
            f"{error}; open it in JupyterLab and save it"
        ) from None
    return upgraded


def _cell(number: int, cell: Any, used: set[str]) -> dict[str, Any]:
    """Read a cell; assign a new id where its own is missing, invalid or used before."""
    if not isinstance(cell, dict):
        raise NotebookUnreadable(f"cell {number} is {type(cell).__name__}, not an object")
    source = cell.get("source")
    if isinstance(source, list) and all(isinstance(one, str) for one in source):
        source = "".join(source)
    if not isinstance(source or "", str):
        raise NotebookUnreadable(f"the text of cell {number} is {type(source).__name__}, not text or lines of text")
    kind = cell.get("cell_type")
    if kind not in ("code", "markdown", "raw"):
        raise NotebookUnreadable(f"cell {number} is of the type {kind!r}; the valid types are code, markdown and raw")
    name = cell.get("id")
    if not (isinstance(name, str) and _ID.fullmatch(name)) or name in used:
        name = next(one for one in _names(f"cell-{number}") if one not in used)
    used.add(name)
    read = {
        "id": name,
        "cell_type": kind,
        "metadata": _plain(_object(cell.get("metadata"))),
        "source": _plain(source or ""),
    }
    if kind == "code":
        return {**read, "outputs": [], "execution_count": None}
    attachments = _object(cell.get("attachments"))
    return {**read, "attachments": _plain(attachments)} if attachments else read


def _names(stem: str) -> Iterator[str]:
    yield stem
    yield from (f"{stem}-{n}" for n in itertools.count(2))


def _plain(value: Any) -> Any:
    """Replace values without a form in JSON."""
    match value:
        case str():
            return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case int():
            return value if -(2**63) <= value < 2**63 else str(value)
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {_plain(name): _plain(one) for name, one in value.items()}
        case list():
            return [_plain(one) for one in value]
    return value


def python_source(cells: tuple[Cell, ...]) -> str:
    """Join Python cells to the text of a module; cells with invalid Python are left out.

    Magics and shell commands become calls, by IPython's conversion.
    """
    return "\n\n".join(source for cell in cells if (source := _as_module(cell)) is not None)


def functions(notebook: Notebook) -> dict[str, bool]:
    """Return the procedure's functions that a notebook defines, and whether each is a coroutine function.

    Returns
    -------
    dict
        ``{"main": False}``; empty for a notebook that is run cell by cell: where no ``main`` is defined as a function
        at the top level of a cell, and where a cell calls it.
    """
    if not notebook.python:
        return {}
    defined: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
    bound: dict[str, bool] = {}
    module = parse(python_source(notebook.cells))
    for statement in module.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            defined[statement.name] = statement
        for name in _bound(statement):
            bound[name] = isinstance(statement, ast.AsyncFunctionDef)
    if "main" not in defined or "main" in _called(module, defined):
        return {}
    return {name: bound[name] for name in ("init", "main") if name in bound}


def _called(module: ast.Module, defined: Mapping[str, ast.AST]) -> set[str]:
    """Return the functions that the cells call or pass as arguments, and those that these call in turn."""
    called: set[str] = set()
    pending: list[ast.AST] = [one for one in module.body if one not in defined.values()]
    while pending:
        found = _used(pending.pop()) - called
        called |= found
        pending += [part for name in found & defined.keys() for part in ast.iter_child_nodes(defined[name])]
    return called


def _used(node: ast.AST) -> set[str]:
    """Return the names that a statement calls, passes to a call without rebinding them, or calls by a magic."""
    used: set[str] = set()
    pending = [node]
    while pending:
        one = pending.pop()
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        pending += ast.iter_child_nodes(one)
        if isinstance(one, ast.Call):
            given = [*one.args, *(keyword.value for keyword in one.keywords)]
            used |= {name.id for name in (one.func, *given) if isinstance(name, ast.Name)}
            if isinstance(one.func, ast.Attribute) and one.func.attr in ("run_line_magic", "run_cell_magic"):
                texts = [text.value for text in given if isinstance(text, ast.Constant) and isinstance(text.value, str)]
                used |= {name for text in texts for name in _CALL.findall(text)}
    return used - set(_bound(node)) if isinstance(node, ast.stmt) else used


def injection(number: int, source: str) -> Cell:
    """Create the cell that assigns the arguments.

    Parameters
    ----------
    number
        Number of the cell that it follows; 0 for the front.
    source
        Text of the assignments.
    """
    return Cell(id=INJECTED, number=number, source=source, tags=(INJECTED,))


def cell_name(path: Path, number: int) -> str:
    """Return a cell's name for tracebacks, in place of a file name."""
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


def _tags(cell: dict[str, Any]) -> tuple[str, ...]:
    tags = cell["metadata"].get("tags")
    if isinstance(tags, str):  # not written by Jupyter; nbclient and papermill treat it as the tag
        return (tags,)
    return tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
