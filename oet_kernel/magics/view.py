"""View: what is known about a procedure that is followed, and what an event adds to it; pure."""

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
"""Characters of output that are kept, the newest."""
_SHOWN = 10_000
"""Characters of output that are looked at for its last lines."""
_PICTURE = 1_000_000
"""Characters of a picture that is shown, at most: it is sent anew whenever something else has changed."""
_NO_NEWS = ("procedure.lifecycle", "procedure.pool", "procedure.output.widget", "request")
"""Topics whose events are no progress: what they say is in the state."""


class View(Struct, frozen=True):
    """What is known about a procedure."""

    summary: ProcedureSummary
    progress: str = ""
    """What was announced last."""
    output: str = ""
    """What the script has printed."""
    picture: Picture | None = None
    """The picture that was displayed last."""
    error: str | None = None
    """Stack trace, or why the procedure could not be started."""
    trouble: str | None = None
    """Why nothing is heard of it; None while all is well."""

    @property
    def state(self) -> ProcedureState:
        """Its state."""
        return self.summary.state

    @property
    def name(self) -> str:
        """File name of its script."""
        return script_name(self.summary.script.script_uri)

    @property
    def lines(self) -> list[str]:
        """The newest lines of output, as a terminal shows them but for their colours; none is blank at the end."""
        shown = settled(click.unstyle(self.output[-_SHOWN:])).rstrip()
        return printable(shown).split("\n") if shown else []

    @property
    def last_line(self) -> str:
        """The last line of output that is not blank."""
        return self.lines[-1].strip() if self.lines else ""

    @property
    def passes(self) -> bool:
        """Whether its time passes: not when it has ended, nor while it waits for its start."""
        return not (self.state.inactive or self.state is ProcedureState.READY)

    def seconds(self, now: float) -> float:
        """Tell how long it has been running, or, before that, being prepared.

        Parameters
        ----------
        now
            Unix seconds.
        """
        states = self.summary.history.process_states
        since = next((at for state, at in states if state is ProcedureState.RUNNING), states[0][1] if states else now)
        return max((now if self.passes or not states else states[-1][1]) - since, 0.0)


def see(view: View, event: Event, now: float) -> View:
    """Add what an event says.

    Parameters
    ----------
    view
        What was known before.
    event
        About the view's procedure.
    now
        Unix seconds.
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
    """Note in the output that something of it may be missing."""
    return replace(view, output=f"{view.output}\n[some events are missing: {why}]\n")


def refreshed(view: View, summary: ProcedureSummary) -> View:
    """Take over what the service says now."""
    return replace(view, summary=summary, error=summary.history.stacktrace or view.error, trouble=None)
