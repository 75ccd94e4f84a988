"""Arguments of a script in the help of commands: ``oet run observe.py --help``."""

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

import click
from click.shell_completion import CompletionItem

from oet_kernel.cli.grammar import TwoCalls
from oet_kernel.cli.options import Follows, offered
from oet_kernel.formatting.literals import read_call
from oet_kernel.printable import printable

if TYPE_CHECKING:
    from oet_kernel.scripts.signature.schema import Function, Parameter, Reading

_WORDS = "oet_kernel.cli.scripthelp.words"


class ScriptCommand(Follows):
    """Command whose first argument is a script."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words, and keep them for the help, which is printed before they are parsed."""
        ctx.meta[_WORDS] = list(args)
        return super().parse_args(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        """Return the help, with texts of a script made safe for a terminal."""
        return printable(super().get_help(ctx))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the description of the script on the command line, if there is one."""
        super().format_epilog(ctx, formatter)
        if (script := _script_of(ctx)) is not None:
            describe(script, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the options of the command, and of the ``init`` of the script before."""
        return [*super().shell_complete(ctx, incomplete), *_options(ctx, "init", incomplete)]


def second_options(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the options after ``--``: those of ``main``, or of ``init`` if the command calls only that.

    Parameters
    ----------
    ctx
        Context of a command whose first argument is a script.
    incomplete
        Beginning of the options.
    """
    return _options(ctx, "main" if isinstance(ctx.command, TwoCalls) else "init", incomplete)


def _options(ctx: click.Context, function: Literal["init", "main"], incomplete: str) -> list[CompletionItem]:
    from oet_kernel.scripts.signature.bindings import ScriptUnreadable

    try:
        reading = None if (script := _script_of(ctx)) is None else _read(script)
    except (OSError, ValueError, ScriptUnreadable, click.UsageError):
        return []
    found = None if reading is None else reading.init if function == "init" else reading.main
    given = {word.partition("=")[0] for word in ctx.meta.get(_WORDS, [])}
    return offered(
        (f"--{one.name}", _explain(one))
        for one in (() if found is None else found.parameters)
        if one.by_name
        and f"--{one.name}".startswith(incomplete)
        and (function == "main" or f"--{one.name}" not in given)
    )


def _script_of(ctx: click.Context) -> str | None:
    """Return the script on the command line; None if there is none."""
    words = [word for word in ctx.meta.get(_WORDS, []) if word not in ctx.help_option_names]
    given, *_ = ctx.command.make_parser(ctx).parse_args(words)
    typed = given["words"]
    return read_call(typed)[0] if isinstance(typed, list | tuple) else None


def _read(script: str) -> "Reading":
    from oet_kernel.scripts.notebook_schema import read_file  # only help and completion need it

    path = _path(script)
    if not path.is_file():  # reading a pipe would block
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), script)
    return read_file(path, path.read_bytes())


def describe(script: str, formatter: click.HelpFormatter) -> None:
    """Write the docstring of a script, and the arguments of its functions.

    Parameters
    ----------
    script
        Path or URI of the script.
    formatter
        Receives the text.
    """
    from oet_kernel.scripts.signature.bindings import ScriptUnreadable  # only help and completion need it

    with formatter.section(f"Script {script}"):
        try:
            reading = _read(script)
        except ScriptUnreadable as error:
            formatter.write_text(f"The script cannot be run: {f'line {error.line}: ' if error.line else ''}{error.why}")
            return
        except (OSError, ValueError) as error:
            formatter.write_text(
                f"The arguments of the script cannot be read here: {getattr(error, 'strerror', None) or error}"
            )
            return
        paragraphs = (reading.docstring or "The script has no docstring.").split("\n\n")
        # indented lines are examples, and are kept unchanged
        formatter.write_text("\n\n".join(f"\b\n{one}" if one.startswith(" ") else one for one in paragraphs))
    if reading.main is not None and reading.main.command_line:
        with formatter.section("Arguments"):
            formatter.write_text(
                "The file runs as a whole, as by python: the words after -- are its command line, "
                f"oet run {script} -- --help among others."
            )
        return
    for function in filter(None, (reading.init, reading.main)):
        _describe(function, formatter)


def _path(script: str) -> Path:
    if script.startswith("git://"):
        raise ValueError("the script is in a git repository")
    return Path(unquote(script.removeprefix("file://")) if script.startswith("file://") else script)


def _describe(function: "Function", formatter: click.HelpFormatter) -> None:
    with formatter.section(f"Arguments of {function.name}"):
        if function.description:
            formatter.write_text(" ".join(function.description.split()))
        if function.unknown is not None:
            formatter.write_text(f"Not known: {function.unknown}.")
        elif not function.parameters:
            formatter.write_text("None.")
        else:
            formatter.write_dl([(_name(one), _explain(one)) for one in function.parameters])


def _name(parameter: "Parameter") -> str:
    match parameter.kind:
        case "positional-only":
            name = parameter.name.upper()
        case "var-positional":
            name = f"[{parameter.name.upper()}]..."
        case "var-keyword":
            name = "--ANY"
        case _:
            name = f"--{parameter.name}"
    kind = parameter.schema.get("x-type")
    return f"{name} {kind}" if kind else name


def _explain(parameter: "Parameter") -> str:
    from oet_kernel.scripts.signature.validation import expected

    schema = parameter.schema
    parts = [" ".join(schema.get("description", "").split())]
    if "enum" in schema and "x-members" not in schema and not str(schema.get("x-type", "")).startswith("Literal"):
        parts.append(f"[{expected(schema)}]")
    if members := schema.get("x-members"):
        parts.append(f"[one of {', '.join(members)}]")
    if "default" in schema:
        parts.append(f"[default: {schema['default']!r}]")
    elif "x-default" in schema:
        parts.append(f"[default: {schema['x-default']}]")
    elif parameter.required:
        parts.append("[required]")
    return "  ".join(filter(None, parts))
