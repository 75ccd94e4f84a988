"""What a front end knows of a procedure that it follows, and what an event changes in it; pure.

The terminal, the magics and the panel all go by this, so that they agree.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from msgspec.structs import replace

from oet_kernel import topics
from oet_kernel.client._wire import Event
from oet_kernel.models import Pause, ProcedureState, ProcedureSummary


def entered(event: Event) -> ProcedureState | None:
    """Return the state that a procedure has entered; None for other events, and for states that there are not.

    A script can publish whatever it likes, under this topic too; a service of the original does not mark that.

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
    """Return a procedure as it is when it has entered a state.

    Parameters
    ----------
    summary
        What was known before.
    state
        The state.
    at
        When, in Unix seconds.
    """
    history = summary.history
    return replace(
        summary,
        state=state,
        history=replace(history, process_states=[*history.process_states, (state, at)]),
        pause=None if state.inactive else summary.pause,
    )


def paused(pause: Pause | None, event: Event, now: float) -> Pause | None:
    """Return the pause after an event that is about it.

    Parameters
    ----------
    pause
        What was known before.
    event
        That something is pausing, paused, resumed or unpaused.
    now
        Unix seconds.
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
    """Return the file name of a script, or its URI where that has none."""
    return PurePosixPath(unquote(urlsplit(uri).path)).name or uri


def subarray_in(calls: Mapping[str, Any]) -> Any:
    """Return the ``subarray_id`` of the newest call that has one, as the service goes by it; None without.

    Parameters
    ----------
    calls
        Arguments by function name, oldest first, as an event has them.
    """
    given = ((call.get("kwargs") or {}).get("subarray_id") for call in reversed(list(calls.values())))
    return next((one for one in given if one is not None), None)
