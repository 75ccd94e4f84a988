"""Evaluates annotations, each by itself: one that names what is not there is left out, and spoils no other."""

import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import InitVar
from typing import Any, TypeVar

Bound = Mapping[Any, Any]
"""What type variables stand for."""
UNBOUND: Bound = types.MappingProxyType({})

_WRAPPERS = frozenset({"Annotated", "Final", "Required", "NotRequired", "ReadOnly", "ClassVar"})
"""What says more of a type than which it is."""


def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """Read the signature of what can be called; None where it does not say.

    Annotations that cannot be evaluated are left as they stand.
    """
    options: dict[str, Any] = {}
    if sys.version_info >= (3, 14):
        import annotationlib

        options["annotation_format"] = annotationlib.Format.FORWARDREF
    try:
        return inspect.signature(function, **options)
    except Exception:  # builtins have none; that of a script's own object may raise whatever it likes
        return None


def namespace_of(function: Any) -> dict[str, Any]:
    """Find the names that a callable's annotations are written in: those of the module that defines it."""
    while True:
        if hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif isinstance(getattr(function, "__globals__", None), dict):
            return function.__globals__  # type: ignore[no-any-return]
        elif hasattr(function, "func"):  # functools.partial
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        elif isinstance(function, type):
            return names_of(function)
        else:
            return names_of(type(function))


def evaluate(annotation: Any, names: dict[str, Any], local: Mapping[str, Any] | None = None) -> Any:
    """Evaluate an annotation, texts inside of it too; `Any` for one that cannot be.

    Parameters
    ----------
    annotation
        As it stands: a type, a text, whatever.
    names, local
        What names mean in it.
    """
    try:
        if isinstance(annotation, str):
            annotation = typing.ForwardRef(annotation, is_argument=False, is_class=True)
        holder = types.SimpleNamespace(__annotations__={"it": annotation})
        return typing.get_type_hints(holder, names, dict(local or {}), include_extras=True)["it"]
    except Exception:  # an annotation may be anything, and evaluate to anything
        return Any


def hints_of(cls: type) -> dict[str, Any]:
    """Evaluate the annotations of a class and of its bases, each in the names of its own module."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        names, local = names_of(base), dict(vars(base))
        for name, annotation in _annotations(base).items():
            found[name] = evaluate(annotation, names, local)
    return found


def plain_hint(hint: Any, bound: Bound) -> tuple[Any, Bound]:
    """Return what an annotation means in the end: without notes, new names, aliases and type variables.

    Returns
    -------
    object
        The type; `Any` for an alias that means itself.
    Bound
        What the type variables in it stand for.
    """
    for _ in range(100):
        origin = typing.get_origin(hint)
        name = getattr(hint, "__name__", None) if origin is None else getattr(origin, "_name", None)
        if isinstance(hint, TypeVar):
            hint = bound.get(hint, Any)
        elif isinstance(hint, InitVar):
            hint = hint.type
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":
            hint = _value_of(hint)
        elif type(origin).__name__ == "TypeAliasType":
            bound = {**bound, **dict(zip(origin.__type_params__, typing.get_args(hint), strict=False))}
            hint = _value_of(origin)
        elif typing.get_origin(hint) is typing.Annotated or name in _WRAPPERS:
            hint = typing.get_args(hint)[0]
        elif isinstance(hint, typing.ParamSpecArgs | typing.ParamSpecKwargs):
            return Any, bound
        else:
            return hint, bound
    return Any, bound


def _value_of(alias: Any) -> Any:
    try:
        return alias.__value__
    except Exception:  # it is evaluated only now, and may name what is not there
        return Any


def _annotations(cls: type) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return inspect.get_annotations(cls)


def names_of(cls: type) -> dict[str, Any]:
    """Return the names of the module that defines a class."""
    return vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
