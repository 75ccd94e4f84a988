"""Terminal front end: prints results of commands."""

import math
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self, assert_never

from oet_kernel.cli.embedded import embedded_service
from oet_kernel.cli.follow import follow, patiently
from oet_kernel.cli.options import Failure, ServiceOptions, explain
from oet_kernel.cli.printing import Printer, print_json, say, say_readings
from oet_kernel.cli.results import Answer, Attaching, Following, Listening, Result, Said
from oet_kernel.cli.streams import CLOSED_PIPE, until_reader_leaves
from oet_kernel.client import RESUME, ApiError, Client, ClientError
from oet_kernel.models import KernelInfo, ProcedureInput, ProcedureState, ProcedureSummary

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
NO_SERVICE = "[no service is running: starting one {}; its history and records are not kept (oet serve does so)]"
"""Notice printed when an embedded service is started, with its lifetime in braces."""
_PATIENCE = 5.0
"""Seconds to wait for an embedded service, which can cut a listener off but is never restarted."""


def present(result: Result) -> int:
    """Print a result, and follow its procedure or events.

    Parameters
    ----------
    result
        Result of a command.

    Returns
    -------
    int
        Exit status.
    """
    match result:
        case None:
            return 0
        case Answer():
            show(result)
            return 0
        case Listening():
            listen(result)
            return 0
        case Said():
            tell(result)
            return 0
        case Attaching():
            _attach(result)
            return 0
        case Following():
            return _follow(result)
        case _:
            assert_never(result)


def show(answer: Answer) -> None:
    """Print an answer, as JSON if requested."""
    if answer.as_json:
        print_json(answer.value)
    else:
        say(str(answer.document))


def listen(listening: Listening) -> None:
    """Print events as they happen, and those missed while the service was unreachable, until an interrupt."""
    with (
        listening.service.client() as client,
        client.events(listening.topics, listening.exclude, resume=math.inf, notices=True) as events,
    ):
        printer = Printer(listening.as_json, marks=True)
        with until_reader_leaves():
            for event in events:
                printer.event(event)


def tell(said: Said) -> None:
    """Print the past events of a procedure."""
    printer = Printer(said.as_json)
    with said.service.client() as client:
        for event in client.procedure_events(said.pid, topics=said.topics, exclude=said.exclude):
            printer.event(event)


def _attach(attaching: Attaching) -> None:
    """Open a console if there is a terminal and the kernel can be reached; otherwise print its connection."""
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    if attaching.answer.as_json or not interactive or not _reachable(attaching.info):
        show(attaching.answer)
        return
    from oet_kernel.cli.console import open_console  # slow to import

    try:
        open_console(attaching.info)
    finally:
        if attaching.leave is not None:
            attaching.leave()


def _reachable(info: KernelInfo) -> bool:
    """Return whether a kernel is on this machine and belongs to this user."""
    connection = info.connection
    here = info.host == socket.gethostname()
    return here and (connection.transport != "ipc" or Path(f"{connection.ip}-{connection.shell_port}").is_socket())


def _follow(following: Following) -> int:
    printer = Printer(following.as_json)
    service = following.service
    with ExitStack() as stack:
        if following.embedded:
            unwinding = stack.enter_context(_Unwinding())
            say(NO_SERVICE.format("for this command"), err=True)
            service = ServiceOptions(*stack.enter_context(embedded_service()))
            stack.callback(unwinding.hold)  # before the service is stopped
        client = stack.enter_context(service.client())
        if not following.stays:
            if (answer := following.begin(client).answer) is not None:
                show(answer)
            return 0
        status = _Run(client, printer, following).carry_out()
        if following.embedded:
            _await_others(client, printer)
    return status


class _Unwinding:
    """Handler by which SIGTERM and SIGHUP unwind the stack once, as Ctrl-C does; the status is 128 + signal."""

    def __init__(self) -> None:
        signals = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        self._before = {one: signal.getsignal(one) for one in signals}

    def __enter__(self) -> Self:
        for one, handler in self._before.items():
            if handler != signal.SIG_IGN:  # ignored, as by nohup
                signal.signal(one, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def hold(self) -> None:
        """Ignore further signals, so that removals are completed."""
        for one in self._before:
            signal.signal(one, signal.SIG_IGN)

    def _on_signal(self, signum: int, frame: object) -> None:
        self.hold()
        if signum == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + signum)


class _Run:
    """Procedure that a command follows.

    Parameters
    ----------
    client
        Client of the service.
    printer
        Prints the events.
    following
        Procedure to begin, and the effect of an interrupt.
    """

    def __init__(self, client: Client, printer: Printer, following: Following) -> None:
        self._client = client
        self._printer = printer
        self._following = following
        self._pid = following.pid
        self._started = following.main is None
        self._tried = False
        self._patience = _PATIENCE if following.embedded else RESUME

    def carry_out(self) -> int:
        """Begin the procedure, and follow it to its end; return the exit status."""
        with ExitStack() as stack:

            def begin() -> ProcedureSummary:
                begun = self._following.begin(self._client)
                self._pid = begun.summary.id
                if self._following.stops:
                    stack.enter_context(stop_on_interrupt(self._client, self._pid, self._following.run_abort))
                if begun.answer is not None:
                    show(begun.answer)
                    if not begun.answer.as_json:
                        say("\nEvents\n------\n")
                return begun.summary

            try:
                with until_reader_leaves():
                    return follow(
                        self._client, self._printer, begin, self._following.pid, self._start_when_ready, self._patience
                    )
            except (KeyboardInterrupt, BrokenPipeError) as error:
                if self._pid is None:
                    raise
                left = "was left as it is" if self._following.stops else "goes on"
                how = f"stop it with: oet procedure stop --pid={self._pid}"
                status = 130 if isinstance(error, KeyboardInterrupt) else CLOSED_PIPE
                raise Failure(f"Procedure {self._pid} {left}; {how}", status) from None
            except ApiError:
                if self._pid is not None and not self._started:
                    self._client.stop(self._pid, abort=False)  # it was prepared for this command only
                raise

    def _start_when_ready(self, state: ProcedureState) -> None:
        if state is ProcedureState.READY and self._pid is not None and not self._started:
            patiently(self._start, self._patience)
            self._started = True

    def _start(self) -> None:
        """Start the procedure once: a service that broke off before its reply may have accepted the request."""
        assert self._pid is not None
        if self._tried and "main" in self._client.procedure(self._pid).script_args:
            return
        self._tried = True
        summary = self._client.start(self._pid, self._following.main)
        say_readings(self._following.main or ProcedureInput(), summary, "main")


@contextmanager
def stop_on_interrupt(client: Client, pid: int, abort: bool) -> Iterator[None]:
    """Stop the procedure at the first Ctrl-C or SIGTERM, and print its last events; the second signal interrupts.

    Parameters
    ----------
    client
        Client with the service's address. The stop has a client of its own: the second Ctrl-C may close this one.
    pid
        Id of the procedure.
    abort
        Whether to run the abort script.
    """

    def stop() -> None:
        # not in the signal handler, which may have interrupted a print
        say(f"\n[stopping procedure {pid}; Ctrl-C again to leave it]", err=True)
        try:
            at = client.address
            with Client(at.url, at.token, user=at.user, ca=at.ca) as stopping:
                say(stopping.stop(pid, abort=abort), err=True)
        except ClientError as error:
            say(explain(error), err=True)

    def on_signal(signum: int, frame: object) -> None:
        for one in _SIGNALS:
            signal.signal(one, signal.default_int_handler)
        thread.start()

    thread = threading.Thread(target=stop, daemon=True)
    before = {one: signal.signal(one, on_signal) for one in _SIGNALS}
    try:
        yield
        if thread.ident is not None:
            thread.join()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _await_others(client: Client, printer: Printer) -> None:
    """Follow the procedures that are still running in an embedded service: the abort script of a stop."""
    for other in client.procedures():
        if not other.state.inactive:
            follow(
                client,
                printer,
                lambda pid=other.id: client.procedure(pid),  # type: ignore[misc]
                other.id,
                patience=_PATIENCE,
            )
