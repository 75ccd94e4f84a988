"""Calls of a script's functions, of whatever kind; refusal of results that would leave the script's work undone."""

import contextlib
import dataclasses
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from oet_kernel.kernel.arguments import convert
from oet_kernel.kernel.encoding import encode
from oet_kernel.models import ProcedureInput
from oet_kernel.scripts.signature.typed import verbatim

_LOOKED_AT = 1000
"""Largest number of items of a function's result that are inspected."""


class NothingRun(TypeError):
    """A function has returned work that was not run, such as a generator."""


def check_function(name: str, function: Any, file: str) -> Callable[..., Any]:
    """Return a function of a script if calling it can have an effect.

    Parameters
    ----------
    name
        ``init`` or ``main``.
    function
        Object that the script has bound to the name.
    file
        Path of the script, for the message.

    Raises
    ------
    TypeError
        When the object is not callable, or is a class whose call only creates an instance.
    """
    if not callable(function):
        raise TypeError(
            f"{file} binds {name} to {_a(type(function).__name__)}, which cannot be called; a procedure calls {name}: "
            "make it a function, or give the value another name"
        )
    if isinstance(function, type):
        _check_class(name, function, file)
    called: Callable[..., Any] = function
    return called


def call(
    name: str, function: Callable[..., Any], arguments: ProcedureInput, await_: Callable[[Awaitable[Any]], Any]
) -> Any:
    """Call a function of a script and return its result; an awaitable result is awaited.

    Parameters
    ----------
    name
        ``init`` or ``main``.
    function
        From `check_function`. A command of click or typer is run with the arguments as its command line.
    arguments
        Arguments of the call.
    await_
        Runs an awaitable.

    Raises
    ------
    NothingRun
        When the result is a generator or other work that starts only on demand.
    BaseException
        Any exception of the function.
    """
    if _is_command(function):
        sys.argv[1:] = command_line(arguments)
        result = function()
    else:
        arguments = convert(function, arguments, name)
        result = function(*arguments.args, **{**_defaults_of_typer(function, arguments), **arguments.kwargs})
    if inspect.isawaitable(result):
        result = await_(result)
    if (what := _undone(result)) is not None:
        raise NothingRun(f"{name} gave {what}")
    return result


def command_line(arguments: ProcedureInput) -> list[str]:
    """Return arguments as words of a command line: as typed, else by position, then ``--name value``, ``-n 5``.

    True becomes ``--name`` alone, false and null are left out, a list repeats its name. A text stays unchanged; any
    other value is written as JSON.
    """
    arguments = verbatim(arguments)
    words = [_word(one) for one in arguments.args]
    for name, value in arguments.kwargs.items():
        option = f"-{name}" if len(name) == 1 else f"--{name}"
        for one in value if isinstance(value, list) else [value]:
            if one is True:
                words.append(option)
            elif one is not None and one is not False:
                words += [option, _word(one)]
    return words


def _word(value: Any) -> str:
    return value if isinstance(value, str) else encode(value).decode()


def _check_class(name: str, function: type, file: str) -> None:
    if type(function).__call__ is not type.__call__:
        return
    said = f"{file} binds {name} to the class {function.__name__}"
    if any("__call__" in vars(one) for one in function.__mro__):
        raise TypeError(
            f"{said}, and a call of the class only creates an instance, which can be called; bind {name} to an "
            f"instance: {name} = {function.__name__}()"
        )
    plain = not any({"__init__", "__new__"} & {*vars(one)} for one in function.__mro__ if one is not object)
    generated = dataclasses.is_dataclass(function) and not hasattr(function, "__post_init__")
    if plain or generated:
        raise TypeError(
            f"{said}, and a call of the class creates an instance and runs nothing; bind {name} to a function, or to "
            f"a method of an instance: {name} = {function.__name__}().run"
        )


def _is_command(function: Any) -> bool:
    """Return whether a function is a click command or a typer application, which reads the command line."""
    click = all(callable(getattr(function, one, None)) for one in ("main", "make_context", "parse_args"))
    return click or (type(function).__name__ == "Typer" and type(function).__module__.startswith("typer"))


def _defaults_of_typer(function: Callable[..., Any], arguments: ProcedureInput) -> dict[str, Any]:
    """Return the values of a function's typer defaults: ``typer.Option(1)``."""
    if "typer" not in sys.modules:
        return {}
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return {}
    found = {}
    for one in parameters[len(arguments.args) :]:
        if not type(one.default).__module__.startswith("typer.") or one.name in arguments.kwargs:
            continue
        default = one.default.default
        if default is ...:
            raise TypeError(f"{getattr(function, '__name__', 'the function')}() needs a value for {one.name!r}")
        found[one.name] = default() if callable(default) else default
    return found


def _undone(result: Any) -> str | None:
    """Describe work in a result that was not started, and the remedy; None where there is none."""
    for one in _in(result):
        for found, what, remedy in _KINDS:
            if found(one):
                where = "" if one is result else f"{_a(type(result).__name__)} with "
                return f"{where}{what}{_origin(one)}, of which nothing was run; {remedy}"
    return None


def _in(result: Any) -> Iterator[Any]:
    yield result
    if isinstance(result, Mapping):
        result = result.values() if type(result) is dict else ()
    elif type(result) not in (list, tuple, set, frozenset):
        return
    for count, one in enumerate(result):
        if count == _LOOKED_AT:
            return
        yield one


def _is_new_generator(value: Any) -> bool:
    return inspect.isgenerator(value) and inspect.getgeneratorstate(value) == inspect.GEN_CREATED


def _is_new_coroutine(value: Any) -> bool:
    return inspect.iscoroutine(value) and inspect.getcoroutinestate(value) == inspect.CORO_CREATED


def _is_new_async_generator(value: Any) -> bool:
    if not inspect.isasyncgen(value) or value.ag_frame is None or value.ag_running:
        return False
    if sys.version_info >= (3, 12):
        return not value.ag_suspended
    return bool(value.ag_frame.f_lineno == value.ag_code.co_firstlineno)


def _is_new_context(value: Any) -> bool:
    return isinstance(value, contextlib.AbstractContextManager | contextlib.AbstractAsyncContextManager) and (
        _is_new_generator(getattr(value, "gen", None)) or _is_new_async_generator(getattr(value, "gen", None))
    )


def _is_lazy(value: Any) -> bool:
    return isinstance(value, map | filter)


_KINDS: Sequence[tuple[Callable[[Any], bool], str, str]] = (
    (
        _is_new_generator,
        "a generator",
        "take its items in a function (for item in plan(): ...), or hand it to what runs it, as RunEngine(plan()) does "
        "with a plan of bluesky; a yield in a function makes it a generator",
    ),
    (_is_new_async_generator, "an asynchronous generator", "take its items: async for item in steps(): ..."),
    (_is_new_coroutine, "a coroutine", "await it: await work(), or await asyncio.gather(*works)"),
    (_is_new_context, "a context manager", "enter it: with session(): ..."),
    (_is_lazy, "a lazy iterator", "take its items: list(map(observe, targets))"),
)


def _origin(value: Any) -> str:
    """Return where the code of a generator or a coroutine is defined."""
    value = getattr(value, "gen", value)
    for attribute in ("gi_code", "ag_code", "cr_code"):
        if (code := getattr(value, attribute, None)) is not None:
            return f" ({code.co_qualname}, line {code.co_firstlineno} of {code.co_filename})"
    return f" ({type(value).__name__})"


def _a(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
