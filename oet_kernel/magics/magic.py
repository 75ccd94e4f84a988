"""OetMagics: ``%oet`` and ``%%oet_procedure``."""

import re
import shlex
from typing import Any

import click
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from oet_kernel.cli.options import Failure, explain
from oet_kernel.client import ClientError
from oet_kernel.magics.commands import COMMANDS, notebook, oet_procedure, variable, waits
from oet_kernel.magics.session import Interrupted, Session
from oet_kernel.magics.shown import Shown
from oet_kernel.printable import printable

_VARIABLE = re.compile(r"\{([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\}")


class RequestFailed(Exception):
    """A request failed or was interrupted; shown as a sentence, since a traceback would not help."""

    def _render_traceback_(self) -> list[str]:
        return [printable(str(self))]


@magics_class
class OetMagics(Magics):
    """Procedures, from a notebook."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.session = Session(shell)

    @no_var_expand  # braces may also be JSON
    @line_magic
    def oet(self, line: str) -> Shown | None:
        """Prepare, run, watch and stop procedures: the commands of oet, and connect; %oet --help lists them.

        {name} stands for the value of a variable, {run.id} for that of an attribute.
        """
        return self._carry_out(COMMANDS, "%oet", line or "--help")

    @no_var_expand
    @cell_magic
    def oet_procedure(self, line: str, cell: str) -> Shown | None:
        """Create, or with --run run, a procedure whose script is this cell; %%oet_procedure --help lists options."""
        return self._carry_out(oet_procedure, "%%oet_procedure", line, cell)

    def _carry_out(self, command: click.Command, magic: str, line: str, cell: str = "") -> Shown | None:
        try:
            words = [self._expand(word) for word in shlex.split(line)]
        except ValueError as error:
            raise UsageError(f"{magic}: {error}") from None
        try:
            with command.make_context(magic, words, obj=notebook(self.session, cell)) as context:
                result = command.invoke(context)
            shown = self.session.present(result, waits(context))
            if name := variable(context):
                self.shell.user_ns[name] = shown
            return shown
        except click.exceptions.Exit:
            return None
        except click.ClickException as error:
            raise UsageError(_usage(error, magic)) from None
        except (Failure, ClientError, Interrupted) as error:
            raise RequestFailed(_advised(error)) from None

    def _expand(self, word: str) -> str:
        """Return a word with variables replaced by their values; unknown ones stay as typed."""

        def value(found: re.Match[str]) -> str:
            first, *attributes = found[1].split(".")
            missing: Any = found[0]
            one = self.shell.user_ns.get(first, missing)
            for attribute in attributes:
                one = one if one is missing else getattr(one, attribute, missing)
            return str(one)

        return _VARIABLE.sub(value, word)


def _usage(error: click.ClickException, name: str) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{printable(error.format_message())}\nTry '{context.command_path if context else name} --help' for help."


def _advised(error: Exception) -> str:
    """Return an error's message, with advice for notebooks where the service's own is for operators."""
    advice = "name a folder there with %oet connect --cells FOLDER to run cells"
    refused = getattr(error, "type", None) == "ScriptNotAllowed"
    return f"{explain(error)}; {advice}" if refused else explain(error)
