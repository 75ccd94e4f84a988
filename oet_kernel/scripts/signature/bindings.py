"""Bindings of a script's names, as far as they are certain from its text; nothing is run. Pure.

A binding is certain where only one statement can have made it: a name that is bound in two places, by a star import or
from inside a function could be anything by the time it is used, and uncertain names are left open.
"""

import ast
import builtins
import copy
from collections.abc import Iterator

from msgspec import Struct

from oet_kernel.scripts.python_source import parse_python

_DYNAMIC = frozenset({"exec", "globals", "locals", "vars"})
"""Builtin functions that can bind names in ways that this module does not detect."""

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef


class ScriptUnreadable(Exception):
    """The text is not Python.

    Parameters
    ----------
    why
        Message of the compiler.
    line
        Line number of the error; None when it is not known.
    """

    def __init__(self, why: str, line: int | None) -> None:
        super().__init__(why)
        self.why = why
        self.line = line


class Binding(Struct, frozen=True):
    """A statement that binds a name."""

    statement: ast.AST
    """The innermost statement: a definition, an import, an assignment, ..."""
    direct: bool
    """Whether the statement is in its scope's own body, outside of conditions, loops and ``try``."""
    qualified: str | None = None
    """Qualified name of an imported object, ``typing.Optional``; None for other statements."""


def parse(source: bytes | str) -> ast.Module:
    """Parse a script.

    Parameters
    ----------
    source
        Text of the script.

    Raises
    ------
    ScriptUnreadable
        When the text is not Python.
    """
    try:
        return parse_python(source)
    except SyntaxError as error:
        raise ScriptUnreadable(f"{type(error).__name__}: {error.msg}", error.lineno) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ScriptUnreadable(f"{type(error).__name__}: {error}", None) from None


class Names:
    """The names of a module.

    Parameters
    ----------
    module
        Syntax tree of the script.
    """

    def __init__(self, module: ast.Module) -> None:
        self._hidden: frozenset[str] = frozenset()
        self._bindings = bindings(module)
        self._stars = self._bindings.get("*", [])
        self.globals_of: dict[str, list[ast.AST]] = {}
        """Functions and classes that declare a name ``global``, and so may bind it, by name."""
        self.dynamic = False
        """Whether the script can bind names in ways that this module does not detect."""
        self._look_inside(module)

    def within(self, hidden: frozenset[str]) -> "Names":
        """Return a copy for the inside of a function, whose local names hide those of the module."""
        inner = copy.copy(self)
        inner._hidden = self._hidden | hidden
        return inner

    def of(self, name: str) -> list[Binding]:
        """Return the statements of the module that may bind a name, in order."""
        found = self._bindings.get(name, [])
        return sorted([*found, *self._stars], key=lambda one: _position(one.statement))

    def last(self, name: str) -> Binding | None:
        """Return the statement that binds a name last when the script is loaded; None where that is uncertain."""
        found = self.of(name)
        if not found or not self._fixed(name):
            return None
        return found[-1] if found[-1].direct or self._only(name) else None

    def qualified(self, node: ast.expr) -> str | None:
        """Return the qualified name of an expression: ``builtins.int``, ``typing.Optional``; None if uncertain."""
        match node:
            case ast.Attribute(value=value, attr=attr):
                owner = self.qualified(value)
                return f"{owner}.{attr}" if owner else None
            case ast.Name(id=name) if not self.of(name):
                return f"builtins.{name}" if hasattr(builtins, name) and self._fixed(name) else None
            case ast.Name(id=name):
                only = self._only(name)
                return only.qualified if only else None
        return None

    def definition(self, name: str) -> ast.AST | None:
        """Return the only statement of this script that binds a name; None for imported and uncertain names."""
        only = self._only(name)
        return only.statement if only and only.qualified is None else None

    def _fixed(self, name: str) -> bool:
        return not (self.dynamic or name in self._hidden or name in self.globals_of)

    def _only(self, name: str) -> Binding | None:
        """Return the only binding of a name in the script, None for several; the same import twice counts as one."""
        found = self.of(name)
        if not found or not self._fixed(name):
            return None
        imports = {one.qualified for one in found}
        return found[-1] if len(found) == 1 or (len(imports) == 1 and None not in imports) else None

    def _look_inside(self, module: ast.Module) -> None:
        scopes: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = []
        for node in ast.walk(module):
            match node:
                case ast.Global(names=names):
                    self.globals_of |= {name: [] for name in names}
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    scopes.append(node)
                case ast.Name(id=name) if name in _DYNAMIC:
                    self.dynamic = True
                case ast.Attribute(attr="modules" | "__dict__" | "__globals__"):
                    self.dynamic = True
        for scope in scopes if self.globals_of else ():
            for name in declared_global(scope):
                self.globals_of[name].append(scope)


def declared_global(function: Scope) -> set[str]:
    """Return the names that a function declares ``global``, without those in nested functions."""
    return {name for node in own(function) if isinstance(node, ast.Global) for name in node.names}


def bindings(scope: Scope) -> dict[str, list[Binding]]:
    """Return the statements that bind names in a scope, without those in nested functions and classes.

    Parameters
    ----------
    scope
        A module or a function, whose parameters are not included.

    Returns
    -------
    dict
        Bindings by name, in order; star imports are under ``*``.
    """
    found: dict[str, list[Binding]] = {}
    body = scope.body if isinstance(scope.body, list) else []
    for statement in body:
        for node in [statement, *([] if isinstance(statement, _SCOPES) else own(statement))]:
            for name, qualified in _bound_by(node):
                # the target of an assignment binds the name; its whole statement has the value
                whole = node if qualified or not isinstance(node, ast.Name) else statement
                found.setdefault(name, []).append(Binding(whole, _is_direct(statement, node), qualified))
    return found


def _is_direct(statement: ast.AST, node: ast.AST) -> bool:
    simple = ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Delete | getattr(ast, "TypeAlias", ast.Assign)
    return node is statement or isinstance(statement, simple)


def own(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a scope, or of a statement, without those inside nested functions and classes."""
    pending: list[ast.AST] = list(ast.iter_child_nodes(scope))
    if isinstance(scope, _SCOPES):
        pending = [*scope.body] if isinstance(scope.body, list) else [scope.body]
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, _SCOPES):
            pending.extend(ast.iter_child_nodes(node))


def _bound_by(node: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Yield the names that a node itself binds, with the qualified name for an import."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name, None
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name, None
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name, None
        case ast.MatchMapping(rest=str(name)):
            yield name, None
        case ast.Import(names=names):
            for one in names:
                yield (one.asname, one.name) if one.asname else (one.name.partition(".")[0],) * 2
        case ast.ImportFrom(module=module, names=names, level=level):
            origin = "." * level + (module or "")
            origin = "typing" if origin == "typing_extensions" else origin
            for one in names:
                yield one.asname or one.name, None if one.name == "*" else f"{origin}.{one.name}"


def _position(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)
