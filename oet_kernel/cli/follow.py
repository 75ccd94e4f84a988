"""Following a procedure to its end, and how that end becomes an exit status."""

from collections.abc import Callable

import msgspec

from oet_kernel.cli.printing import Printer, coloured, print_json
from oet_kernel.cli.texts import concerns
from oet_kernel.client import ApiError, Client, Event, StreamEnded
from oet_kernel.models import ProcedureState, ProcedureSummary
from oet_kernel.topics import STATECHANGE

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
) -> int:
    """Print what a procedure says until it ends, and how it ended.

    A stream that ends before the procedure does (a script may say more at once than the service keeps for a listener)
    is taken up again; that something may be missing is said.

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

    Returns
    -------
    int
        Exit status.

    Raises
    ------
    StreamEnded
        When the stream ends, and ended again without an event.
    """
    summary: ProcedureSummary | None = None
    why = ""
    while True:
        heard = False
        try:
            with client.events(exclude=QUIET, procedure=pid) as events:
                if summary is None:
                    summary = begin()
                    pid = summary.id
                else:
                    summary = client.procedure(summary.id)
                    printer.line(f"[some events of procedure {summary.id} are missing: {why}]", err=True)
                    on_state(summary.state)
                if summary.state.inactive:
                    return _outcome(summary, printer)
                for event in events:
                    heard = True
                    if not concerns(event, summary.id):
                        continue
                    printer.event(event)
                    if (state := _entered(event)) is None:
                        continue
                    if not printer.as_json:
                        printer.line(f"[procedure {summary.id} {coloured(state.name)}]", err=True)
                    on_state(state)
                    if state.inactive and (ended := _ended(client, summary, state)) is not None:
                        return _outcome(ended, printer)
        except StreamEnded as error:
            if not heard:
                raise
            why = str(error)


def _entered(event: Event) -> ProcedureState | None:
    """Read which state a procedure has entered; None for other events, and for states that there are not.

    A script can publish whatever it likes, under this topic too.
    """
    if event.topic != STATECHANGE:
        return None
    name = event.fields.get("new_state")
    return ProcedureState.__members__.get(name) if isinstance(name, str) else None


def _ended(client: Client, summary: ProcedureSummary, state: ProcedureState) -> ProcedureSummary | None:
    """Describe a procedure that is said to have ended; None when it has not.

    Where the service has forgotten it already, since it keeps only the newest that have ended, its word is taken.
    """
    try:
        now = client.procedure(summary.id)
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
