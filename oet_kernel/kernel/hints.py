"""Evaluation of annotations, each by itself: an unknown name leaves its annotation out, and does not affect others."""

import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import InitVar
from typing import Any, TypeVar

Bound = Mapping[Any, Any]
"""Types by type variable."""
UNBOUND: Bound = types.MappingProxyType({})

_WRAPPERS = frozenset({"Annotated", "Final", "Required", "NotRequired", "ReadOnly", "ClassVar"})
"""Names of qualifiers that wrap a type."""


def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """Return the signature of a callable; None where it is not available.

    Annotations that cannot be evaluated stay unevaluated.
    """
    options: dict[str, Any] = {}
    if sys.version_info >= (3, 14):
        import annotationlib

        options["annotation_format"] = annotationlib.Format.FORWARDREF
    try:
        return inspect.signature(function, **options)
    except Exception:  # builtins have none; the script's own objects may raise anything
        return None


def namespace_of(function: Any) -> dict[str, Any]:
    """Return the namespace of a callable's annotations: the names of the module that defines it."""
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
    """Evaluate an annotation, texts in it included; `Any` where this fails.

    Parameters
    ----------
    annotation
        The unevaluated annotation: a type, a text or any other object.
    names, local
        Global and local names for the evaluation.
    """
    try:
        if isinstance(annotation, str):
            annotation = typing.ForwardRef(annotation, is_argument=False, is_class=True)
        holder = types.SimpleNamespace(__annotations__={"it": annotation})
        return typing.get_type_hints(holder, names, dict(local or {}), include_extras=True)["it"]
    except Exception:  # an annotation may be any object, and raise anything
        return Any


def hints_of(cls: type) -> dict[str, Any]:
    """Evaluate the annotations of a class and of its bases, each with the names of its own module."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        names, local = names_of(base), dict(vars(base))
        for name, annotation in _annotations(base).items():
            found[name] = evaluate(annotation, names, local)
    return found


def plain_hint(hint: Any, bound: Bound) -> tuple[Any, Bound]:
    """Return the type behind an annotation: without qualifiers, NewTypes, aliases and type variables.

    Returns
    -------
    object
        The type; `Any` for an alias that refers to itself.
    Bound
        Types of the type variables in it.
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
    except Exception:  # evaluated only now, and may refer to unknown names
        return Any


def _annotations(cls: type) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return inspect.get_annotations(cls)


def names_of(cls: type) -> dict[str, Any]:
    """Return the names of the module that defines a class."""
    return vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
