"""``oet procedure``: create, list, start, pause, resume, stop, describe."""

from collections.abc import Callable, Sequence

import click
from click.shell_completion import CompletionItem
from msgspec.structs import replace

from oet_kernel.cli.grammar import TwoCalls, behind_dashes, read_start, with_id
from oet_kernel.cli.options import (
    FREE,
    PROCEDURE_ID,
    SCRIPT_WORDS,
    START_WORDS,
    Failure,
    ScriptOptions,
    ServiceOptions,
    main_options,
    truth,
    with_script,
    with_service,
)
from oet_kernel.cli.printing import say, say_readings
from oet_kernel.cli.results import Answer, Begun, Following
from oet_kernel.cli.scripthelp import ScriptCommand
from oet_kernel.client import Client, script_of
from oet_kernel.formatting import tables
from oet_kernel.formatting.documents import Document
from oet_kernel.formatting.literals import call_of, read_call
from oet_kernel.models import GitArgs, GitScript, ProcedureInput, ProcedureState, ProcedureSummary, Script


@click.group()
@with_service
def procedure(service: ServiceOptions, as_json: bool) -> None:
    """Create, list, start, pause, resume, stop and describe procedures."""


@procedure.command(cls=ScriptCommand, context_settings=FREE)
@click.argument("words", nargs=-1, type=SCRIPT_WORDS, metavar="SCRIPT_URI [ARGUMENTS]...")
@with_script
@with_service
def create(
    words: tuple[str, ...],
    options: ScriptOptions,
    service: ServiceOptions,
    as_json: bool,
) -> Following:
    """Prepare the script SCRIPT_URI; ARGUMENTS, --name=value among them, go to its init.

    subarray_id is 1 unless given. With a script and --help, the help shows what the script takes.
    """
    script, init = read_creation(words, options)
    return Following(
        service=service,
        begin=lambda client: begun(created(client, script, init), as_json),
        stays=False,
        until_ready=True,
        as_json=as_json,
    )


@procedure.command("list")
@with_id(PROCEDURE_ID, "all")
@with_service
def list_(pid: int | None, service: ServiceOptions, as_json: bool) -> Answer:
    """List procedures, in order of creation."""
    with service.client() as client:
        summaries = client.procedures() if pid is None else [client.procedure(pid)]
    return Answer(summaries, tables.list_procedures(summaries), as_json)


class _StartCommand(TwoCalls):
    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the options of the command, and of the procedure's main."""
        return [*super().shell_complete(ctx, incomplete), *main_options(ctx, incomplete)]


@procedure.command(cls=_StartCommand, context_settings=FREE)
@click.argument("words", nargs=-1, type=START_WORDS, metavar="[PID] [ARGUMENTS]... [-- ARGUMENTS...]")
@click.option("--pid", type=PROCEDURE_ID, help="Id of the procedure, instead of PID; default: the newest.")
@truth("--listen", default=True, help="Print events until the procedure ends.")
@with_service
@click.pass_context
def start(
    context: click.Context,
    words: tuple[str, ...],
    pid: int | None,
    listen: bool,
    service: ServiceOptions,
    as_json: bool,
) -> Following:
    """Run the procedure PID, which must be READY; ARGUMENTS, --name=value among them, go to its main.

    A number in the first place is the PID, unless --pid is given. The words after -- are arguments of main, numbers
    included.
    """
    pid, main = read_start(words, behind_dashes(context), pid, PROCEDURE_ID)
    with service.client() as client:
        found = startable(client, pid)

    def begin(client: Client) -> Begun:
        summary = client.start(found, main)
        if pid is None:
            say(f"[starting procedure {found}, the newest: {call_of('main', main)}]", err=True)
        say_readings(main, summary, "main")
        started = begun(summary, as_json)
        return Begun(started.summary) if listen and as_json else started  # the last event holds the summary

    return Following(service=service, begin=begin, pid=found, stays=listen, as_json=as_json)


@procedure.command()
@with_id(PROCEDURE_ID, "the only one that runs")
@truth("--run_abort", default=True, help="Run the abort script on its subarray afterwards.")
@with_service
def stop(pid: int | None, run_abort: bool, service: ServiceOptions, as_json: bool) -> Answer:
    """Stop a procedure, and run the abort script on its subarray by default."""
    with service.client() as client:
        found = only(client, pid, lambda one: one.state is ProcedureState.RUNNING, "running", "stop")
        message = client.stop(found, abort=run_abort)
    return Answer({"abort_message": message}, Document([message]), as_json)


@procedure.command()
@with_id(PROCEDURE_ID, "the only one that runs")
@click.option(
    "--at", metavar="PATTERN", help="Pattern of the checkpoint's whole name, as for file names: 'scan *'; default: any."
)
@with_service
def pause(pid: int | None, at: str | None, service: ServiceOptions, as_json: bool) -> Answer:
    """Pause a procedure at its next checkpoint, until it is resumed."""
    with service.client() as client:
        found = only(client, pid, lambda one: one.state is ProcedureState.RUNNING, "running", "pause")
        return _shown(client.pause(found, at), as_json)


@procedure.command()
@with_id(PROCEDURE_ID, "the only one that is paused")
@with_service
def resume(pid: int | None, service: ServiceOptions, as_json: bool) -> Answer:
    """Resume a paused procedure, or cancel a requested pause."""
    with service.client() as client:
        found = only(client, pid, lambda one: one.pause is not None, "paused", "resume")
        return _shown(client.resume(found), as_json)


@procedure.command()
@with_id(PROCEDURE_ID, "the newest")
@with_service
def describe(pid: int | None, service: ServiceOptions, as_json: bool) -> Answer:
    """Show a procedure: times and states, calls, stack trace; also one that 'oet list' no longer shows."""
    with service.client() as client:
        summary = client.find(pid) if pid is not None else newest(client)
    return Answer(summary, tables.describe_procedure(summary), as_json)


def script_from(uri: str, options: ScriptOptions) -> Script:
    """Return the script for an address and options on the command line."""
    if uri.startswith("git://"):
        if options.git_repo is None:
            raise click.UsageError(f"{uri} is in a git repository; name the repository with --git-repo")
        args = GitArgs(git_repo=options.git_repo, git_branch=options.git_branch, git_commit=options.git_commit)
        return GitScript(
            script_uri=uri,
            git_args=args,
            create_env=options.create_env,
            kernel=options.kernel,
            own_folder=options.own_folder,
        )
    if options.git_repo or options.git_branch or options.git_commit or options.create_env:
        raise click.UsageError(
            f"--git-repo, --git-branch, --git-commit and --create-env are for git:// scripts, not {uri}"
        )
    if "://" in uri and not uri.startswith("file://"):
        raise click.UsageError(f"Script URI type not handled: {uri}; use a path, file:// or git://")
    return replace(script_of(uri), kernel=options.kernel, own_folder=options.own_folder)


def read_creation(words: Sequence[str], options: ScriptOptions) -> tuple[Script, ProcedureInput]:
    """Read the script to prepare, and the arguments of its ``init``; the default subarray is 1."""
    uri, init = read_call(words)
    if uri is None:
        raise click.UsageError("No script is given; write a path, file:// or git:// before the arguments")
    init.kwargs.setdefault("subarray_id", 1)
    return script_from(uri, options), init


def created(
    client: Client, script: Script | str, init: ProcedureInput, main: ProcedureInput | None = None
) -> ProcedureSummary:
    """Create a procedure, and print warnings about its arguments; `main` is checked if given."""
    summary = client.create(script, init, main)
    say_readings(init, summary, "init")
    return summary


def newest(client: Client) -> ProcedureSummary:
    """Return the procedure that was created last."""
    summaries = client.procedures()
    if not summaries:
        raise Failure("No procedures exist; create one with 'oet procedure create'")
    return summaries[-1]


def only(client: Client, pid: int | None, is_meant: Callable[[ProcedureSummary], bool], what: str, verb: str) -> int:
    """Return the given id of a procedure, or that of the only one that matches; raises if not exactly one does."""
    if pid is not None:
        return pid
    found = [one.id for one in client.procedures() if is_meant(one)]
    if not found:
        raise Failure(f"No procedures to {verb}")
    if len(found) > 1:
        raise Failure(f"Procedures {', '.join(map(str, found))} are {what}; name one with --pid")
    return found[0]


def startable(client: Client, pid: int | None) -> int:
    """Return the id of the procedure to start, and check that it can be started."""
    summary = newest(client) if pid is None else client.procedure(pid)
    if summary.state is not ProcedureState.READY:
        if pid is not None:
            raise Failure(f"Cannot start a procedure in state {summary.state.name}.")
        raise Failure(
            f"The last procedure created is in {summary.state.name} state and cannot be started, "
            "please specify a valid procedure ID."
        )
    return summary.id


def begun(summary: ProcedureSummary, as_json: bool) -> Begun:
    """Return the result for a procedure that a command has created or changed."""
    return Begun(summary, _shown(summary, as_json))


def _shown(summary: ProcedureSummary, as_json: bool) -> Answer:
    return Answer(summary, tables.list_procedures([summary]), as_json)
