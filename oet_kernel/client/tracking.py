"""State of a procedure that a front end follows, and its changes by events. Pure functions.

The terminal, the magics and the panel share this module, so that they agree.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from msgspec.structs import replace

from oet_kernel import topics
from oet_kernel.client._event import Event
from oet_kernel.client.errors import ProcedureEnded
from oet_kernel.models import Pause, ProcedureState, ProcedureSummary


def entered(event: Event) -> ProcedureState | None:
    """Return the state that a procedure has entered; None for other events, and for unknown states.

    A script can publish anything, under this topic too; a service of the original does not mark such events.

    Parameters
    ----------
    event
        From the stream.
    """
    if event.service_topic != topics.STATECHANGE:
        return None
    name = event.fields.get("new_state")
    return ProcedureState.__members__.get(name) if isinstance(name, str) else None


def in_state(summary: ProcedureSummary, state: ProcedureState, at: float) -> ProcedureSummary:
    """Return the summary of a procedure after it has entered a state.

    Parameters
    ----------
    summary
        Summary before.
    state
        State that it has entered.
    at
        Time in Unix seconds.
    """
    history = summary.history
    return replace(
        summary,
        state=state,
        history=replace(history, process_states=[*history.process_states, (state, at)]),
        pause=None if state.inactive else summary.pause,
    )


def has_reached(summary: ProcedureSummary, states: Sequence[ProcedureState], known: int) -> bool:
    """Return whether the wait for a procedure is over.

    Parameters
    ----------
    summary
        Present summary of the procedure.
    states
        States to wait for; none for the end.
    known
        Index of the first state in the history that counts.

    Raises
    ------
    ProcedureEnded
        When the procedure has ended in another state.
    """
    if any(state in states for state, _ in summary.history.process_states[known:]):
        return True
    if not summary.state.inactive:
        return False
    if states:
        raise ProcedureEnded(summary, states)
    return True


def paused(pause: Pause | None, event: Event, now: float) -> Pause | None:
    """Return the pause after an event about it.

    Parameters
    ----------
    pause
        Pause before; None if there was none.
    event
        Event that the procedure is pausing, paused, resumed or unpaused.
    now
        Present time in Unix seconds.
    """
    match event.topic:
        case topics.PAUSING:
            at, who = (None if one is None else str(one) for one in map(event.fields.get, ("at", "who")))
            return Pause(now, at, who)
        case topics.PAUSED:
            before = pause or Pause(now)
            return replace(before, checkpoint=str(event.fields.get("checkpoint")), since=now)
        case _:
            return None


def script_name(uri: str) -> str:
    """Return the file name of a script, or its URI if that has none."""
    return PurePosixPath(unquote(urlsplit(uri).path)).name or uri
