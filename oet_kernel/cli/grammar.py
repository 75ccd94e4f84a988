"""Grammar of command lines: ids of procedures and activities, and words for a script.

One grammar for all commands: the id follows the command, or is given by ``--pid`` (``--aid`` for an activity); a bare
number there never means anything else. Arguments of a second call follow ``--``.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

import click

from oet_kernel.cli.options import Follows, ServiceId
from oet_kernel.formatting.literals import first_positional, read_command_line, read_value
from oet_kernel.models import ProcedureInput

F = TypeVar("F", bound=Callable[..., Any])

_BEHIND = "oet_kernel.cli.grammar.behind"


class TwoCalls(Follows):
    """Command that keeps the words after ``--`` separate, which click would join to those before."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words before ``--``."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[_BEHIND] = args[at + 1 :]
        return super().parse_args(ctx, args[:at])


def behind_dashes(context: click.Context) -> list[str]:
    """Return the words after ``--``: the arguments of the second call."""
    words: list[str] = context.meta[_BEHIND]
    return words


def with_id(kind: ServiceId, absent: str | None) -> Callable[[F], F]:
    """Add the id that a command acts on, as an argument and as an option; the command gets it by the option's name.

    Parameters
    ----------
    kind
        Type of the id.
    absent
        Default for the help, ``the newest``; None if the id is required.
    """
    option = kind.option

    def add(command: F) -> F:
        @wraps(command)
        def called(*args: Any, named: int | None, **given: Any) -> Any:
            other = given.pop(option)
            if named is not None and other is not None and named != other:
                raise click.UsageError(f"{named} and --{option}={other} contradict each other; give one {kind.noun}")
            found = other if named is None else named
            if found is None and absent is None:
                command_path = click.get_current_context().command_path
                raise click.UsageError(f"No {kind.noun} is given; write {command_path} {option.upper()}")
            return command(*args, **{option: found}, **given)

        text = f"Id of the {kind.noun}, instead of {option.upper()}" + (f"; default: {absent}." if absent else ".")
        wrapped: Any = click.option(f"--{option}", type=kind, help=text)(called)
        metavar = option.upper() if absent is None else f"[{option.upper()}]"
        return cast(F, click.argument("named", type=kind, required=False, metavar=metavar)(wrapped))

    return add


def read_start(
    words: Sequence[str], behind: Sequence[str], pid: int | None, kind: ServiceId
) -> tuple[int | None, ProcedureInput]:
    """Read the id of the procedure to start, and the arguments of its ``main``.

    The first positional word is the id if it is a number and ``--pid`` is not given; all words after ``--`` are for
    ``main``.

    Parameters
    ----------
    words, behind
        Words before ``--``, without options, and after it.
    pid
        Value of ``--pid``; None without it.
    kind
        Type of the id.

    Raises
    ------
    click.UsageError
        When the first positional word is a number, but not a valid id.
    """
    at = first_positional(words)
    if pid is not None or at is None or not _is_number(words[at]):
        return pid, read_command_line([*words, *behind])
    try:
        found = kind.convert(words[at], None, None)
    except click.BadParameter as error:
        raise click.UsageError(f"{error.message}; give numeric arguments of main after --") from None
    return found, read_command_line([*words[:at], *words[at + 1 :], *behind])


def _is_number(word: str) -> bool:
    value = read_value(word)
    return word.isdigit() or (isinstance(value, int | float) and not isinstance(value, bool))
