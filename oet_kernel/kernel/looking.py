"""Completion and inspection for guests without control: no code of the script is called, compared or imported.

Only CPython's own data of an object are read: its type, the dictionaries of the object and of its classes, slots, and
the values of builtin types. Results of properties, ``__getattr__``, ``__dir__`` and ``__repr__`` are not shown. Types
are compared by identity, since a metaclass may have an ``__eq__``.
"""

import builtins
import keyword
from collections.abc import Iterable, Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

from oet_kernel.printable import printable

_MATCHES = 1000
_LOOK_BACK = 1000
"""Characters in front of the cursor that are read."""
_NAME_CHARACTERS = 250
_VALUE_CHARACTERS = 2000
_DOCUMENTATION_CHARACTERS = 10_000
_ITEMS = 50
_LEVELS = 4
_INTEGER_BITS = 4096
_NOTHING = object()
_mro = type.__dict__["__mro__"].__get__
_dict_of_class = type.__dict__["__dict__"].__get__
_name_of_class = type.__dict__["__name__"].__get__
Names = Mapping[str, Any]


def complete(code: Any, cursor: Any, namespaces: Iterable[Names]) -> dict[str, Any]:
    """Return the content of a ``complete_reply``: names, or attributes behind a dot, that begin as the text does.

    Parameters
    ----------
    code, cursor
        Fields of the request, of any type.
    namespaces
        Dictionaries of names; each hides those after it.
    """
    *path, begun = _path_before(code, cursor)
    names: Iterable[str]
    if path:
        names = (name for name, _ in _attributes(_find(path, namespaces)))
    else:
        spaces = (*namespaces, vars(builtins))
        names = (*(name for space in spaces for name, _ in _entries(space)), *keyword.kwlist)
    found = {
        name
        for name in names
        if name.startswith(begun) and (begun or not name.startswith("_")) and len(name) <= _NAME_CHARACTERS
    }
    end = cursor if type(cursor) is int else 0
    return {
        "status": "ok",
        "matches": sorted(found)[:_MATCHES],
        "cursor_start": end - len(begun),
        "cursor_end": end,
        "metadata": {},
    }


def inspect(code: Any, cursor: Any, omitted: Any, namespaces: Iterable[Names]) -> dict[str, Any]:
    """Return the content of an ``inspect_reply``: type, value and documentation of the name before the cursor.

    Parameters
    ----------
    code, cursor
        Fields of the request, of any type.
    omitted
        The request's ``omit_sections``; only "docstring" has an effect.
    namespaces
        As for `complete`.
    """
    found = _find(_path_before(code, cursor), (*namespaces, vars(builtins)))
    if found is _NOTHING:
        return {"status": "ok", "found": False, "data": {}, "metadata": {}}
    lines = [f"Type:        {_name(type(found))}", f"String form: {shown(found)}"]
    if _is(found, FunctionType):
        lines.append(f"Signature:   {_signature(found)}")
    documentation = _documentation(found)
    if documentation and not (type(omitted) is list and "docstring" in omitted):
        lines.append(f"Docstring:   {documentation[:_DOCUMENTATION_CHARACTERS]}")
    return {"status": "ok", "found": True, "data": {"text/plain": printable("\n".join(lines))}, "metadata": {}}


def names_of(module: ModuleType) -> Names:
    """Return a copy of a module's names."""
    return dict(_entries(_own_dict(module) or {}))


def without(names: Names, hidden: Names) -> Names:
    """Return the names whose values differ from those of another dictionary."""
    other = dict(_entries(hidden))
    return {name: value for name, value in _entries(names) if other.get(name, _NOTHING) is not value}


def shown(value: Any, level: int = 0) -> str:
    """Return a value of a builtin type as text of limited length; for any other value, its type."""
    kind = type(value)
    if _one_of(kind, float, complex, bool, type(None), type(Ellipsis)):
        return repr(value)
    if kind is int:
        return repr(value) if value.bit_length() <= _INTEGER_BITS else f"<int of {value.bit_length()} bits>"
    if _one_of(kind, str, bytes):
        rest = f"... ({len(value)} in all)" if len(value) > _VALUE_CHARACTERS else ""
        return f"{value[:_VALUE_CHARACTERS]!r}{rest}"
    if _one_of(kind, list, tuple, set, frozenset, dict):
        return _shown_items(value, kind, level)
    if _is(value, type):
        return f"<class {_name(value)}>"
    if _one_of(kind, FunctionType, BuiltinFunctionType):
        return f"<function {_plain(value.__name__)}>"
    return f"<{_name(kind)} object>"


_BRACKETS = {list: "[]", tuple: "()", dict: "{}", set: "{}", frozenset: ("frozenset({", "})")}


def _shown_items(value: Any, kind: Any, level: int) -> str:
    begin, end = _BRACKETS[kind]
    if level == _LEVELS:
        return f"{begin}...{end}"
    parts: list[str] = []
    room = _VALUE_CHARACTERS
    for item in list(value.items() if kind is dict else value):
        if len(parts) == _ITEMS or room <= 0:
            parts.append(f"... ({len(value)} in all)")
            break
        pair = item if kind is dict else (item,)
        parts.append(": ".join(shown(one, level + 1) for one in pair))
        room -= len(parts[-1])
    comma = "," if kind is tuple and len(parts) == 1 else ""
    return f"{begin}{', '.join(parts)}{comma}{end}"


def _path_before(code: Any, cursor: Any) -> list[str]:
    """Return the names in front of the cursor, ``config.ba`` as ``["config", "ba"]``."""
    if type(code) is not str or type(cursor) is not int or not 0 <= cursor <= len(code):
        return [""]
    begin = cursor
    while begin > max(0, cursor - _LOOK_BACK) and (code[begin - 1].isalnum() or code[begin - 1] in "_."):
        begin -= 1
    return code[begin:cursor].split(".")


def _find(path: list[str], namespaces: Iterable[Names]) -> Any:
    """Return the object of a path of names; `_NOTHING` where only running code could determine it."""
    first, *others = path
    found = next((value for names in namespaces for name, value in _entries(names) if name == first), _NOTHING)
    for other in others:
        found = next((value for name, value in _attributes(found) if name == other), _NOTHING)
        if _is_computed(found):
            return _NOTHING
    return found


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the stored attributes of an object, its own first; descriptors as they are in the class."""
    if value is _NOTHING:
        return
    if _is(value, type):
        for one in _mro(value):
            yield from _entries(_dict_of_class(one))
    own = _own_dict(value)
    if own is not None:
        yield from _entries(own)
    for one in _mro(type(value)):
        for name, entry in _entries(_dict_of_class(one)):
            if type(entry) is not MemberDescriptorType:
                yield name, entry
                continue
            try:  # a slot
                yield name, entry.__get__(value)
            except (AttributeError, TypeError):
                continue


def _own_dict(value: Any) -> Any:
    """Return the dictionary of an object; None where a class overrides ``__dict__``."""
    for one in _mro(type(value)):
        entry = next((entry for name, entry in _entries(_dict_of_class(one)) if name == "__dict__"), None)
        if entry is None:
            continue
        if not _one_of(type(entry), GetSetDescriptorType, MemberDescriptorType) or entry.__name__ != "__dict__":
            return None
        if one is type:  # the dictionaries of classes are read by the MRO
            return None
        found = entry.__get__(value)
        return found if issubclass(type(found), dict) else None
    return None


def _entries(names: Any) -> Iterator[tuple[str, Any]]:
    """Return the current entries of a dictionary whose keys are plain text."""
    items = dict.items(names) if issubclass(type(names), dict) else names.items()
    return ((name, value) for name, value in list(items) if type(name) is str)


def _is_computed(value: Any) -> bool:
    """Return whether an entry of a class is a descriptor, whose value only running code determines."""
    if value is _NOTHING or _is(value, FunctionType) or _is(value, type):
        return False
    return any(name == "__get__" for one in _mro(type(value)) for name, _ in _entries(_dict_of_class(one)))


def _is(value: Any, kind: type) -> bool:
    """Return whether an object is of a type; `isinstance` would read the object's ``__class__``."""
    return issubclass(type(value), kind)


def _one_of(kind: type, *kinds: type) -> bool:
    return any(kind is one for one in kinds)


def _plain(text: Any) -> str:
    """Return a text; "?" for any other class, subclasses of `str` included."""
    return text if type(text) is str else "?"


def _name(kind: Any) -> str:
    module = next((value for name, value in _entries(_dict_of_class(kind)) if name == "__module__"), None)
    name = _plain(_name_of_class(kind))
    return name if type(module) is not str or module == "builtins" else f"{module}.{name}"


def _documentation(value: Any) -> str | None:
    if _one_of(type(value), FunctionType, BuiltinFunctionType):
        text = value.__doc__
    elif _is(value, ModuleType):
        text = next((one for name, one in _attributes(value) if name == "__doc__"), None)
    else:
        classes = _mro(value if _is(value, type) else type(value))
        text = next(
            (one for each in classes for name, one in _entries(_dict_of_class(each)) if name == "__doc__"), None
        )
    return text if type(text) is str else None


def _signature(function: Any) -> str:
    """Return a function's parameter names; annotations and defaults could only be shown by code of the script."""
    code = function.__code__
    count, keywords = code.co_argcount, code.co_kwonlyargcount
    names = code.co_varnames
    parts, rest = [*names[:count]], iter(names[count + keywords :])
    if code.co_flags & 0x04:  # CO_VARARGS
        parts.append(f"*{next(rest)}")
    elif keywords:
        parts.append("*")
    parts += names[count : count + keywords]
    if code.co_flags & 0x08:  # CO_VARKEYWORDS
        parts.append(f"**{next(rest)}")
    return f"{_plain(function.__name__)}({', '.join(parts)})"
