"""``oet run``: a script from its creation to its end, with a service of its own where there is none."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import click

from oet_kernel import discovery
from oet_kernel.cli.embedded import embedded_service
from oet_kernel.cli.follow import follow, outcome
from oet_kernel.cli.options import FREE, Failure, explain, truth, with_service
from oet_kernel.cli.procedures import init_arguments, script_from
from oet_kernel.cli.values import read_arguments
from oet_kernel.client import Client, ClientError
from oet_kernel.models import ProcedureInput, ProcedureState


@contextmanager
def _stop_on_interrupt(client: Client, pid: int, abort: bool) -> Iterator[None]:
    """Stop the procedure at the first Ctrl-C, and go on listening to its last words; the second is as usual."""

    def stop() -> None:
        try:
            click.echo(client.stop(pid, abort=abort), err=True)
        except ClientError as error:
            click.echo(explain(error), err=True)

    def on_interrupt(signum: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        click.echo(f"\n[stopping procedure {pid}; Ctrl-C again to leave it]", err=True)
        stopping.start()

    stopping = threading.Thread(target=stop, daemon=True)
    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
        if stopping.ident is not None:
            stopping.join()
    finally:
        signal.signal(signal.SIGINT, before)


@click.command(context_settings=FREE)
@click.argument("script")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--git-repo", "--git_repo", help="Repository of a git:// script.")
@click.option("--git-branch", "--git_branch", help="Branch; without it the default branch.")
@click.option("--git-commit", "--git_commit", help="Commit; wins over a branch.")
@truth("--create_env", default=False, help="Run in an environment built from the repository's own dependencies.")
@truth("--run_abort", default=True, help="Run the abort script when Ctrl-C stops the procedure.")
@with_service
@click.pass_context
def run(
    context: click.Context,
    script: str,
    arguments: tuple[str, ...],
    git_repo: str | None,
    git_branch: str | None,
    git_commit: str | None,
    create_env: bool,
    run_abort: bool,
    server_url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Create, start and follow SCRIPT until it ends: oet run SCRIPT [init arguments] [-- main arguments].

    Without --server-url, OET_URL or a service on this machine, a service is started for the life of the command.
    The exit status is 0 for COMPLETE, 1 for FAILED, 3 for STOPPED, 2 for a wrong command line. Ctrl-C stops the
    procedure.
    """
    source = script_from(script, git_repo, git_branch, git_commit, create_env)
    main: ProcedureInput | None = read_arguments(context.obj or ())
    with ExitStack() as stack:
        named = server_url or os.environ.get("OET_URL") or os.environ.get("OET_REST_URI")
        if not named and not discovery.find():
            click.echo("[no service is running: starting one for this command]", err=True)
            server_url, token = stack.enter_context(embedded_service())
        client = stack.enter_context(Client(server_url, token))
        events = stack.enter_context(client.events(exclude=("request", "procedure.pool")))
        pid = client.create(source, init_arguments(arguments)).id

        def start_when_ready(state: ProcedureState) -> None:
            nonlocal main
            if state is ProcedureState.READY and main is not None:
                arguments, main = main, None
                client.start(pid, arguments)

        try:
            with _stop_on_interrupt(client, pid, run_abort):
                follow(events, pid, as_json, start_when_ready)
        except KeyboardInterrupt:
            raise Failure(f"Procedure {pid} was left as it is; stop it with: oet stop --pid={pid}", 130) from None
        except Exception:
            if client.procedure(pid).state is ProcedureState.READY:
                client.stop(pid)
            raise
        context.exit(outcome(client.procedure(pid), as_json))
