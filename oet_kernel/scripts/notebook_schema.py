"""Parameters of a notebook, read from its cells; pure.

A notebook that defines ``main`` has the parameters of its functions. Any other has, by name, the variables that its
cell tagged ``parameters`` assigns, as in papermill: the value is the default, an annotation or a ``# type:`` comment
the type, any other comment behind the assignment the description.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from oet_kernel.scripts.notebook import (
    SUFFIX,
    Cell,
    Notebook,
    NotebookUnreadable,
    functions,
    python_source,
    read_notebook,
)
from oet_kernel.scripts.signature.bindings import ScriptUnreadable, parse
from oet_kernel.scripts.signature.schema import Function, Parameter, Reading, read_script

_LONGEST_TYPE = 200
"""Largest length in characters of a type in a comment; longer ones could be nested too deeply for Python's compiler."""
_ANY = Parameter(name="parameters", kind="var-keyword", required=False, schema={})
_SUBARRAY = Parameter(name="subarray_id", kind="keyword-only", required=False, schema={})
"""Parameter that clients pass to every ``init``; it becomes a variable, used by the notebook or not."""


def read_notebook_schema(data: bytes) -> Reading:
    """Read the parameters of a notebook's ``init`` and ``main``.

    Parameters
    ----------
    data
        Content of the file.

    Raises
    ------
    ScriptUnreadable
        When the file is not a notebook.
    """
    try:
        notebook = read_notebook(data)
    except NotebookUnreadable as error:
        raise ScriptUnreadable(str(error), None) from None
    if functions(notebook):
        return replace(read_script(python_source(notebook.cells)), docstring=notebook.title)
    takes = _takes(notebook)
    return Reading(docstring=notebook.title, init=replace(takes, name="init"), main=takes)


def read_file(path: Path, data: bytes) -> Reading:
    """Read the parameters of a script or a notebook, by the file's suffix.

    Parameters
    ----------
    path
        Path of the file.
    data
        Content of the file.

    Raises
    ------
    ScriptUnreadable
        When the content is not of the type of the suffix.
    """
    return read_notebook_schema(data) if path.suffix == SUFFIX else read_script(data)


def title_of(data: bytes) -> str | None:
    """Return the title of a notebook; None where it has none, or is no notebook."""
    try:
        return read_notebook(data).title
    except NotebookUnreadable:
        return None


def _takes(notebook: Notebook) -> Function:
    nothing_known = Function(name="main", description=None, parameters=(_ANY,))
    cell = notebook.parameters
    if cell is None or not notebook.python:
        return nothing_known  # papermill injects any argument, and reads Python assignments only
    # written as a function, so that `read_script` reads types, defaults and descriptions
    function = f"def main(*, {', '.join(_parameters(cell))}): {_docstring(cell)!r}"
    try:
        main = read_script("\n".join([*_definitions(notebook, cell), function])).main
    except ScriptUnreadable:
        main = None
    if main is None or main.unknown is not None:
        return nothing_known
    named = any(one.name == _SUBARRAY.name for one in main.parameters)
    return main if named else replace(main, parameters=(*main.parameters, _SUBARRAY))


def _definitions(notebook: Notebook, cell: Cell) -> Iterator[str]:
    """Yield the statements that annotations may refer to: imports and classes of the other cells."""
    for one in notebook.cells:
        if one is not cell:
            for statement in _statements(one):
                if isinstance(statement, ast.Import | ast.ImportFrom | ast.ClassDef):
                    yield ast.unparse(statement)


def _parameters(cell: Cell) -> Iterator[str]:
    comments = _comments(cell)
    assigned = {name: (kind, value) for name, kind, value in _assignments(cell)}  # the last one holds
    for name, (annotation, value) in assigned.items():
        kind = annotation or _type_of(comments.get(name, ""))
        yield f"{name}{f': {kind}' if kind else ''} = {value}"


def _type_of(comment: str) -> str | None:
    typed = _typed(comment)
    if typed is None or len(typed[0]) > _LONGEST_TYPE:
        return None
    try:
        compile(typed[0], "<type>", "eval", dont_inherit=True)  # makes no tree: see `oet_kernel.scripts.python_source`
    except SyntaxError:
        return None
    return typed[0]


def _typed(comment: str) -> tuple[str, str] | None:
    """Return the type and the text of ``# type: float  # in MHz``; None for a comment of another kind."""
    told, _, text = comment.removeprefix("#").partition("#")
    word, _, kind = told.partition(":")
    return (kind.strip(), text.strip()) if word.strip() == "type" else None


def _docstring(cell: Cell) -> str:
    lines = ["Parameters", "----------"]
    for name, comment in _comments(cell).items():
        typed = _typed(comment)
        text = typed[1] if typed is not None else comment.lstrip("#").strip()
        lines += [name, f"    {text}"] if text else []
    return "\n".join(lines)


def _assignments(cell: Cell) -> Iterator[tuple[str, str | None, str]]:
    """Yield the names that a cell assigns at its top level, with annotation and value."""
    for statement in _statements(cell):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, None, ast.unparse(value)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
                yield name, ast.unparse(annotation), ast.unparse(value)


def _comments(cell: Cell) -> dict[str, str]:
    """Return the comments behind assignments, by name."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(python_source((cell,))).readline))
    except (tokenize.TokenError, SyntaxError):
        return {}
    by_line = {token.end[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    found = {}
    for statement in _statements(cell):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        if isinstance(target, ast.Name) and (comment := by_line.get(statement.end_lineno or 0)):
            found[target.id] = comment
    return found


def _statements(cell: Cell) -> list[ast.stmt]:
    return parse(python_source((cell,))).body
