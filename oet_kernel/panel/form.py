"""Model of a form for a function's arguments: fields from a JSON Schema, and their values. Pure functions."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from oet_kernel.formatting.literals import read_value
from oet_kernel.models import ProcedureInput, Typed
from oet_kernel.scripts.signature.typed import choose
from oet_kernel.scripts.signature.validation import mismatch

_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,2})?", re.ASCII)
"""Pattern of a typed number."""
_LARGEST = 2**63
"""Bound of integers; text of larger ones is kept as typed, to be refused or accepted as it is."""


class Kind(Enum):
    """Kind of a field's input."""

    CHOICE = "one of several values"
    FLAG = "true or false"
    INTEGER = "an integer"
    NUMBER = "a number"
    TEXT = "text"
    JSON = "a list or an object"
    ANY = "any value"


class Place(Enum):
    """Way in which an argument is passed to the function."""

    BY_NAME = "by name"
    BY_POSITION = "by position"
    REST = "the further ones by position"
    OTHERS = "the further ones by name"


_OF_TYPE = {
    "integer": Kind.INTEGER,
    "number": Kind.NUMBER,
    "string": Kind.TEXT,
    "array": Kind.JSON,
    "object": Kind.JSON,
}
_PYTHON: dict[str, type | tuple[type, ...]] = {
    "integer": int,
    "number": (int, float),
    "string": str,
    "array": list,
    "object": dict,
    "boolean": bool,
    "null": type(None),
}


class Field(Struct, frozen=True, kw_only=True):
    """Field of one argument."""

    name: str
    kind: Kind
    place: Place = Place.BY_NAME
    by_position: bool = False
    """True if it may be given by position."""
    required: bool = False
    default: Any = UNSET
    """Default of the argument; unset if there is none, or if it is not a JSON value."""
    default_text: str = ""
    """Default as shown text."""
    choices: tuple[tuple[str, Any], ...] = ()
    """Labels and values of a CHOICE; `UNSET` stands for no selection."""
    types: tuple[str, ...] = ()
    """Valid JSON types; empty for any."""
    schema: dict[str, Any] = {}
    """JSON Schema of the argument."""
    unit: str = ""
    description: str = ""

    @property
    def nullable(self) -> bool:
        """True if an empty field means null."""
        return "null" in self.types

    @property
    def first_choice(self) -> int:
        """Number of the initial choice: the default, or no selection."""
        return next((number for number, (_, value) in enumerate(self.choices) if _same(value, self.default)), 0)

    @property
    def label(self) -> str:
        """Name and unit, and a star if the field is required."""
        unit = f" [{self.unit}]" if self.unit else ""
        return f"{self.name}{unit}{' *' if self.required else ''}"

    @property
    def hint(self) -> str:
        """Description of the argument, in one paragraph."""
        needs = "required" if self.required else f"default: {self.default_text}" if self.default_text else ""
        what = self.kind.value if self.kind is not Kind.CHOICE else ""
        return "; ".join(filter(None, (" ".join(self.description.split()), what, needs)))


class Filled(Struct, frozen=True):
    """Values of a form."""

    arguments: ProcedureInput
    complaints: dict[str, str]
    """Error messages by field name; if there are any, the arguments must not be used."""


def fields_of(schema: Mapping[str, Any] | None) -> tuple[Field, ...]:
    """Create the fields of a function.

    Parameters
    ----------
    schema
        JSON Schema of the arguments by name; None if the script has no such function.
    """
    if schema is None:
        return ()
    required = schema.get("required", ())
    made = [_field(name, one, name in required) for name, one in schema.get("properties", {}).items()]
    if "x-open" in schema:
        made.append(_further("positional arguments", Place.REST, "array", "a list, [1, 2]"))
    if schema.get("additionalProperties", True) is not False:
        made.append(_further("further arguments", Place.OTHERS, "object", 'by name: {"speed": 60}'))
    return tuple(made)


def fill(fields: Sequence[Field], values: Mapping[str, Any]) -> Filled:
    """Convert the input of a form to arguments.

    Parameters
    ----------
    fields
        Fields of the form.
    values
        Text, numbers, booleans, or numbers of choices, by field name.

    Returns
    -------
    Filled
        Arguments as shown in the form, or error messages.
    """
    read: dict[str, Any] = {}
    complaints: dict[str, str] = {}
    for field in fields:
        try:
            value = _read(field, values.get(field.name, UNSET))
        except ValueError as error:
            complaints[field.name] = str(error)
            continue
        if not isinstance(value, UnsetType):
            read[field.name] = value
    arguments = _with_texts(_arranged(fields, read, complaints), fields, values)
    return Filled(arguments, complaints)


def left(field: Field, text: str) -> tuple[str, str]:
    """Return the text of a field when it is left, and a note if it differs from the typed text.

    An integer field shows the integer that will be sent, never a fraction.

    Parameters
    ----------
    field
        Field of the form.
        text
        Typed text.
    """
    if field.kind is not Kind.INTEGER or not _NUMBER.fullmatch(text.strip()):
        return text, ""
    number = Decimal(text.strip())
    if abs(number) >= _LARGEST:
        return text, ""
    whole = str(int(number))
    return whole, "" if number == int(number) else f"{text.strip()} is not an integer: {whole} is sent"


def _with_texts(arguments: ProcedureInput, fields: Sequence[Field], values: Mapping[str, Any]) -> ProcedureInput:
    """Add the typed texts of arguments of unknown type: the kernel may know that text is expected."""
    unknown = (one.name for one in fields if one.kind is Kind.ANY and not one.types)
    texts = {name: values[name] for name in unknown if name in values}
    positional = [one.name for one in fields if one.by_position]
    by_position = {name: n for n, name in enumerate(positional[: len(arguments.args)])}
    args: list[str | None] = [None] * len(arguments.args)
    kwargs: dict[str, str] = {}
    for name, text in texts.items():
        if not isinstance(text, str):
            continue
        if name in by_position and arguments.args[by_position[name]] != text:
            args[by_position[name]] = text
        elif name in arguments.kwargs and arguments.kwargs[name] != text:
            kwargs[name] = text
    if not (kwargs or any(args)):
        return arguments
    return ProcedureInput(arguments.args, arguments.kwargs, Typed(args, kwargs))


def _arranged(fields: Sequence[Field], read: dict[str, Any], complaints: dict[str, str]) -> ProcedureInput:
    """Return the arguments by position and by name; add complaints where that is not possible."""
    further = {one.place: read[one.name] for one in fields if one.name in read}
    rest: list[Any] = further.get(Place.REST, [])
    others: dict[str, Any] = further.get(Place.OTHERS, {})
    named = [one for one in fields if one.place in (Place.BY_NAME, Place.BY_POSITION)]
    # a later argument by position requires all earlier ones by position
    positional = [one for one in named if one.place is Place.BY_POSITION or (rest and one.by_position)]
    given = [number for number, one in enumerate(positional, 1) if one.name in read]
    args: list[Any] = []
    for one in positional[: len(positional) if rest else max(given, default=0)]:
        value = read.get(one.name, one.default)
        if isinstance(value, UnsetType):
            complaints.setdefault(one.name, "required, since a later argument is given by position")
        args.append(value)
    kwargs = {one.name: read[one.name] for one in named if one not in positional and one.name in read}
    for one in fields:
        if one.place is Place.OTHERS and (twice := sorted({other.name for other in named} & set(others))):
            complaints[one.name] = f"{', '.join(twice)} has its own field; use that field"
    return ProcedureInput([*args, *rest], {**kwargs, **others})


def _field(name: str, schema: Mapping[str, Any], required: bool) -> Field:
    default = schema.get("default", UNSET)
    types = schema.get("type", ())
    types = (types,) if isinstance(types, str) else tuple(types)
    kind, choices = _kind(schema, types, default, required)
    place = {"positional-only": Place.BY_POSITION, "var-positional": Place.REST}.get(
        schema.get("x-kind", ""), Place.BY_NAME
    )
    if "enum" in schema and None in schema["enum"]:
        types = (*types, "null")
    return Field(
        name=name,
        kind=kind,
        place=place,
        by_position=schema.get("x-kind") in ("positional-only", "positional-or-keyword"),
        required=required,
        default=default,
        default_text=str(schema.get("x-default", "")) if isinstance(default, UnsetType) else _written(default),
        choices=choices,
        types=types,
        schema=dict(schema),
        unit=schema.get("x-unit", ""),
        description=schema.get("description", ""),
    )


def _kind(
    schema: Mapping[str, Any], types: Sequence[str], default: Any, required: bool
) -> tuple[Kind, tuple[tuple[str, Any], ...]]:
    if "enum" in schema:
        members = schema.get("x-members")
        options = (
            list(members.items()) if members else [(_written(one), one) for one in schema["enum"] if one is not None]
        )
        if None in schema["enum"]:
            options.append(("none", None))
        return Kind.CHOICE, _choices(options, schema, default, required)
    significant = [one for one in types if one != "null"]
    if significant == ["boolean"]:
        if "null" in types or not isinstance(default, bool):
            options = [("true", True), ("false", False), *([("none", None)] if "null" in types else [])]
            return Kind.CHOICE, _choices(options, schema, default, required)
        return Kind.FLAG, ()
    return (_OF_TYPE[significant[0]] if len(significant) == 1 and significant[0] in _OF_TYPE else Kind.ANY), ()


def _choices(
    options: list[tuple[str, Any]], schema: Mapping[str, Any], default: Any, required: bool
) -> tuple[tuple[str, Any], ...]:
    """Return the choices, with one for no selection if no value is the default."""
    if any(_same(value, default) for _, value in options):
        return tuple(options)
    nothing = "choose" if required else f"default: {schema['x-default']}" if "x-default" in schema else "default"
    return ((f"({nothing})", UNSET), *options)


def _further(name: str, place: Place, json_type: str, description: str) -> Field:
    return Field(name=name, kind=Kind.JSON, place=place, types=(json_type,), description=description)


def _read(field: Field, value: Any) -> Any:
    """Convert the input of one field; unset for the default. Raises ValueError with the error message."""
    if field.kind is Kind.CHOICE:
        value = field.choices[value][1]
    elif isinstance(value, str):
        value = _parsed(field, value)
    if isinstance(value, UnsetType):
        if field.required:
            raise ValueError("required")
        return UNSET
    if not _same(value, field.default):
        return value
    # the shown value is sent: the subarray too, by which procedures are kept apart
    return UNSET if value is None else field.default


def _parsed(field: Field, text: str) -> Any:
    if not text.strip():
        if field.nullable:
            return None
        return text if field.kind is Kind.TEXT and isinstance(field.default, str) else UNSET
    value = text
    if field.kind is not Kind.TEXT:
        value = choose(text, read_value(text), lambda one: mismatch(field.schema, one, "") is None)
    if field.types and not _fits(value, field.types):
        raise ValueError(_expected(field, text))
    if (wrong := mismatch(field.schema, value, "")) is not None:
        raise ValueError(wrong.removeprefix(": "))
    return value


def _fits(value: Any, types: Sequence[str]) -> bool:
    if isinstance(value, bool):
        return "boolean" in types
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return any(isinstance(value, _PYTHON[one]) for one in types)


def _expected(field: Field, text: str) -> str:
    wanted = {
        "array": "a list, as [1, 2]",
        "object": 'an object, as {"name": 1}',
        "integer": "an integer",
        "number": "a number",
        "boolean": "true or false",
        "null": "nothing",
    }
    expected = " or ".join(wanted[one] for one in field.types if one in wanted)
    if field.kind is Kind.JSON:
        try:
            json.loads(text)
        except ValueError as error:
            return f"expected {expected}; the text is not JSON: {error}"
    return f"expected {expected}"


def _same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal: 1 equals 1.0, but not true."""
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
