"""Conversion of annotations to JSON Schemas; an annotation that is not understood admits anything. Pure.

A schema here may admit too much, never too little. JSON has one kind of array for lists, tuples and sets, its keys are
always strings, and a value without a JSON form (a date, a path, a member of an enumeration) is represented by a text or
a number: the kernel converts it, by `oet_kernel.kernel.conversion`, which admits the same values.
"""

import ast
from collections.abc import Callable, Sequence
from typing import Any

from oet_kernel.formatting.json_form import json_form
from oet_kernel.scripts.signature import formats
from oet_kernel.scripts.signature.bindings import Names, parse
from oet_kernel.scripts.signature.validation import ANY_TEXT, mismatch

Schema = dict[str, Any]

_DEPTH = 20
"""Deepest nesting of an annotation that is read; deeper parts admit anything."""
_LARGEST = 2**63
"""Bound of integers in messages: they are smaller."""

_PLAIN: dict[str, Schema] = {
    "builtins.bool": {"type": "boolean"},
    "builtins.int": {"type": "integer"},
    "builtins.float": {"type": "number"},
    "builtins.str": {"type": "string"},
    "builtins.list": {"type": "array"},
    "builtins.tuple": {"type": "array"},
    "builtins.set": {"type": "array"},
    "builtins.frozenset": {"type": "array"},
    "builtins.dict": {"type": "object"},
    "typing.List": {"type": "array"},
    "typing.Tuple": {"type": "array"},
    "typing.Set": {"type": "array"},
    "typing.FrozenSet": {"type": "array"},
    "typing.Dict": {"type": "object"},
    **{name: formats.schema(one) for name, one in formats.OF_CLASS.items()},
    "numbers.Number": {"type": "number"},
    "numbers.Real": {"type": "number"},
    "numbers.Integral": {"type": "integer"},
}
for _module in ("typing", "collections.abc"):
    # a string is a sequence of strings, an object an iterable of its keys
    _PLAIN[f"{_module}.Sequence"] = {"type": ["array", "string"]}
    _PLAIN[f"{_module}.Collection"] = _PLAIN[f"{_module}.Iterable"] = {"type": ["array", "string", "object"]}
    _PLAIN[f"{_module}.Mapping"] = _PLAIN[f"{_module}.MutableMapping"] = {"type": "object"}
    _PLAIN[f"{_module}.MutableSequence"] = {"type": "array"}
    _PLAIN[f"{_module}.Set"] = _PLAIN[f"{_module}.MutableSet"] = {"type": "array"}

_ENUMS = frozenset({"enum.Enum", "enum.IntEnum", "enum.StrEnum"})
_MIXINS = frozenset({"builtins.str", "builtins.int"})
_STRANGE = frozenset({"_missing_", "_generate_next_value_", "_ignore_", "__new__", "__init__"})
"""Methods of an enumeration by which its members may have other values than those in its text."""


def schema_of(annotation: ast.expr | None, names: Names) -> Schema:
    """Return the JSON Schema of the values that an annotation admits.

    Parameters
    ----------
    annotation
        Expression in the script; None where there is none.
    names
        Names in the scope of the annotation.

    Returns
    -------
    dict
        Empty for an annotation that is not understood, or admits anything.
    """
    return {} if annotation is None else _Reader(names).read(annotation, _DEPTH)


def nullable(schema: Schema) -> Schema:
    """Return the schema that admits null too."""
    return union([schema, {"type": "null"}])


def union(schemas: Sequence[Schema]) -> Schema:
    """Return the schema of the values that any of several schemas admits."""
    if any(not one for one in schemas):
        return {}
    kept: list[Schema] = []
    for one in schemas:
        if "anyOf" in one and len(one) == 1:
            kept += [other for other in one["anyOf"] if other not in kept]
        elif one not in kept:
            kept.append(one)
    if len(kept) == 1:
        return kept[0]
    null = {"type": "null"}
    if null in kept:
        others = union([one for one in kept if one != null])
        if "enum" in others and "type" not in others:
            values = others["enum"]
            return {**others, "enum": values if None in values else [*values, None]}
        if "type" in others:
            return {**others, "type": _types(others, null)}
    if all(set(one) == {"type"} for one in kept):
        return {"type": _types(*kept)}
    return {"anyOf": kept}


def _types(*schemas: Schema) -> list[str]:
    found: dict[str, None] = {}
    for one in schemas:
        found |= dict.fromkeys([one["type"]] if isinstance(one["type"], str) else one["type"])
    return sorted(found, key=lambda one: one == "null")  # null comes last, however it got in


class _Reader:
    def __init__(self, names: Names) -> None:
        self._names = names

    def read(self, node: ast.expr, depth: int) -> Schema:
        if depth == 0:
            return {}
        match node:
            case ast.Constant(value=None):
                return {"type": "null"}
            case ast.Constant(value=str(text)):
                return self._quoted(text, depth)
            case ast.BinOp(op=ast.BitOr(), left=left, right=right):
                return union([self.read(left, depth - 1), self.read(right, depth - 1)])
            case ast.Subscript(value=value, slice=inner):
                return self._generic(self._names.qualified(value), _elements(inner), depth)
            case ast.Name() | ast.Attribute():
                return self._named(node, depth)
        return {}

    def _quoted(self, text: str, depth: int) -> Schema:
        try:
            statement = parse(f"({text})").body[0]
        except Exception:  # not an annotation that is understood
            return {}
        return self.read(statement.value, depth - 1) if isinstance(statement, ast.Expr) else {}

    def _named(self, node: ast.expr, depth: int) -> Schema:
        qualified = self._names.qualified(node)
        if qualified is not None:
            return dict(_PLAIN.get(qualified, {}))
        if not isinstance(node, ast.Name):
            return {}
        match self._names.definition(node.id):
            case ast.ClassDef() as definition:
                return self._class(definition, depth)
            case ast.Assign(targets=[ast.Name()], value=value) | ast.AnnAssign(value=ast.expr() as value):
                return self.read(value, depth - 1) if not isinstance(value, ast.Constant) else {}
            case ast.stmt() as statement if type(statement).__name__ == "TypeAlias":
                value = statement.value  # type: ignore[attr-defined]  # Python 3.12
                return {} if statement.type_params else self.read(value, depth - 1)  # type: ignore[attr-defined]
        return {}

    def _generic(self, qualified: str | None, given: list[ast.expr], depth: int) -> Schema:
        match qualified, given:
            case "typing.Optional", [one]:
                return nullable(self.read(one, depth - 1))
            case "typing.Union", [_, *_]:
                return union([self.read(one, depth - 1) for one in given])
            case "typing.Annotated", [one, *notes]:
                return self._annotated(self.read(one, depth - 1), notes)
            case "typing.Literal", [_, *_]:
                return self._literal(given)
            case (("typing.Final" | "typing.Required" | "typing.NotRequired"), [one]):
                return self.read(one, depth - 1)
            case (("builtins.tuple" | "typing.Tuple"), [one, ast.Constant(value=value)]) if value is ...:
                return _holding("array", "items", self.read(one, depth - 1))
            case (("builtins.tuple" | "typing.Tuple"), _):
                return self._tuple(given, depth)
            case str(), [*inner] if qualified in _PLAIN:
                return self._container(_PLAIN[qualified], inner, depth)
        return {}

    def _container(self, plain: Schema, inner: list[ast.expr], depth: int) -> Schema:
        match plain["type"], inner:
            case "object", [keys, values]:
                made = _holding("object", "additionalProperties", self.read(values, depth - 1))
                read = self.read(keys, depth - 1)
                return {**made, "x-keys": read} if read not in ({}, {"type": "string"}) else made
            case "array", [one]:
                return _holding("array", "items", self.read(one, depth - 1))
            case ["array", *_], [one]:
                items = self.read(one, depth - 1)
                # a string is admitted only where its items, strings too, are
                strings = mismatch(items, ANY_TEXT, "") is None
                return _holding(plain["type"] if strings else "array", "items", items)
        return {key: value for key, value in plain.items() if key in ("type", "format")}

    def _tuple(self, given: list[ast.expr], depth: int) -> Schema:
        if any(isinstance(one, ast.Starred) for one in given):
            return {"type": "array"}
        items = [self.read(one, depth - 1) for one in given]
        schema: Schema = {"type": "array", "minItems": len(items), "maxItems": len(items)}
        return {**schema, "prefixItems": items} if items else schema

    def _annotated(self, schema: Schema, notes: list[ast.expr]) -> Schema:
        """Add the first text among the notes to the schema as its description; other notes are ignored."""
        for note in notes:
            if isinstance(note, ast.Constant) and isinstance(note.value, str):
                return {**schema, "description": readable(note.value)}
        return schema

    def _literal(self, given: list[ast.expr]) -> Schema:
        values: list[Any] = []
        for one in given:
            if isinstance(one, ast.Subscript) and self._names.qualified(one.value) == "typing.Literal":
                inner = self._literal(_elements(one.slice))
                if not inner:
                    return {}
                values += inner["enum"]
                continue
            found, value = json_value(one)
            if not found or isinstance(value, list | dict | float):
                return {}
            values.append(value)
        return {"enum": _distinct(values)}

    def _class(self, definition: ast.ClassDef, depth: int) -> Schema:
        bases = [self._names.qualified(base) for base in definition.bases]
        if definition.decorator_list or definition.keywords or not bases:
            return {}
        if bases == ["typing.TypedDict"]:
            return {"type": "object"}
        if bases[-1] not in _ENUMS or any(base not in _MIXINS for base in bases[:-1]) or len(bases) > 2:
            return {}
        return self._enumeration(definition, str(bases[-1]), mixed=len(bases) == 2)

    def _enumeration(self, definition: ast.ClassDef, base: str, mixed: bool) -> Schema:
        """Return the schema of an enumeration's members, which a script may look up by value or by name."""
        members: dict[str, Any] = {}
        automatic = self._automatic(base, mixed)
        for statement in definition.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if not name.startswith("_"):
                    is_auto = isinstance(value, ast.Call) and self._names.qualified(value.func) == "enum.auto"
                    if is_auto:
                        member = automatic(name, list(members.values()))
                        found = member is not None
                    else:
                        found, member = json_value(value)
                    if not found or member is None:
                        return {}
                    members[name] = next((one for one in members.values() if one == member), member)  # an alias
                case ast.FunctionDef(name=name) if name not in _STRANGE:
                    pass
                case ast.Expr(value=ast.Constant()) | ast.Pass():
                    pass
                case _:
                    return {}
        values = [value for value in members.values() if not isinstance(value, list | dict)]
        if not members or len(values) < len(members):
            return {}
        return {"enum": _distinct([*values, *members]), "x-members": members}

    def _automatic(self, base: str, mixed: bool) -> Callable[[str, list[Any]], Any]:
        """Return a function that computes ``auto()``; it returns None where the value depends on Python's version."""

        def number(_: str, before: list[Any]) -> int | None:
            if any(type(one) is not int for one in before) or before != sorted(before):
                return None
            return before[-1] + 1 if before else 1

        if mixed:
            return lambda name, before: None
        return (lambda name, before: name.lower()) if base == "enum.StrEnum" else number


def json_value(node: ast.expr) -> tuple[bool, Any]:
    """Read a literal that has a JSON form.

    Parameters
    ----------
    node
        An expression.

    Returns
    -------
    bool
        Whether the expression is such a literal.
    Any
        JSON value of the literal, with arrays for tuples.
    """
    try:
        return True, json_form(ast.literal_eval(node), _LARGEST)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False, None


def readable(text: str) -> str:
    """Return a text that UTF-8 can encode: half of a surrogate pair, which Python allows, is replaced."""
    return text.encode("utf-8", "replace").decode()


def _elements(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


def _holding(kind: str | list[str], key: str, inner: Schema) -> Schema:
    return {"type": kind, key: inner} if inner else {"type": kind}


def _distinct(values: list[Any]) -> list[Any]:
    """Remove duplicates; true and 1 are different."""
    return [one for n, one in enumerate(values) if (type(one), one) not in [(type(o), o) for o in values[:n]]]
