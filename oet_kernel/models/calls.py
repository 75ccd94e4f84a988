"""Arguments of a script's functions."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

from oet_kernel.models.description import about

FunctionName = Literal["init", "main"]


class Typed(Struct, frozen=True):
    """Arguments as typed by a user."""

    args: Annotated[list[str | None], about("Text of each positional argument; null where the value is known.")] = (
        field(default_factory=list)
    )
    kwargs: Annotated[dict[str, str], about("Texts of keyword arguments, without those whose value is known.")] = field(
        default_factory=dict
    )
    words: Annotated[
        list[str], about("All words in order, for a script that reads its command line; empty if unknown.")
    ] = field(default_factory=list)


class ProcedureInput(Struct, frozen=True):
    """Arguments of one call."""

    args: Annotated[list[Any], about("Positional arguments, any JSON values.")] = field(default_factory=list)
    kwargs: Annotated[dict[str, Any], about("Keyword arguments, any JSON values.")] = field(default_factory=dict)
    typed: Annotated[
        Typed | UnsetType,
        about(
            "Texts from which the values were read as literals; where the script's annotation is text, the text is the "
            "value. The service or the kernel, whichever can read the annotation, decides and then removes the texts."
        ),
    ] = UNSET

    def over(self, usual: "ProcedureInput") -> "ProcedureInput":
        """Return these arguments, completed by the usual ones where they are missing."""
        kwargs = {**usual.kwargs, **self.kwargs}
        theirs, ours = (Typed() if isinstance(one.typed, UnsetType) else one.typed for one in (usual, self))
        left = {name: text for name, text in theirs.kwargs.items() if name not in self.kwargs}
        typed = Typed((ours if self.args else theirs).args, {**left, **ours.kwargs})
        return ProcedureInput(self.args or usual.args, kwargs, typed if typed.args or typed.kwargs else UNSET)


Calls = Annotated[dict[str, ProcedureInput], about("Arguments of each function called, by function name.")]


class ScriptArgs(Struct, frozen=True):
    """Arguments by function name: ``script_args`` of a request."""

    init: Annotated[ProcedureInput | UnsetType, about("Arguments of `init`.")] = UNSET
    main: Annotated[ProcedureInput | UnsetType, about("Arguments of `main`.")] = UNSET
    run: Annotated[ProcedureInput | UnsetType, about("Arguments of `main` from older clients.")] = UNSET

    @property
    def main_name(self) -> Literal["main", "run"]:
        """Name under which the arguments of ``main`` are given."""
        return "run" if isinstance(self.main, UnsetType) and not isinstance(self.run, UnsetType) else "main"

    @property
    def has_main(self) -> bool:
        """True if the arguments of ``main`` are given, under either name."""
        return not (isinstance(self.main, UnsetType) and isinstance(self.run, UnsetType))

    @property
    def main_args(self) -> ProcedureInput:
        """Arguments of ``main``, under either name."""
        for given in (self.main, self.run):
            if not isinstance(given, UnsetType):
                return given
        return ProcedureInput()

    @property
    def init_args(self) -> ProcedureInput:
        """Arguments of ``init``."""
        return ProcedureInput() if isinstance(self.init, UnsetType) else self.init


def subarray_id_of(calls: Iterable[Mapping[str, Any]]) -> Any:
    """Return the ``subarray_id`` of the newest call that has one; None if there is none.

    Parameters
    ----------
    calls
        Keyword arguments of each call, oldest first.
    """
    given = [kwargs["subarray_id"] for kwargs in calls if kwargs.get("subarray_id") is not None]
    return given[-1] if given else None
