"""``oet run``: a script from its creation to its end, with a service of its own where there is none."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import click

from oet_kernel import discovery
from oet_kernel.cli.embedded import embedded_service
from oet_kernel.cli.follow import follow
from oet_kernel.cli.options import FREE, Failure, explain, truth, with_git, with_service
from oet_kernel.cli.printing import Printer
from oet_kernel.cli.procedures import read_creation
from oet_kernel.cli.scripthelp import ScriptCommand
from oet_kernel.cli.values import read_arguments
from oet_kernel.client import ApiError, Client, ClientError
from oet_kernel.models import ProcedureInput, ProcedureState, ProcedureSummary, Script

_MAIN = "oet_kernel.cli.run.main"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _RunCommand(ScriptCommand):
    """Keeps what stands behind ``--``, which click would join to what stands before it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[_MAIN] = args[at + 1 :]
        return super().parse_args(ctx, args[:at])


@contextmanager
def _stop_on_interrupt(client: Client, pid: int, abort: bool) -> Iterator[None]:
    """Stop the procedure at the first Ctrl-C or SIGTERM, and go on to its last words; the second interrupts."""

    def stop() -> None:
        # not in the signal's handler, which may have interrupted a print
        click.echo(f"\n[stopping procedure {pid}; Ctrl-C again to leave it]", err=True)
        try:
            click.echo(client.stop(pid, abort=abort), err=True)
        except ClientError as error:
            click.echo(explain(error), err=True)

    def on_signal(signum: int, frame: object) -> None:
        for one in _SIGNALS:
            signal.signal(one, signal.default_int_handler)
        stopping.start()

    stopping = threading.Thread(target=stop, daemon=True)
    before = {one: signal.signal(one, on_signal) for one in _SIGNALS}
    try:
        yield
        if stopping.ident is not None:
            stopping.join()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@click.command(cls=_RunCommand, context_settings=FREE)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="SCRIPT [INIT ARGUMENTS]... [-- MAIN ARGUMENTS...]")
@with_git
@truth("--run_abort", default=True, help="Run the abort script when Ctrl-C stops the procedure.")
@with_service
@click.pass_context
def run(
    context: click.Context,
    words: tuple[str, ...],
    git_repo: str | None,
    git_branch: str | None,
    git_commit: str | None,
    create_env: bool,
    run_abort: bool,
    server_url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Create, start and follow SCRIPT (a path, file:// or git://) until it ends.

    Without --server-url, OET_URL or a service on this machine, a service is started for the life of the command.
    The exit status is 0 for COMPLETE, 1 for FAILED, 3 for STOPPED, 2 for a wrong command line. Ctrl-C stops the
    procedure.
    """
    script, init = read_creation(words, git_repo, git_branch, git_commit, create_env)
    main = read_arguments(context.meta[_MAIN])
    printer = Printer(as_json)
    with ExitStack() as stack:
        own = not (server_url or os.environ.get("OET_URL") or os.environ.get("OET_REST_URI") or discovery.find())
        if own:
            click.echo("[no service is running: starting one for this command]", err=True)
            server_url, token = stack.enter_context(embedded_service())
        client = stack.enter_context(Client(server_url, token))
        status = _Run(client, printer, main, run_abort).carry_out(script, init)
        if own:
            _await_others(client, printer)
    context.exit(status)


class _Run:
    """One procedure of this command.

    Parameters
    ----------
    client
        Asks the service.
    printer
        Prints.
    main
        What ``main`` is called with once the procedure is READY.
    run_abort
        Whether an interrupt also runs the abort script.
    """

    def __init__(self, client: Client, printer: Printer, main: ProcedureInput, run_abort: bool) -> None:
        self._client = client
        self._printer = printer
        self._main = main
        self._run_abort = run_abort
        self._pid: int | None = None
        self._started = False

    def carry_out(self, script: Script | str, init: ProcedureInput) -> int:
        """Create, start and follow the procedure; gives the exit status."""
        with ExitStack() as stack:

            def begin() -> ProcedureSummary:
                summary = self._client.create(script, init)
                self._pid = summary.id
                stack.enter_context(_stop_on_interrupt(self._client, summary.id, self._run_abort))
                return summary

            try:
                return follow(self._client, self._printer, begin, on_state=self._start_when_ready)
            except KeyboardInterrupt:
                if self._pid is None:
                    raise
                left = f"Procedure {self._pid} was left as it is; stop it with: oet procedure stop --pid={self._pid}"
                raise Failure(left, 130) from None
            except ApiError:
                if self._pid is not None and not self._started:
                    self._client.stop(self._pid)  # prepared for this command alone
                raise

    def _start_when_ready(self, state: ProcedureState) -> None:
        if state is ProcedureState.READY and self._pid is not None and not self._started:
            self._client.start(self._pid, self._main)
            self._started = True


def _await_others(client: Client, printer: Printer) -> None:
    """Follow what still runs in a service that ends with this command: the abort script of a stop."""
    for other in client.procedures():
        if not other.state.inactive:
            follow(client, printer, lambda pid=other.id: client.procedure(pid), other.id)  # type: ignore[misc]
