"""Check of arguments against a function's schema, with faults by path. Pure.

The check supports the few JSON Schema keywords that our schemas use, ``format`` among them: a text that is not a date
does not fit a date.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from oet_kernel.scripts.signature import formats

if TYPE_CHECKING:
    from oet_kernel.scripts.signature.schema import Function

ANY_TEXT = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Text that only schemas for any text admit."""
MOST = 5
"""Largest number of faults in one message."""
_CHECKED = 1000
"""Number of items of an array or an object that are checked; the others are assumed to be alike."""
_KINDS = ("null", "boolean", "integer", "number", "string", "array", "object")
_SHOWN = 40
"""Characters of a wrong value that a message repeats."""


def faults(function: "Function", args: list[Any], kwargs: dict[str, Any], path: str) -> list[str]:
    """Return the certain faults in the arguments of a call.

    Parameters
    ----------
    function
        Function to be called.
    args, kwargs
        Arguments of the call.
    path
        Path of the arguments in the request: ``$.script_args.init``.

    Returns
    -------
    list of str
        ``$.script_args.init.kwargs.subarray_id: expected integer, got string "x"``; at most `MOST`, empty where the
        arguments fit, or the function's parameters are not known.
    """
    if function.unknown is not None:
        return []
    found: list[str] = []
    for fault in _faults(function, args, kwargs, path):
        found.append(fault)
        if len(found) == MOST:
            break
    return found


def _faults(function: "Function", args: list[Any], kwargs: dict[str, Any], path: str) -> Iterator[str]:
    positional = [one for one in function.parameters if one.by_position]
    others, more = function.of_kind("var-keyword"), function.of_kind("var-positional")
    by_name = {one.name: one for one in function.parameters if one.by_name}
    for n, value in enumerate(args):
        where = f"{path}.args[{n}]"
        taker = positional[n] if n < len(positional) else more
        if taker is None:
            yield f"{where}: unexpected, {_takes_by_position(function)}"
            break
        if n < len(positional) + _CHECKED:
            yield from _wrong(taker.schema, value, where)
    by_position = {one.name for one in positional[: len(args)]}
    for name, value in kwargs.items():
        where = f"{path}.kwargs{step(name)}"
        taker = by_name.get(name)
        if taker is not None and name in by_position:
            yield f"{where}: given twice, by position too"
        elif taker is not None:
            yield from _wrong(taker.schema, value, where)
        elif others is not None:
            yield from _wrong(others.schema, value, where)
        else:
            yield f"{where}: unexpected, {_takes_by_name(function, name)}"
    for n, one in enumerate(function.parameters):
        if not one.required or one.name in by_position or (one.by_name and one.name in kwargs):
            continue
        yield f"{path}.kwargs{step(one.name)}: required" if one.by_name else f"{path}.args[{n}]: required ({one.name})"


def _wrong(schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    found = mismatch(schema, value, path)
    if found is not None and as_text(value, lambda one: mismatch(schema, one, path) is None) is value:
        yield found


def as_text(value: Any, fits: Callable[[Any], bool]) -> Any:
    """Return a number as text where the parameter admits only text; else the argument itself.

    Clients of the original convert typed digits to numbers, without regard to annotations.

    Parameters
    ----------
    value
        A JSON value that does not fit.
    fits
        Returns whether the parameter admits a JSON value.
    """
    return _json(value) if _is_number(value) and fits(ANY_TEXT) else value


def mismatch(schema: dict[str, Any], value: Any, path: str) -> str | None:
    """Return where a value does not fit a schema, and how; None where it fits.

    Parameters
    ----------
    schema
        Schema from `annotations`.
    value
        A JSON value.
    path
        Path of the value in the request.
    """
    if "enum" in schema and not any(same(one, value) for one in schema["enum"]):
        return f"{path}: expected {expected(schema)}, got {shown(value)}"
    if "anyOf" in schema:
        return _mismatch_of_any(schema, value, path)
    kinds = schema.get("type")
    if kinds is not None and not any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return f"{path}: expected {expected(schema)}, got {shown(value)}"
    if isinstance(value, list):
        return _mismatch_in_array(schema, value, path)
    if isinstance(value, dict):
        return _mismatch_in_object(schema, value, path)
    if "format" in schema and value is not None:
        try:
            formats.read(schema["format"], value)
        except ValueError:
            return f"{path}: expected {expected(schema)}, got {shown(value)}"
    return None


def _mismatch_in_object(schema: dict[str, Any], value: dict[str, Any], path: str) -> str | None:
    keys, inner = schema.get("x-keys", {}), schema.get("additionalProperties", {})
    for name, one in list(value.items())[:_CHECKED]:
        at = f"{path}{step(name)}"
        if all(mismatch(keys, key, at) is not None for key in keys_of(name)):
            return f"{at}: expected {expected(keys)} as key"
        if (found := mismatch(inner, one, at)) is not None:
            return found
    return None


def _mismatch_of_any(schema: dict[str, Any], value: Any, path: str) -> str | None:
    inside = []
    for one in schema["anyOf"]:
        found = mismatch(one, value, path)
        if found is None:
            return None
        if not found.startswith(f"{path}: "):
            inside.append(found)
    # one alternative has the value's type, and an item in it is wrong
    return inside[0] if len(inside) == 1 else f"{path}: expected {expected(schema)}, got {shown(value)}"


def _mismatch_in_array(schema: dict[str, Any], value: list[Any], path: str) -> str | None:
    least, most = schema.get("minItems", 0), schema.get("maxItems", len(value))
    if not least <= len(value) <= most:
        return f"{path}: expected {expected(schema)}, got {len(value)} items"
    first = schema.get("prefixItems", [])
    inner = [*first, *[schema.get("items", {})] * min(len(value) - len(first), _CHECKED)]
    for n, (one, item) in enumerate(zip(inner, value, strict=False)):
        if (found := mismatch(one, item, f"{path}[{n}]")) is not None:
            return found
    return None


def keys_of(name: str) -> list[Any]:
    """Return the possible values of an object's key: the text itself, and the number or boolean that it spells."""
    try:
        literal = msgspec.json.decode(name)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return [name]
    return [name, literal] if isinstance(literal, int | float) else [name]


def same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal: 1 equals 1.0, and does not equal true."""
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def expected(schema: dict[str, Any]) -> str:
    """Return a schema in words: ``integer or null``, ``one of "a", "b"``."""
    if "enum" in schema:
        return f"one of {', '.join(_json(one) for one in schema['enum'])}"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(expected(one) for one in schema["anyOf"]))
    if "maxItems" in schema:
        return f"array of {schema['maxItems']} items"
    kinds = schema.get("type", "any value")
    if "format" in schema:
        return formats.FORMATS[schema["format"]].words + (" or null" if "null" in kinds else "")
    return kinds if isinstance(kinds, str) else " or ".join(kinds)


def _is(value: Any, kind: str) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return _is_number(value) and (isinstance(value, int) or value.is_integer())
        case "number":
            return _is_number(value)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
    return isinstance(value, dict)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _takes_by_name(function: "Function", name: str) -> str:
    if any(one.name == name and one.by_position for one in function.parameters):
        return f"{function.name} takes {name} by position"
    names = [one.name for one in function.parameters if one.by_name]
    takes = f"{function.name} takes {', '.join(names) or 'no arguments by name'}"
    if (function.name, name) == ("init", "subarray_id"):
        takes += " (clients pass subarray_id to every init: let it take subarray_id, or **kwargs)"
    return takes


def _takes_by_position(function: "Function") -> str:
    count = sum(1 for one in function.parameters if one.by_position)
    return f"{function.name} takes {count or 'no'} argument{'' if count == 1 else 's'} by position"


def step(name: str) -> str:
    """Return the step of a path to a key: ``.depth``, ``["b c"]``."""
    return f".{name}" if name.isidentifier() else f"[{_json(name)[:_SHOWN]}]"


def shown(value: Any) -> str:
    """Return the type of a JSON value in words, with the value where it is short: ``string "x"``."""
    kind = next(kind for kind in _KINDS if _is(value, kind))
    if kind in ("null", "array", "object"):
        return kind
    text = _json(value[: _SHOWN + 1] if isinstance(value, str) else value)
    return f"{kind} {text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
