"""Conversion of a call's arguments to the types that its function's annotations promise, just before the call."""

from collections.abc import Callable
from inspect import Parameter
from typing import Any, Unpack, get_args, get_origin

from msgspec import UnsetType

from oet_kernel.kernel.conversion import as_json, reader_of
from oet_kernel.kernel.hints import evaluate, hints_of, namespace_of, signature_of
from oet_kernel.kernel.reading import Reader, Refused
from oet_kernel.models import ProcedureInput, Typed
from oet_kernel.scripts.signature.typed import choose
from oet_kernel.scripts.signature.validation import MOST, as_text, step

_JSON = frozenset({bool, int, float, str, list, dict, tuple})


def convert(function: Callable[..., Any], given: ProcedureInput, name: str) -> ProcedureInput:
    """Convert arguments to the types that a function's annotations promise.

    Arguments without a parameter stay unchanged: the call itself refuses them, with Python's own message.

    Parameters
    ----------
    function
        Function that is about to be called.
    given
        JSON values, and the texts that some were read from.
    name
        Name of the call, with which the paths of arguments begin: ``main``.

    Returns
    -------
    ProcedureInput
        Values of the script's own types.

    Raises
    ------
    TypeError
        ``main.kwargs.config.depth: expected integer, got string "x"``, with other faults behind it.
    """
    if not (given.args or given.kwargs):
        return given
    takes = _Parameters(function)
    typed = Typed() if isinstance(given.typed, UnsetType) else given.typed
    texts = [*typed.args, *[None] * (len(given.args) - len(typed.args))]
    faults: list[str] = []

    def made(read: Reader | None, value: Any, text: str | None, path: str) -> Any:
        if read is None:
            return value
        if text is not None:
            value = choose(text, value, lambda one: _fits(read, one))
        if not _fits(read, value):
            value = as_text(value, lambda one: _fits(read, one))
        try:
            return read(value, path)
        except Refused as refused:
            faults.append(str(refused))
            return value

    args = [made(takes.by_position(n), value, texts[n], f"{name}.args[{n}]") for n, value in enumerate(given.args)]
    kwargs = {
        one: made(takes.by_name(one), value, typed.kwargs.get(one), f"{name}.kwargs{step(one)}")
        for one, value in given.kwargs.items()
    }
    if faults:
        raise TypeError("; ".join(faults[:MOST]))
    return ProcedureInput(args, kwargs)


class _Parameters:
    """Readers for the arguments of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        signature = signature_of(function)
        parameters = [] if signature is None else [*signature.parameters.values()]
        self._names = namespace_of(function)
        by_position = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        self._positional = [one for one in parameters if one.kind in by_position]
        self._named = {one.name: one for one in parameters if one.kind is not Parameter.POSITIONAL_ONLY}
        self._more, self._others = (
            next((self._named.pop(one.name) for one in parameters if one.kind is kind), None)
            for kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        )

    def by_position(self, number: int) -> Reader | None:
        """Return the reader of the argument at a position; None where its type is not known."""
        return self._reader(self._positional[number] if number < len(self._positional) else self._more)

    def by_name(self, name: str) -> Reader | None:
        """Return the reader of a named argument; None where its type is not known."""
        if name in self._named:
            return self._reader(self._named[name])
        if self._others is not None:
            hint = evaluate(self._others.annotation, self._names)
            if get_origin(hint) is Unpack:  # a TypedDict names them one by one
                (fields,) = get_args(hint)
                return reader_of(hints_of(fields).get(name, Any)) if isinstance(fields, type) else None
        return self._reader(self._others)

    def _reader(self, parameter: Parameter | None) -> Reader | None:
        if parameter is None or parameter.annotation is Parameter.empty:
            return None
        read = reader_of(evaluate(parameter.annotation, self._names))
        if read is None or parameter.default is Parameter.empty:
            return read
        if parameter.default is None:  # an author who writes this means Optional
            return lambda value, path: None if value is None else read(value, path)
        # a default that does not fit the annotation shows that more types are meant
        return read if type(parameter.default) not in _JSON or _fits(read, as_json(parameter.default)) else None


def _fits(read: Reader, value: Any) -> bool:
    try:
        read(value, "")
    except Refused:
        return False
    return True
