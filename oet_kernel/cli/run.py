"""``oet run``: runs a script from its creation to its end, with an embedded service if there is none."""

import os

import click

from oet_kernel.cli.grammar import TwoCalls, behind_dashes
from oet_kernel.cli.options import (
    FREE,
    SCRIPT_WORDS,
    ScriptOptions,
    ServiceOptions,
    truth,
    with_script,
    with_service,
)
from oet_kernel.cli.procedures import created, read_creation
from oet_kernel.cli.results import Begun, Following
from oet_kernel.cli.scripthelp import ScriptCommand
from oet_kernel.formatting.literals import read_command_line
from oet_kernel.state import discovery


class _RunCommand(TwoCalls, ScriptCommand):
    """Command whose help describes the script, and which keeps the words after ``--``."""


@click.command(cls=_RunCommand, context_settings=FREE)
@click.argument("words", nargs=-1, type=SCRIPT_WORDS, metavar="SCRIPT [INIT ARGUMENTS]... [-- MAIN ARGUMENTS...]")
@with_script
@truth("--run_abort", default=True, help="Run the abort script when Ctrl-C stops the procedure.")
@with_service
@click.pass_context
def run(
    context: click.Context,
    words: tuple[str, ...],
    options: ScriptOptions,
    run_abort: bool,
    service: ServiceOptions,
    as_json: bool,
) -> Following:
    """Create, start and follow SCRIPT (a path, file:// or git://) until it ends.

    Without --server-url, OET_URL or a service on this machine, a service is started for this command; that service
    keeps no history.
    The exit status is 0 for COMPLETE, 1 for FAILED, 3 for STOPPED, 2 for a wrong command line. Ctrl-C stops the
    procedure.
    """
    script, init = read_creation(words, options)
    main = read_command_line(behind_dashes(context))
    return Following(
        service=service,
        begin=lambda client: Begun(created(client, script, init, main)),
        main=main,
        stops=True,
        run_abort=run_abort,
        embedded=not (service.url or os.environ.get("OET_URL") or os.environ.get("OET_REST_URI") or discovery.find()),
        as_json=as_json,
    )
