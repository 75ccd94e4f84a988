"""Conversion of JSON values to the types that annotations promise: members of enumerations, paths, dates, records.

The conversion admits the same values as the check of the request (`oet_kernel.scripts.signature.validation`), with the
same messages and functions, and also knows the script's own classes. Values of unknown annotations stay unchanged.
"""

import collections
import collections.abc as abc
import numbers
import types
import typing
from enum import Enum, Flag
from functools import partial
from pathlib import PurePath
from typing import Any, Literal, Union

from oet_kernel.kernel import records
from oet_kernel.kernel.hints import UNBOUND, Bound, plain_hint
from oet_kernel.kernel.reading import Reader, Refused, as_it_is
from oet_kernel.scripts.signature import formats
from oet_kernel.scripts.signature.validation import ANY_TEXT, keys_of, same, shown, step

_ARRAYS: dict[type, type] = {
    list: list,
    collections.deque: collections.deque,
    abc.MutableSequence: list,
    set: set,
    frozenset: frozenset,
    abc.Set: set,
    abc.MutableSet: set,
}
"""Type that is made of an array, by annotated type."""
_ITERABLES = (abc.Sequence, abc.Collection, abc.Iterable)
"""Types that admit a text too, and all but the first an object."""
_OBJECTS: dict[type, type] = {
    dict: dict,
    collections.OrderedDict: collections.OrderedDict,
    abc.Mapping: dict,
    abc.MutableMapping: dict,
}


def reader_of(hint: Any, bound: Bound = UNBOUND) -> Reader | None:
    """Return the reader for the values of an annotation.

    Parameters
    ----------
    hint
        The evaluated annotation.
    bound
        Types by type variable.

    Returns
    -------
    Reader or None
        None for an unknown annotation.
    """
    hint, bound = plain_hint(hint, bound)
    origin, given = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _union_reader(given, bound)
    if origin is Literal:
        return partial(_literal, given)
    cls = origin or hint
    if cls is None:
        return _null
    if not isinstance(cls, type):
        return None
    if cls in _PLAIN:
        return _PLAIN[cls]
    if issubclass(cls, Enum):
        return partial(_member, cls)
    if issubclass(cls, PurePath):
        return partial(_path, cls)
    if (name := formats.OF_CLASS.get(f"{cls.__module__}.{cls.__qualname__}")) is not None:
        return partial(_formatted, name)
    if (record := records.reader_of(cls, given, bound, _inner)) is not None:
        return record
    return _container_reader(hint, cls, given, bound)


def _inner(hint: Any, bound: Bound) -> Reader:
    """Return a reader that is looked up on use, since a type may contain itself."""
    return lambda value, path: (reader_of(hint, bound) or as_it_is)(value, path)


def _container_reader(hint: Any, cls: type, given: tuple[Any, ...], bound: Bound) -> Reader | None:
    if cls is tuple:
        return _tuple_reader(hint, given, bound)
    item = _inner(given[0], bound) if given else as_it_is
    if cls in _ARRAYS:
        return partial(_array, _ARRAYS[cls], item)
    if cls in _ITERABLES:
        return partial(_iterable, cls is not abc.Sequence, item)
    if cls in _OBJECTS:
        key, one = (_inner(given[0], bound), _inner(given[1], bound)) if len(given) == 2 else (as_it_is, as_it_is)
        return partial(_object, _OBJECTS[cls], key, one)
    return None


# --- plain values


def _null(value: Any, path: str) -> None:
    if value is not None:
        raise Refused(path, "null", shown(value))


def _boolean(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise Refused(path, "boolean", shown(value))
    return value


def _integer(value: Any, path: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise Refused(path, "integer", shown(value))


def _number(value: Any, path: str) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise Refused(path, "number", shown(value))


def _float(value: Any, path: str) -> float:
    try:
        return float(_number(value, path))
    except OverflowError:
        raise Refused(path, "number", "an integer beyond all floats") from None


def _string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise Refused(path, "string", shown(value))
    return value


def _complex(value: Any, path: str) -> complex:
    """Read a number, a text in Python's notation, or the form of events: an array of real and imaginary part."""
    try:
        if isinstance(value, list) and len(value) == 2:
            return complex(*(_float(part, path) for part in value))
        return complex(value) if isinstance(value, str) else complex(_float(value, path))
    except (ValueError, Refused):
        raise Refused(path, 'complex number (1.5, [1, 2] or "1+2j")', shown(value)) from None


_PLAIN: dict[type, Reader] = {
    types.NoneType: _null,
    bool: _boolean,
    int: _integer,
    float: _float,
    str: _string,
    complex: _complex,
    numbers.Number: _number,
    numbers.Real: _number,
    numbers.Integral: _integer,
}


def _formatted(name: str, value: Any, path: str) -> Any:
    try:
        return formats.read(name, value)
    except ValueError:
        raise Refused(path, formats.FORMATS[name].words, shown(value)) from None


def _path(cls: type[PurePath], value: Any, path: str) -> PurePath:
    return cls(_formatted("path", value, path))


def _member(cls: type[Enum], value: Any, path: str) -> Enum:
    """Find a member by its value, else by its name."""
    for one in cls.__members__.values():
        if same(as_json(one.value), value):
            return one
    names = value.split("|") if isinstance(value, str) and issubclass(cls, Flag) else [value]
    found = [cls.__members__.get(name.strip()) if isinstance(name, str) else None for name in names]
    if None not in found:
        member: Enum = found[0]  # type: ignore[assignment]
        for further in found[1:]:
            member = member | further  # type: ignore[operator]
        return member
    if not isinstance(value, bool):
        try:
            member = cls(value)  # several flags, or a value that its own _missing_ converts
            # unknown bits are dropped by some flags (`CONFORM`), and by Python 3.11.2 by default
            if not isinstance(member, Flag) or same(as_json(member.value), value):
                return member
        except Exception:  # any exception: not a member  # nosec B110
            pass
    members = ", ".join(f"{name} ({one.value!r})" for name, one in cls.__members__.items())
    raise Refused(path, f"one of {members}", shown(value))


def as_json(value: Any) -> Any:
    """Return the JSON form of a Python value: lists for tuples."""
    return [as_json(one) for one in value] if isinstance(value, tuple | list) else value


def _literal(options: tuple[Any, ...], value: Any, path: str) -> Any:
    for option in options:
        if isinstance(option, Enum):
            try:
                if _member(type(option), value, path) is option:
                    return option
            except Refused:
                pass
        elif same(option, value):
            return option
    raise Refused(path, f"one of {', '.join(map(repr, options))}", shown(value))


# --- several kinds


def _union_reader(given: tuple[Any, ...], bound: Bound) -> Reader:
    readers = [reader_of(one, bound) for one in given]
    known = [one for one in readers if one is not None]
    return partial(_any_of, known, len(known) < len(readers))


def _any_of(readers: list[Reader], is_open: bool, value: Any, path: str) -> Any:
    """Return the value unchanged where it has one of the types already; else converted to the first possible one."""
    made: list[Any] = []
    refusals: list[Refused] = []
    for read in readers:
        try:
            one = read(value, path)
        except Refused as refused:
            refusals.append(refused)
            continue
        if unchanged(one, value):
            return value
        made.append(one)
    if made:
        return made[0]
    if is_open:
        return value
    deeper = [one for one in refusals if one.path != path]
    if len(deeper) == 1:  # one alternative has the value's type, and an item in it is wrong
        raise deeper[0]
    raise Refused(path, " or ".join(dict.fromkeys(one.expected for one in refusals if one.path == path)), shown(value))


def unchanged(made: Any, value: Any) -> bool:
    """Return whether the converted value equals the original, in type too."""
    if type(made) is not type(value):
        return False
    if isinstance(value, list):
        return len(made) == len(value) and all(map(unchanged, made, value))
    if isinstance(value, dict):
        return made.keys() == value.keys() and all(unchanged(made[name], one) for name, one in value.items())
    return bool(made == value)


# --- arrays and objects


def _items(item: Reader, value: list[Any], path: str) -> list[Any]:
    return [item(one, f"{path}[{n}]") for n, one in enumerate(value)]


def _array(kind: type, item: Reader, value: Any, path: str) -> Any:
    if not isinstance(value, list):
        raise Refused(path, "array", shown(value))
    items = _items(item, value, path)
    if kind in (set, frozenset):
        for n, one in enumerate(items):
            _check_hash(kind, one, f"{path}[{n}]")
    return items if kind is list else kind(items)


def _check_hash(kind: type, item: Any, path: str) -> None:
    try:
        hash(item)
    except TypeError:  # its message differs between versions of Python, and lacks the path
        raise Refused(path, f"item of a {kind.__name__}", f"{type(item).__name__}, which cannot be hashed") from None


def _iterable(of_keys: bool, item: Reader, value: Any, path: str) -> Any:
    if isinstance(value, list):
        return _items(item, value, path)
    try:
        item(ANY_TEXT, path)
    except Refused:  # a text is not admitted where its items, texts too, are not
        raise Refused(path, "array", shown(value)) from None
    if isinstance(value, str) or (of_keys and isinstance(value, dict)):
        return value
    raise Refused(path, "array or string or object" if of_keys else "array or string", shown(value))


def _tuple_reader(hint: Any, given: tuple[Any, ...], bound: Bound) -> Reader:
    if hint is tuple or any(typing.get_origin(one) is typing.Unpack for one in given):
        return partial(_array, tuple, as_it_is)
    if len(given) == 2 and given[1] is ...:
        return partial(_array, tuple, _inner(given[0], bound))
    return partial(_tuple, [_inner(one, bound) for one in given])


def _tuple(items: list[Reader], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise Refused(path, f"array of {len(items)} items", shown(value))
    if len(value) != len(items):
        raise Refused(path, f"array of {len(items)} items", f"{len(value)} items")
    return tuple(read(one, f"{path}[{n}]") for n, (read, one) in enumerate(zip(items, value, strict=True)))


def _object(kind: type, key: Reader, item: Reader, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise Refused(path, "object", shown(value))
    made = {_key(key, name, f"{path}{step(name)}"): item(one, f"{path}{step(name)}") for name, one in value.items()}
    return made if kind is dict else kind(made)


def _key(read: Reader, name: str, path: str) -> Any:
    refusal = None
    for one in keys_of(name):
        try:
            return read(one, path)
        except Refused as refused:
            refusal = refusal or refused
    assert refusal is not None
    raise Refused(path, f"{refusal.expected} as key", shown(name)) from None
