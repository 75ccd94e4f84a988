"""Choice between text and literal for typed arguments, which can be read as both. Pure."""

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, UnsetType

from oet_kernel.models import ProcedureInput, Typed
from oet_kernel.scripts.signature.validation import ANY_TEXT, mismatch

if TYPE_CHECKING:
    from oet_kernel.scripts.signature.schema import Function, Parameter

_OTHER_KINDS: Sequence[Any] = (0, True, [], {})
_KNOWN = frozenset({"type", "enum", "anyOf"})
"""Keywords of a schema that restrict the type of a value."""


def choose(text: str, literal: Any, fits: Callable[[Any], bool]) -> Any:
    """Choose between a text and the literal that it may be read as.

    Parameters
    ----------
    text
        Typed text.
    literal
        JSON value that the text can be read as.
    fits
        Returns whether the parameter admits a JSON value.

    Returns
    -------
    object
        The one that fits. Where both do: null; the text where the parameter admits no other kind, or reads its value
        from such a text (a date, a member); else the literal.
    """
    if not fits(literal):
        return text if fits(text) else literal
    if not fits(text) or literal is None:
        return literal
    if not fits(ANY_TEXT):
        return text
    return literal if any(map(fits, _OTHER_KINDS)) else text


def resolve(function: "Function", given: ProcedureInput) -> ProcedureInput:
    """Choose for the parameters that are known from the script's text; the kernel chooses for the others.

    Parameters
    ----------
    function
        Function to be called.
    given
        Arguments of the call.

    Returns
    -------
    ProcedureInput
        Arguments, with the texts that are still undecided.
    """
    if function.command_line:
        return verbatim(given)
    if isinstance(given.typed, UnsetType) or function.unknown is not None:
        return given
    positional = [one for one in function.parameters if one.by_position]
    by_name = {one.name: one for one in function.parameters if one.by_name}
    more, others = function.of_kind("var-positional"), function.of_kind("var-keyword")
    args, kwargs = list(given.args), dict(given.kwargs)
    left_args, left_kwargs = list(given.typed.args), dict(given.typed.kwargs)
    for n, text in enumerate(given.typed.args[: len(args)]):
        taker = positional[n] if n < len(positional) else more
        if text is not None and _says(taker):
            args[n], left_args[n] = _chosen(taker, text, args[n]), None
    for name, text in given.typed.kwargs.items():
        taker = by_name.get(name, others)
        if name in kwargs and _says(taker):
            kwargs[name] = _chosen(taker, text, kwargs[name])
            del left_kwargs[name]
    left = any(text is not None for text in left_args) or left_kwargs
    return ProcedureInput(args, kwargs, Typed(left_args, left_kwargs) if left else UNSET)


def verbatim(given: ProcedureInput) -> ProcedureInput:
    """Return the arguments of a command line as typed, since all of them are texts."""
    if isinstance(given.typed, UnsetType):
        return given
    if given.typed.words:
        return ProcedureInput(given.typed.words)
    pairs = zip_longest(given.args, given.typed.args)
    return ProcedureInput(
        [value if text is None else text for value, text in pairs], {**given.kwargs, **given.typed.kwargs}
    )


def _says(taker: "Parameter | None") -> bool:
    """Return whether a parameter's type is known here; the kernel may know annotations that are not understood here."""
    return taker is not None and (bool(_KNOWN & taker.schema.keys()) or not taker.annotated)


def _chosen(taker: "Parameter | None", text: str, literal: Any) -> Any:
    schema = {} if taker is None else taker.schema
    return choose(text, literal, lambda value: mismatch(schema, value, "") is None)
