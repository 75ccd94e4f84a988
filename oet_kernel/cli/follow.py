"""Following a procedure to its end, and how that end becomes an exit status."""

from collections.abc import Callable, Iterator

import click

from oet_kernel.cli.options import print_json
from oet_kernel.cli.texts import concerns, describe
from oet_kernel.client import Event
from oet_kernel.models import ProcedureState, ProcedureSummary

STATUS = {
    ProcedureState.COMPLETE: 0,
    ProcedureState.FAILED: 1,
    ProcedureState.UNKNOWN: 1,
    ProcedureState.STOPPED: 3,
}
"""Exit status for each way in which a procedure can end."""


def follow(
    events: Iterator[Event],
    pid: int,
    as_json: bool,
    on_state: Callable[[ProcedureState], None] = lambda state: None,
) -> None:
    """Print what a procedure says until it ends.

    Parameters
    ----------
    events
        From the stream, from before the procedure was started.
    pid
        Its id.
    as_json
        Print each event as JSON.
    on_state
        Called with each state that the procedure enters, after it was printed.
    """
    for event in events:
        if not concerns(event, pid):
            continue
        show(event, as_json)
        if event.topic == "procedure.lifecycle.statechange":
            state = ProcedureState(event.fields["new_state"])
            if not as_json:
                click.echo(f"[procedure {pid} {state.name}]", err=True)
            on_state(state)
            if state.inactive:
                return


def show(event: Event, as_json: bool) -> None:
    """Print an event, if it says anything to who reads it."""
    if as_json:
        print_json({"topic": event.topic, "msg_src": event.msg_src, **event.fields})
    elif (text := describe(event)) is not None:
        stderr = event.topic == "procedure.output.stream" and event.fields.get("name") == "stderr"
        click.echo(text, err=stderr)


def outcome(summary: ProcedureSummary, as_json: bool) -> int:
    """Say how a procedure ended; gives the exit status."""
    if as_json:
        print_json(summary)
    else:
        if summary.history.stacktrace:
            click.echo(summary.history.stacktrace.rstrip(), err=True)
        click.echo(f"Procedure {summary.id} is {summary.state.name}", err=True)
    return STATUS[summary.state]
