"""How a command line names what a command acts on, and parts its words from those of a script.

One grammar for all commands: the id stands behind the command, or in ``--pid`` (``--aid`` of an activity); a bare
number there never means anything else. Arguments of a second call stand behind ``--``.
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
    """Keeps what stands behind ``--``, which click would join to what stands before it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before ``--``."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[_BEHIND] = args[at + 1 :]
        return super().parse_args(ctx, args[:at])


def behind_dashes(context: click.Context) -> list[str]:
    """Return the words behind ``--``: the arguments of the second call."""
    words: list[str] = context.meta[_BEHIND]
    return words


def with_id(kind: ServiceId, absent: str | None) -> Callable[[F], F]:
    """Add the id of what a command acts on, as an argument and as an option; the command gets it by the option's name.

    Parameters
    ----------
    kind
        Type of the id.
    absent
        What is taken without it, for the help: ``the newest``; None where it has to be given.
    """
    option = kind.option

    def add(command: F) -> F:
        @wraps(command)
        def called(*args: Any, named: int | None, **given: Any) -> Any:
            other = given.pop(option)
            if named is not None and other is not None and named != other:
                raise click.UsageError(f"{named} or --{option}={other}? Name one {kind.noun}")
            found = other if named is None else named
            if found is None and absent is None:
                command_path = click.get_current_context().command_path
                raise click.UsageError(f"Which {kind.noun}? Name it: {command_path} {option.upper()}")
            return command(*args, **{option: found}, **given)

        text = f"The {kind.noun}, instead of {option.upper()}" + (f"; without either, {absent}." if absent else ".")
        wrapped: Any = click.option(f"--{option}", type=kind, help=text)(called)
        metavar = option.upper() if absent is None else f"[{option.upper()}]"
        return cast(F, click.argument("named", type=kind, required=False, metavar=metavar)(wrapped))

    return add


def read_start(
    words: Sequence[str], behind: Sequence[str], pid: int | None, kind: ServiceId
) -> tuple[int | None, ProcedureInput]:
    """Read which procedure is to be started, and the arguments of its ``main``.

    The first positional word is the id where it is a number and ``--pid`` has not said it; all behind ``--`` is for
    ``main``.

    Parameters
    ----------
    words, behind
        What stands before ``--``, options taken out, and behind it.
    pid
        What ``--pid`` says.
    kind
        Type of the id.

    Raises
    ------
    click.UsageError
        When the first positional word is a number that is no id.
    """
    at = first_positional(words)
    if pid is not None or at is None or not _is_number(words[at]):
        return pid, read_command_line([*words, *behind])
    try:
        found = kind.convert(words[at], None, None)
    except click.BadParameter as error:
        raise click.UsageError(f"{error.message}; arguments of main that are numbers stand behind --") from None
    return found, read_command_line([*words[:at], *words[at + 1 :], *behind])


def _is_number(word: str) -> bool:
    value = read_value(word)
    return word.isdigit() or (isinstance(value, int | float) and not isinstance(value, bool))
