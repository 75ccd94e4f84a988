"""A form for the arguments of a function: its fields, made from a JSON Schema, and what was filled in; pure."""

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
"""A number as it may be typed."""
_LARGEST = 2**63
"""Beyond it, what was typed stays, to be refused or taken as it is."""


class Kind(Enum):
    """What is filled into a field."""

    CHOICE = "one of several values"
    FLAG = "true or false"
    INTEGER = "an integer"
    NUMBER = "a number"
    TEXT = "text"
    JSON = "a list or an object"
    ANY = "any value"


class Place(Enum):
    """How an argument reaches the function."""

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
    """One argument."""

    name: str
    kind: Kind
    place: Place = Place.BY_NAME
    by_position: bool = False
    """Whether it may be given by position."""
    required: bool = False
    default: Any = UNSET
    """What the function takes without it; unset where it has none, or where it is no JSON value."""
    default_text: str = ""
    """The default, to be shown."""
    choices: tuple[tuple[str, Any], ...] = ()
    """Labels and values, of a CHOICE; `UNSET` stands for nothing chosen."""
    types: tuple[str, ...] = ()
    """JSON types that are good; empty for any."""
    schema: dict[str, Any] = {}
    """What the argument may be."""
    unit: str = ""
    description: str = ""

    @property
    def nullable(self) -> bool:
        """Whether an empty field means null."""
        return "null" in self.types

    @property
    def first_choice(self) -> int:
        """Number of the choice that is made at first: the default, or that nothing is chosen."""
        return next((number for number, (_, value) in enumerate(self.choices) if _same(value, self.default)), 0)

    @property
    def label(self) -> str:
        """Its name and unit, and a star where it has to be filled in."""
        unit = f" [{self.unit}]" if self.unit else ""
        return f"{self.name}{unit}{' *' if self.required else ''}"

    @property
    def hint(self) -> str:
        """All that is known of it, in one paragraph."""
        needs = "required" if self.required else f"default: {self.default_text}" if self.default_text else ""
        what = self.kind.value if self.kind is not Kind.CHOICE else ""
        return "; ".join(filter(None, (" ".join(self.description.split()), what, needs)))


class Filled(Struct, frozen=True):
    """What a form holds."""

    arguments: ProcedureInput
    complaints: dict[str, str]
    """What is wrong, by the name of the field; the arguments are of no use then."""


def fields_of(schema: Mapping[str, Any] | None) -> tuple[Field, ...]:
    """Make the fields of a function.

    Parameters
    ----------
    schema
        JSON Schema of its arguments by name; None where the script has no such function.
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
    """Read what was filled in.

    Parameters
    ----------
    fields
        The fields of the form.
    values
        Text, numbers, truth values, or the numbers of choices, by the name of the field.

    Returns
    -------
    Filled
        The arguments as they are seen; or what is wrong with them.
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
    """Return what a field shows once it is left, and a note where that is not what was typed.

    An integer field shows the integer that is sent, and never a fraction that is not.

    Parameters
    ----------
    field
        The field.
    text
        What was typed.
    """
    if field.kind is not Kind.INTEGER or not _NUMBER.fullmatch(text.strip()):
        return text, ""
    number = Decimal(text.strip())
    if abs(number) >= _LARGEST:
        return text, ""
    whole = str(int(number))
    return whole, "" if number == int(number) else f"{text.strip()} is not an integer: {whole} is sent"


def _with_texts(arguments: ProcedureInput, fields: Sequence[Field], values: Mapping[str, Any]) -> ProcedureInput:
    """Add what was typed where nothing is known of the argument: the kernel may know that a text is meant."""
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
    """Put each argument where it belongs; adds to the complaints where that cannot be done."""
    further = {one.place: read[one.name] for one in fields if one.name in read}
    rest: list[Any] = further.get(Place.REST, [])
    others: dict[str, Any] = further.get(Place.OTHERS, {})
    named = [one for one in fields if one.place in (Place.BY_NAME, Place.BY_POSITION)]
    # what comes after them by position needs all before it to be given so too
    positional = [one for one in named if one.place is Place.BY_POSITION or (rest and one.by_position)]
    given = [number for number, one in enumerate(positional, 1) if one.name in read]
    args: list[Any] = []
    for one in positional[: len(positional) if rest else max(given, default=0)]:
        value = read.get(one.name, one.default)
        if isinstance(value, UnsetType):
            complaints.setdefault(one.name, "needed, as an argument after it is given by position")
        args.append(value)
    kwargs = {one.name: read[one.name] for one in named if one not in positional and one.name in read}
    for one in fields:
        if one.place is Place.OTHERS and (twice := sorted({other.name for other in named} & set(others))):
            complaints[one.name] = f"{', '.join(twice)}: there is a field for it"
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
    """Add what stands for no choice, where no value is the default."""
    if any(_same(value, default) for _, value in options):
        return tuple(options)
    nothing = "choose" if required else f"default: {schema['x-default']}" if "x-default" in schema else "default"
    return ((f"({nothing})", UNSET), *options)


def _further(name: str, place: Place, json_type: str, description: str) -> Field:
    return Field(name=name, kind=Kind.JSON, place=place, types=(json_type,), description=description)


def _read(field: Field, value: Any) -> Any:
    """Read one field; unset when the default is meant. Raises ValueError with what is wrong."""
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
    # what is seen is what is sent: the subarray too, by which procedures keep apart
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
            return f"expected {expected}; this is not JSON: {error}"
    return f"expected {expected}"


def _same(one: Any, other: Any) -> bool:
    """Compare as JSON does: 1 is 1.0, and not true."""
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
