"""View: known data of a followed procedure, and their changes by events. Pure functions."""

import click
from msgspec import Struct
from msgspec.structs import replace

from oet_kernel import topics
from oet_kernel.client import Event
from oet_kernel.client.event_texts import describe
from oet_kernel.client.tracking import entered, in_state, paused, script_name
from oet_kernel.formatting.terminal_text import settled
from oet_kernel.magics.pictures import Picture, picture_of
from oet_kernel.models import ProcedureState, ProcedureSummary
from oet_kernel.printable import printable

OUTPUT_LIMIT = 200_000
"""Maximum number of characters of output that are kept, the newest."""
_SHOWN = 10_000
"""Number of characters of output that are searched for its last lines."""
_PICTURE = 1_000_000
"""Maximum number of characters of a shown picture, which is sent again at every update."""
_NO_NEWS = ("procedure.lifecycle", "procedure.pool", "procedure.output.widget", "request")
"""Topics whose events are not progress: the state holds their content."""


class View(Struct, frozen=True):
    """Known data of a procedure."""

    summary: ProcedureSummary
    progress: str = ""
    """Last announcement."""
    output: str = ""
    """Output of the script."""
    picture: Picture | None = None
    """Last displayed picture; None if there is none."""
    error: str | None = None
    """Stack trace, or reason why the procedure could not be started; None otherwise."""
    trouble: str | None = None
    """Reason why no events arrive; None if there is no problem."""

    @property
    def state(self) -> ProcedureState:
        """State of the procedure."""
        return self.summary.state

    @property
    def name(self) -> str:
        """File name of the script."""
        return script_name(self.summary.script.script_uri)

    @property
    def lines(self) -> list[str]:
        """Newest lines of output, as on a terminal but without colours, and without blank lines at the end."""
        shown = settled(click.unstyle(self.output[-_SHOWN:])).rstrip()
        return printable(shown).split("\n") if shown else []

    @property
    def last_line(self) -> str:
        """Last line of output that is not blank."""
        return self.lines[-1].strip() if self.lines else ""

    @property
    def passes(self) -> bool:
        """True if its duration increases: not after its end, nor while it waits for its start."""
        return not (self.state.inactive or self.state is ProcedureState.READY)

    def seconds(self, now: float) -> float:
        """Return the duration of ``main`` in seconds, or before that of the preparation.

        Parameters
        ----------
        now
            Present time in Unix seconds.
        """
        states = self.summary.history.process_states
        since = next((at for state, at in states if state is ProcedureState.RUNNING), states[0][1] if states else now)
        return max((now if self.passes or not states else states[-1][1]) - since, 0.0)


def see(view: View, event: Event, now: float) -> View:
    """Return the view after an event.

    Parameters
    ----------
    view
        View before the event.
    event
        Event about the view's procedure.
    now
        Present time in Unix seconds.
    """
    match event.service_topic:
        case topics.STATECHANGE:
            state = entered(event)
            return view if state is None else replace(view, summary=in_state(view.summary, state, now))
        case topic if topic in topics.PAUSES:
            summary = replace(view.summary, pause=paused(view.summary.pause, event, now))
            return replace(view, summary=summary)
        case topics.OUTPUT_STREAM:
            text = str(event.fields.get("text", ""))
            return replace(view, output=(view.output + text)[-OUTPUT_LIMIT:])
        case topics.OUTPUT_DISPLAY if (picture := picture_of(event.fields)) is not None:
            return replace(view, picture=picture if len(picture.data) <= _PICTURE else view.picture)
        case topics.STACKTRACE:
            return replace(view, error=str(event.fields.get("stacktrace") or ""))
        case topic if any(topics.under(topic, prefix) for prefix in _NO_NEWS):
            return view
        case _:
            return replace(view, progress=(describe(event) or "").removeprefix("- "))


def missed(view: View, why: str) -> View:
    """Return the view with a notice in the output that some of it may be missing."""
    return replace(view, output=f"{view.output}\n[some events are missing: {why}]\n")


def refreshed(view: View, summary: ProcedureSummary) -> View:
    """Return the view with a new summary from the service."""
    return replace(view, summary=summary, error=summary.history.stacktrace or view.error, trouble=None)
