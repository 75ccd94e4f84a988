"""JSON Schemas (draft 2020-12) of the arguments of a script's ``init`` and ``main``, read from its text, without a run.

The schema of a function describes an object of arguments by name. Besides JSON Schema's keywords it has a few that
begin with ``x-``: arguments that may be given by position, the kind of each, its type in the script's text, its unit.
Parameters that are unknown without running the script are open, with the reason in ``x-open``. Pure.
"""

import ast
import re
from collections.abc import Iterable
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from oet_kernel.scripts.signature.annotations import Schema, json_value, nullable, readable, schema_of
from oet_kernel.scripts.signature.bindings import Binding, Names, Scope, bindings, declared_global, parse
from oet_kernel.scripts.signature.docstrings import Told, described
from oet_kernel.scripts.signature.plain import is_plain_module
from oet_kernel.scripts.signature.validation import mismatch

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Kind = Literal["positional-only", "positional-or-keyword", "var-positional", "keyword-only", "var-keyword"]

_LONGEST = 200
"""Characters of a default that is an expression, and of an annotation, that are shown."""
_UNIT = re.compile(r"\[([^\[\]\n]{1,20})\]|\((n?s|ms|us|µs|min|h|[kMG]?Hz|deg|arcmin|arcsec|rad|[kmc]?m|m?Jy|K|dB)\)")
"""A unit in a description: anything in brackets, or a common one in parentheses."""
_PARTIAL = "functools.partial"


class Parameter(Struct, frozen=True, kw_only=True):
    """One parameter of a function."""

    name: str
    kind: Kind
    required: bool
    """Whether a call without the argument fails."""
    schema: Schema
    """Schema of the argument, with default and description; for ``*args`` and ``**kwargs``, of each argument."""
    annotated: bool = False
    """Whether the parameter has an annotation, understood or not."""

    @property
    def by_position(self) -> bool:
        """Whether the argument may be given by position."""
        return self.kind in ("positional-only", "positional-or-keyword")

    @property
    def by_name(self) -> bool:
        """Whether the argument may be given by name."""
        return self.kind in ("positional-or-keyword", "keyword-only")


class Function(Struct, frozen=True, kw_only=True):
    """The ``init`` or ``main`` of a script."""

    name: str
    description: str | None
    """The docstring, without its sections."""
    parameters: tuple[Parameter, ...] = ()
    unknown: str | None = None
    """Reason why the parameters are not known; None where they are."""
    command_line: bool = False
    """Whether the arguments become the words of a command line, as for a plain file."""

    def of_kind(self, kind: Kind) -> Parameter | None:
        """Return the parameter of a kind that occurs once at most; None where there is none."""
        return next((one for one in self.parameters if one.kind == kind), None)

    @property
    def schema(self) -> Schema:
        """JSON Schema of the function's arguments by name."""
        schema: Schema = {"$schema": DIALECT, "title": self.name}
        if self.description:
            schema["description"] = self.description
        schema["type"] = "object"
        if self.unknown is not None:
            return {**schema, "additionalProperties": True, "x-open": self.unknown}
        schema["properties"] = {one.name: _property(one) for one in self.parameters if one.kind != "var-keyword"}
        if required := [one.name for one in self.parameters if one.required]:
            schema["required"] = required
        others = self.of_kind("var-keyword")
        schema["additionalProperties"] = False if others is None else (others.schema or True)
        schema["x-positional"] = [one.name for one in self.parameters if one.by_position]
        return {**schema, "x-command-line": True} if self.command_line else schema


class Reading(Struct, frozen=True, kw_only=True):
    """Docstring and functions of a script."""

    docstring: str | None = None
    init: Function | None = None
    """The script's ``init``; None where there is none, and arguments for it are ignored."""
    main: Function | None = None
    """The script's ``main``, as after the call of ``init``; None where there is none."""


def read_script(source: bytes | str) -> Reading:
    """Read a script's functions from its text.

    Parameters
    ----------
    source
        The text; bytes are decoded as Python does.

    Returns
    -------
    Reading
        The functions, as far as they are certain.

    Raises
    ------
    ScriptUnreadable
        When the text is not Python.
    """
    module = parse(source)
    if is_plain_module(module):
        return Reading(docstring=_docstring(module), init=_PLAIN_INIT, main=_PLAIN_MAIN)
    names = Names(module)
    reader = _Reader(names)
    main = reader.rebound_main() or reader.function("main")
    return Reading(docstring=_docstring(module), init=reader.function("init"), main=main)


_PLAIN_INIT = Function(
    name="init",
    description="Does nothing: the file runs as a whole at the start, with the arguments of the start.",
    parameters=(Parameter(name="subarray_id", kind="keyword-only", required=False, schema={}),),
    command_line=True,
)
_PLAIN_MAIN = Function(
    name="main",
    description=(
        "Runs the file as __main__. Positional arguments are the words of its command line (sys.argv); named arguments "
        "follow them as --name value."
    ),
    parameters=(
        Parameter(name="argv", kind="var-positional", required=False, schema={}),
        Parameter(name="options", kind="var-keyword", required=False, schema={}),
    ),
    command_line=True,
)


class _Reader:
    def __init__(self, names: Names) -> None:
        self._names = names

    def function(self, name: str) -> Function | None:
        """Read a function of the module; None where there is none."""
        if self._names.dynamic:
            return _open(name, f"the script binds names at run time; the arguments of {name} are known only then")
        binders = self._names.globals_of.get(name, [])
        init = self._names.last("init")
        if any(name == "init" or init is None or one is not init.statement for one in binders):
            return _open(name, f"{name} is bound inside a function; its arguments are known only at run time")
        found = self._names.of(name)
        if not found:
            hidden = self._names.of("__getattr__")
            return _open(name, f"{name} may come from the module's __getattr__") if hidden else None
        last = found[-1] if found[-1].direct or len(found) == 1 else None
        if last is None:
            return _open(name, f"{name} is bound in several places; its arguments are known only at run time")
        return self._from_binding(name, last, self._names)

    def rebound_main(self) -> Function | None:
        """Read the ``main`` that ``init`` binds; None where it does not rebind ``main``."""
        last = self._names.last("init")
        binders = self._names.globals_of.get("main", [])
        if self._names.dynamic or not binders or last is None or binders != [last.statement]:
            return None
        init = last.statement
        assert isinstance(init, ast.FunctionDef | ast.AsyncFunctionDef)
        local = bindings(init)
        bound = local.get("main", [])
        if not bound:
            return None
        unknown = _open("main", "init rebinds main; its arguments are known only at run time")
        if len(bound) > 1 or not bound[0].direct or init.decorator_list or _may_leave(init, bound[0].statement):
            return unknown
        hidden = (set(local) | {one.arg for one in _arguments(init)}) - declared_global(init)
        found = self._from_binding("main", bound[0], self._names.within(frozenset(hidden))) or unknown
        if found.unknown is not None:
            return unknown
        return found

    def _from_binding(self, name: str, binding: Binding, names: Names) -> Function:
        if binding.qualified is not None:
            return _open(name, f"{name} is imported ({binding.qualified}); its arguments are known only at run time")
        match binding.statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() as definition:
                return self._from_definition(name, definition, names)
            case ast.Assign(targets=[ast.Name()], value=value) | ast.AnnAssign(value=ast.expr() as value):
                return self._from_value(name, value, names)
        return _open(name, f"{name} is not a plain function; its arguments are known only at run time")

    def _from_value(self, name: str, value: ast.expr, names: Names) -> Function:
        unknown = _open(name, f"{name} is the value of an expression; its arguments are known only at run time")
        match value:
            case ast.Lambda():
                return Function(name=name, description=None, parameters=self._parameters(value, {}, names))
            case ast.Name(id=other):
                return self._named(name, other, names) or unknown
            case ast.Call(func=called, args=[ast.Name(id=other), *bound], keywords=keywords):
                function = self._named(name, other, names)
                if names.qualified(called) != _PARTIAL or function is None or function.unknown is not None:
                    return unknown
                if any(isinstance(one, ast.Starred) for one in bound) or any(one.arg is None for one in keywords):
                    return unknown
                return _bound(function, len(bound), {str(one.arg): one.value for one in keywords}) or unknown
        return unknown

    def _named(self, name: str, other: str, names: Names) -> Function | None:
        definition = names.definition(other)
        if not isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
            return None
        return self._from_definition(name, definition, self._names)

    def _from_definition(self, name: str, node: ast.FunctionDef | ast.AsyncFunctionDef, names: Names) -> Function:
        description, told = described(_docstring(node), {one.arg for one in _arguments(node)})
        if node.decorator_list:
            decorator = readable(ast.unparse(node.decorator_list[0])[:_LONGEST])
            why = f"{name} is decorated with {decorator}; its arguments are known only at run time"
            return Function(name=name, description=description, unknown=why)
        names = names.within(frozenset(one.name for one in getattr(node, "type_params", ())))
        return Function(name=name, description=description, parameters=self._parameters(node, told, names))

    def _parameters(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, told: Told, names: Names
    ) -> tuple[Parameter, ...]:
        given = node.args
        positional = [*given.posonlyargs, *given.args]
        defaults: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults))
        defaults += given.defaults
        found = []
        for n, (one, default) in enumerate(zip(positional, defaults, strict=True)):
            kind: Kind = "positional-only" if n < len(given.posonlyargs) else "positional-or-keyword"
            found.append(self._parameter(one, kind, default, told, names))
        if given.vararg:
            found.append(self._parameter(given.vararg, "var-positional", None, told, names))
        for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
            found.append(self._parameter(one, "keyword-only", default, told, names))
        if given.kwarg:
            found.append(self._parameter(given.kwarg, "var-keyword", None, told, names))
        return tuple(found)

    def _parameter(
        self,
        node: ast.arg,
        kind: Kind,
        default: ast.expr | None,
        told: Told,
        names: Names,
    ) -> Parameter:
        schema = schema_of(node.annotation, names)
        type_text, description = told.get(node.arg, (None, None))
        if node.annotation is not None:
            type_text = _unparsed(node.annotation)
        if default is not None:
            schema = self._with_default(schema, default, names)
        if description:
            schema = {**schema, "description": description}
        if type_text:
            schema = {**schema, "x-type": type_text}
        unit = _UNIT.search(f"{type_text or ''}\n{description or ''}" if node.annotation is None else description or "")
        if unit:
            schema = {**schema, "x-unit": unit[1] or unit[2]}
        variadic = kind in ("var-positional", "var-keyword")
        return Parameter(
            name=node.arg,
            kind=kind,
            required=default is None and not variadic,
            schema=schema,
            annotated=node.annotation is not None,
        )

    def _with_default(self, schema: Schema, default: ast.expr, names: Names) -> Schema:
        found, value = json_value(default)
        if not found and isinstance(default, ast.Name):
            found, value = self._constant(default.id, names)
        if not found:
            return {**schema, "x-default": _unparsed(default)}
        if mismatch(schema, value, "") is not None:
            # a default that does not fit the annotation shows that more types are meant
            schema = nullable(schema) if value is None else {}
        return {**schema, "default": value}

    def _constant(self, name: str, names: Names) -> tuple[bool, Any]:
        match names.definition(name):
            case ast.Assign(targets=[ast.Name()], value=value) | ast.AnnAssign(value=ast.expr() as value):
                found, constant = json_value(value)
                return (found, constant) if not isinstance(constant, list | dict) else (False, None)
        return False, None


def _bound(function: Function, count: int, keywords: dict[str, ast.expr]) -> Function | None:
    """Remove the parameters that ``functools.partial`` has bound; None where every call would fail."""
    positional = [one for one in function.parameters if one.by_position]
    if count > len(positional) and function.of_kind("var-positional") is None:
        return None
    left = [one for one in function.parameters if one not in positional[:count]]
    kept: list[Parameter] = []
    by_name_only = False
    for one in left:
        by_name_only = by_name_only or (one.name in keywords and one.by_position and one.by_name)
        if one.name in keywords and one.by_name:
            schema = {key: value for key, value in one.schema.items() if key not in ("default", "x-default")}
            found, value = json_value(keywords[one.name])
            default = {"default": value} if found else {"x-default": _unparsed(keywords[one.name])}
            one = replace(one, schema={**schema, **default}, required=False)
        if by_name_only and one.kind == "var-positional":
            continue  # further positional arguments would collide with a bound one
        if by_name_only and one.by_position:
            one = replace(one, kind="keyword-only")
        kept.append(one)
    return replace(function, parameters=tuple(kept))


def _open(name: str, why: str) -> Function:
    return Function(name=name, description=None, unknown=why)


def _property(parameter: Parameter) -> Schema:
    schema = {**parameter.schema, "x-kind": parameter.kind}
    if parameter.kind != "var-positional":
        return schema
    told: Schema = {key: schema.pop(key) for key in ("description", "x-type", "x-unit", "x-kind") if key in schema}
    return {"type": "array", **({"items": schema} if schema else {}), **told}


def _docstring(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    text = ast.get_docstring(node)
    return readable(text) if text else None


def _unparsed(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return readable(node.value)[:_LONGEST]
    return readable(ast.unparse(node))[:_LONGEST]


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterable[ast.arg]:
    given = function.args
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]


def _may_leave(function: ast.FunctionDef | ast.AsyncFunctionDef, statement: ast.AST) -> bool:
    """Return whether a call may end without an error before it reaches a statement of the function's body."""
    before = function.body[: next(n for n, one in enumerate(function.body) if one is statement)]
    leaving = (ast.Return, ast.Yield, ast.YieldFrom)
    return any(isinstance(node, leaving) for one in before for node in ast.walk(one)) or _is_generator(function)


def _is_generator(function: Scope) -> bool:
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(function))
