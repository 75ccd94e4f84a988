"""Conversion of JSON objects to records: TypedDicts, named tuples, dataclasses, and those of attrs, msgspec, pydantic.

Records of msgspec and pydantic are created by their library, with all its rules; the other classes are called with the
converted fields.
"""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import partial
from typing import Any

import msgspec

from oet_kernel.kernel.hints import Bound, evaluate, hints_of, names_of, signature_of
from oet_kernel.kernel.reading import Reader, Refused
from oet_kernel.scripts.signature.validation import shown, step

Find = Callable[[Any, Bound], Reader]
"""Returns the reader for the values of a type."""
_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$?(?P<path>[^`]*)`)?$", re.DOTALL)
"""Error message of msgspec, with its path."""


def reader_of(cls: type, given: tuple[Any, ...], bound: Bound, find: Find) -> Reader | None:
    """Return the reader for the records of a class; None where it is not a class of records.

    Parameters
    ----------
    cls
        The class, without its type arguments.
    given
        Type arguments of the class.
    bound
        Types of the type variables in the arguments.
    find
        Returns the readers of the fields.
    """
    if issubclass(cls, msgspec.Struct):
        return partial(_struct, cls[given] if given else cls, partial(_field_of_struct, find))  # type: ignore[index]
    if callable(validate := getattr(cls, "model_validate", None) or getattr(cls, "parse_obj", None)):
        return partial(_model, validate)
    inner = dict(zip(getattr(cls, "__parameters__", ()), (_substitute(one, bound) for one in given), strict=False))
    if typing.is_typeddict(cls):
        return partial(_typed_dict, cls, inner, find)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return partial(_named_tuple, cls, inner, find)
    if is_dataclass(cls) or hasattr(cls, "__attrs_attrs__"):
        return partial(_called, cls, inner, find)
    return None


def _substitute(hint: Any, bound: Bound) -> Any:
    return bound.get(hint, hint) if isinstance(hint, typing.TypeVar) else hint


def _typed_dict(cls: Any, bound: Bound, find: Find, value: Any, path: str) -> dict[str, Any]:
    """Read the known keys; other keys are admitted too, as in any mapping."""
    fields = _object(value, path)
    hints = hints_of(cls)
    _complete([name for name in hints if name in cls.__required_keys__], fields, path)
    return {
        name: find(hints[name], bound)(one, f"{path}{step(name)}") if name in hints else one
        for name, one in fields.items()
    }


def _named_tuple(cls: Any, bound: Bound, find: Find, value: Any, path: str) -> Any:
    """Read an object, or an array, which is the form of a named tuple in events."""
    if not isinstance(value, list):
        return _called(cls, bound, find, value, path)
    if len(value) > len(cls._fields):
        raise Refused(path, f"array of at most {len(cls._fields)} items", f"{len(value)} items")
    return _called(cls, bound, find, dict(zip(cls._fields, value, strict=False)), path)


def _called(cls: Any, bound: Bound, find: Find, value: Any, path: str) -> Any:
    """Call a class with its converted fields; defaults are the class's own."""
    fields = _object(value, path)
    if (signature := signature_of(cls)) is None:
        raise Refused(path, cls.__name__, said=f"{cls.__name__} cannot be created from an object")
    parameters = signature.parameters.values()
    takes = {one.name: one for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}
    others = any(one.kind is one.VAR_KEYWORD for one in parameters)
    _complete([name for name, one in takes.items() if one.default is one.empty], fields, path)
    hints = {**_hints_of_call(takes, cls), **hints_of(cls), **_hints_of_attrs(cls)}
    made = {}
    for name, one in fields.items():
        if name not in takes and not others:
            raise Refused(f"{path}{step(name)}", "nothing", said=f"unexpected, {cls.__name__} takes {', '.join(takes)}")
        made[name] = find(hints.get(name, Any), bound)(one, f"{path}{step(name)}")
    try:
        return cls(**made)
    except Exception as error:  # a check of the class itself
        raise Refused(path, cls.__name__, said=f"not a valid {cls.__name__}: {type(error).__name__}: {error}") from None


def _hints_of_call(takes: Mapping[str, inspect.Parameter], cls: type) -> dict[str, Any]:
    """Evaluate the annotations of the call's parameters, which need not be fields."""
    names = names_of(cls)
    return {name: evaluate(one.annotation, names) for name, one in takes.items() if one.annotation is not one.empty}


def _hints_of_attrs(cls: Any) -> dict[str, Any]:
    """Return the types of attrs fields by parameter name; `Any` for a field with a converter."""
    fields = getattr(cls, "__attrs_attrs__", ())
    hints = hints_of(cls) if fields else {}
    return {
        getattr(one, "alias", one.name.lstrip("_")): hints.get(one.name, one.type) if one.converter is None else Any
        for one in fields
    }


def _struct(kind: Any, hook: Callable[[type, Any], Any], value: Any, path: str) -> Any:
    name = getattr(kind, "__name__", str(kind))
    try:
        return msgspec.convert(value, kind, dec_hook=hook)
    except msgspec.ValidationError as error:
        found = _AT.match(str(error))
        assert found is not None
        what = found["what"].replace("`", "")
        raise Refused(f"{path}{found['path'] or ''}", name, said=f"{what[:1].lower()}{what[1:]}") from None
    except TypeError as error:  # a field of a type that msgspec does not know
        raise Refused(path, name, said=f"{name} cannot be created from a JSON value: {error}") from None


def _field_of_struct(find: Find, kind: type, value: Any) -> Any:
    try:
        return find(kind, {})(value, "")
    except Refused as refused:
        raise ValueError(str(refused).removeprefix(f"{refused.path}: ")) from None


def _model(validate: Callable[[Any], Any], value: Any, path: str) -> Any:
    """Create a pydantic model, of version 1 or 2."""
    fields = _object(value, path)
    try:
        return validate(fields)
    except Exception as error:
        errors = getattr(error, "errors", None)
        told = errors() if callable(errors) else []
        first = told[0] if told else {"msg": f"{type(error).__name__}: {error}"}
        where = "".join(f"[{one}]" if isinstance(one, int) else step(one) for one in first.get("loc", ()))
        raise Refused(f"{path}{where}", "a model", said=str(first.get("msg"))) from None


def _object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused(path, "object", shown(value))
    return value


def _complete(required: list[str], fields: Mapping[str, Any], path: str) -> None:
    for name in required:
        if name not in fields:
            raise Refused(f"{path}{step(name)}", "a value", said="required")
