"""Following of a procedure to its end, and the exit status of that end."""

import random
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from oet_kernel.cli.printing import Printer, print_json
from oet_kernel.client import LOST, RESUME, ApiError, Client, ConnectionFailed
from oet_kernel.client._listening import pauses
from oet_kernel.client.event_texts import concerns
from oet_kernel.client.tracking import entered
from oet_kernel.formatting.colours import coloured
from oet_kernel.models import ProcedureState, ProcedureSummary

T = TypeVar("T")

STATUS = {
    ProcedureState.COMPLETE: 0,
    ProcedureState.FAILED: 1,
    ProcedureState.UNKNOWN: 1,
    ProcedureState.STOPPED: 3,
}
"""Exit status for each final state of a procedure."""
QUIET = ("request", "procedure.pool")
"""Topics of requests to the service, which are not printed while a procedure is followed."""


def follow(
    client: Client,
    printer: Printer,
    begin: Callable[[], ProcedureSummary],
    pid: int | None = None,
    on_state: Callable[[ProcedureState], None] = lambda state: None,
    patience: float = RESUME,
) -> int:
    """Print the events of a procedure until it ends, and its outcome; restarts of the service are bridged.

    Parameters
    ----------
    client
        Client of the service.
    printer
        Prints the events.
    begin
        Creates or starts the procedure; called once the service has registered this listener, so that no event is lost.
    pid
        Id of the procedure if it exists already; otherwise None.
    on_state
        Called with each state that the procedure enters, after its events are printed.
    patience
        Seconds to wait for a service that cannot be reached.

    Returns
    -------
    int
        Exit status.

    Raises
    ------
    StreamEnded
        When the connection to the service broke and was not restored in time.
    """
    with client.events(exclude=QUIET, procedure=pid, resume=patience, notices=True) as events:
        summary = begin()
        if summary.state.inactive:
            return _outcome(summary, printer)
        for event in events:
            if not (event.is_notice or concerns(event, summary.id)):
                continue
            printer.event(event)
            if event.is_notice and event.topic == LOST:  # the end may be among the lost events
                state = patiently(partial(client.find, summary.id), patience).state
            elif (new := entered(event)) is not None:
                state = new
                if not printer.as_json:
                    printer.line(f"[procedure {summary.id} {coloured(state.name)}]", err=True)
            else:
                continue
            on_state(state)
            if state.inactive:
                ended = patiently(partial(_ended, client, summary, state), patience)
                if ended is not None:
                    return _outcome(ended, printer)
    raise AssertionError("the client ends a stream by an error")


def patiently(ask: Callable[[], T], patience: float) -> T:
    """Repeat a request to a service that may be unreachable until it answers.

    Parameters
    ----------
    ask
        Sends the request; must be safe to repeat.
    patience
        Timeout in seconds.

    Raises
    ------
    ConnectionFailed
        When the service has not answered in time.
    """
    deadline = time.monotonic() + patience
    for pause in pauses(random.random):
        time.sleep(pause)
        try:
            return ask()
        except ConnectionFailed:
            if time.monotonic() > deadline:
                raise
    raise AssertionError


def _ended(client: Client, summary: ProcedureSummary, state: ProcedureState) -> ProcedureSummary | None:
    """Return the summary of a procedure that an event says has ended; None if it has not.

    A service of the original keeps only the newest ended procedures: if it has forgotten this one, the event counts.
    """
    try:
        now = client.find(summary.id)
    except ApiError as error:
        if error.type != "ResourceNotFound":
            raise
        return msgspec.structs.replace(summary, state=state)
    return now if now.state.inactive else None


def _outcome(summary: ProcedureSummary, printer: Printer) -> int:
    """Print the outcome of a procedure; return the exit status."""
    if printer.as_json:
        print_json(summary)
    if summary.history.stacktrace:
        printer.line(summary.history.stacktrace.rstrip(), err=True)
    printer.line(f"Procedure {summary.id} is {coloured(summary.state.name)}", err=True)
    return STATUS[summary.state]
