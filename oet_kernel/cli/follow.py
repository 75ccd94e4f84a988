"""Following a procedure to its end, and how that end becomes an exit status."""

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
"""Exit status for each way in which a procedure can end."""
QUIET = ("request", "procedure.pool")
"""Topics of what is asked of the service: no news to who follows a procedure."""


def follow(
    client: Client,
    printer: Printer,
    begin: Callable[[], ProcedureSummary],
    pid: int | None = None,
    on_state: Callable[[ProcedureState], None] = lambda state: None,
    patience: float = RESUME,
) -> int:
    """Print what a procedure says until it ends, and how it ended; also over restarts of the service.

    Parameters
    ----------
    client
        Asks the service.
    printer
        Prints.
    begin
        Creates or starts the procedure; called once the service has this listener, so that no event is missed.
    pid
        Id of the procedure, where it is known before.
    on_state
        Called with each state that the procedure enters, after it was printed.
    patience
        Seconds for which a service that went away is waited for.

    Returns
    -------
    int
        Exit status.

    Raises
    ------
    StreamEnded
        When the service went away, and has not come back.
    """
    with client.events(exclude=QUIET, procedure=pid, resume=patience, notices=True) as events:
        summary = begin()
        if summary.state.inactive:
            return _outcome(summary, printer)
        for event in events:
            if not (event.is_notice or concerns(event, summary.id)):
                continue
            printer.event(event)
            if event.is_notice and event.topic == LOST:  # what was lost may have been its end
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
    """Ask a service that may just have gone away until it answers.

    Parameters
    ----------
    ask
        Does no harm when it is done twice.
    patience
        Seconds.

    Raises
    ------
    ConnectionFailed
        When it has not answered by then.
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
    """Describe a procedure that is said to have ended; None when it has not.

    Where an original service has forgotten it already, since it keeps only the newest that have ended, its word is
    taken.
    """
    try:
        now = client.find(summary.id)
    except ApiError as error:
        if error.type != "ResourceNotFound":
            raise
        return msgspec.structs.replace(summary, state=state)
    return now if now.state.inactive else None


def _outcome(summary: ProcedureSummary, printer: Printer) -> int:
    """Say how a procedure ended; gives the exit status."""
    if printer.as_json:
        print_json(summary)
    if summary.history.stacktrace:
        printer.line(summary.history.stacktrace.rstrip(), err=True)
    printer.line(f"Procedure {summary.id} is {coloured(summary.state.name)}", err=True)
    return STATUS[summary.state]
