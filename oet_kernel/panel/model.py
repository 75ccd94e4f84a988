"""Model of a panel: procedures, selection, log, connection. Pure functions.

A model is an immutable value; each change returns a new one: an event of the stream (`hear`), a list from the service
(`listed`), a selection by the user (`chosen`). State comes from the service only, so that all panels agree.
"""

from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from oet_kernel import topics
from oet_kernel.client import AWAY, BACK, LOST, Event
from oet_kernel.client.tracking import entered, in_state, script_name
from oet_kernel.models import ProcedureState, ProcedureSummary
from oet_kernel.panel.log import Entry, Filter, Log, entry_of, subject
from oet_kernel.procedure import TRANSITIONS

_NO_NEWS = ("procedure", "request", "activity", "connection")
"""First words of the service's own topics; events on others are announcements of scripts."""


class Link(Enum):
    """State of the connection between a panel and its service."""

    CONNECTING = "connecting"
    HERE = "connected"
    AWAY = "the service does not answer"
    ENDED = "not connected"


class Connection(Struct, frozen=True):
    """State of the connection between a panel and its service, with the reason."""

    link: Link = Link.CONNECTING
    why: str = ""


class Row(Struct, frozen=True):
    """Procedure in the panel."""

    summary: ProcedureSummary
    said: str = ""
    """Last announcement of its script."""

    @property
    def id(self) -> int:
        """Id of the procedure."""
        return self.summary.id

    @property
    def state(self) -> ProcedureState:
        """State of the procedure."""
        return self.summary.state

    @property
    def script(self) -> str:
        """File name of the script."""
        return script_name(self.summary.script.script_uri)

    @property
    def subarray(self) -> str:
        """Id of its subarray as text; empty if it has none."""
        given = self.summary.subarray_id
        return "" if given is None else str(given)

    @property
    def pausable(self) -> bool:
        """True if a pause may be requested."""
        return not self.state.inactive and self.summary.pause is None

    @property
    def startable(self) -> bool:
        """True if ``main`` may be called now."""
        return self.state is ProcedureState.READY and "main" not in self.summary.script_args


class PanelModel(Struct, frozen=True, kw_only=True):
    """Model of a panel."""

    rows: dict[int, Row] = {}
    """Procedures listed by the service, by id."""
    selected: int | None = None
    visited: Row | None = None
    """Selected procedure if it comes from the archive and is not listed; otherwise None."""
    live: Log = Log()
    """Log of the events received since the panel was opened."""
    past: Log = Log()
    """Log of the events of the selected procedure before its selection."""
    connection: Connection = Connection()
    stale: bool = True
    """True if the service's list must be requested again."""

    @property
    def shown(self) -> Row | None:
        """Selected procedure; None if there is none."""
        return self.rows.get(self.selected, self.visited) if self.selected is not None else None

    def log(self, wanted: Filter) -> list[Entry]:
        """Return the entries that pass a filter, including earlier ones of the selected procedure.

        Parameters
        ----------
        wanted
            Filter of entries.
        """
        entries = self.live.entries
        if wanted.pid is not None and wanted.pid == self.selected:
            entries = (*self.past.entries, *(one for one in entries if one.id > self.past.last_id))
        return [one for one in entries if wanted.wants(one)]


def hear(model: PanelModel, event: Event, now: float) -> PanelModel:
    """Return the model after an event.

    Parameters
    ----------
    model
        Model before.
    event
        Event of the service, or notice of the client about the connection.
    now
        Present time in Unix seconds.
    """
    why = str(event.fields.get("why", ""))
    match event.topic if event.id is None else "":
        case topic if topic == AWAY:
            return _noted(
                replace(model, connection=Connection(Link.AWAY, why)), event, "The service does not answer", now
            )
        case topic if topic == BACK:
            there = replace(model, connection=Connection(Link.HERE), stale=True)
            return _noted(there, event, "The service answers again", now)
        case topic if topic == LOST:
            return _noted(_anew(model), event, f"Events may be missing: {why}", now)
    entry = entry_of(event, now)
    if entry is not None:
        model = replace(model, live=model.live.add([entry]))
    return _followed(model, event, entry, now)


def listed(model: PanelModel, summaries: list[ProcedureSummary]) -> PanelModel:
    """Return the model after the service has listed its procedures.

    Parameters
    ----------
    model
        Model before.
    summaries
        Summaries in order of creation, not older than the received events.
    """
    rows = {one.id: Row(one, model.rows[one.id].said if one.id in model.rows else "") for one in summaries}
    left = model.rows.get(model.selected) if model.selected is not None else None
    model = replace(model, visited=left or model.visited, rows=rows, stale=False)
    if model.selected is None and rows:
        active = [pid for pid, row in rows.items() if not row.state.inactive]
        model = replace(model, selected=max(active or rows))
    return model


def chosen(model: PanelModel, pid: int, visited: ProcedureSummary | None = None) -> PanelModel:
    """Return the model after the user has selected a procedure.

    Parameters
    ----------
    model
        Model before.
    pid
        Id of the procedure.
    visited
        Summary of the procedure if it comes from the archive; otherwise None.
    """
    row = None if visited is None else Row(visited)
    stale = model.stale or (row is None and pid not in model.rows)
    return replace(model, selected=pid, visited=row, past=Log(), stale=stale)


def remembered(model: PanelModel, pid: int, entries: list[Entry]) -> PanelModel:
    """Return the model after the past events of a procedure have been read.

    Parameters
    ----------
    model
        Model before.
    pid
        Id of the procedure; no change if another one is selected meanwhile.
    entries
        Entries in order.
    """
    return replace(model, past=Log().add(entries)) if pid == model.selected else model


def _followed(model: PanelModel, event: Event, entry: Entry | None, now: float) -> PanelModel:
    """Return the model with the row changed that an event is about."""
    pid = subject(event)
    if pid is None:
        return model
    row = model.rows.get(pid)
    if row is None:
        return replace(model, stale=True) if topics.under(event.service_topic, "procedure.lifecycle") else model
    if event.service_topic == topics.STATECHANGE:
        return _entered(model, row, entered(event), now)
    if event.service_topic in topics.PAUSES:
        return replace(model, stale=True)  # the service's list holds it
    if entry is None or any(topics.under(event.topic, prefix) for prefix in _NO_NEWS):
        return model
    return _with(model, replace(row, said=entry.text.removeprefix("Script message: ")))


def _entered(model: PanelModel, row: Row, state: ProcedureState | None, now: float) -> PanelModel:
    """Return the model after a state, unless the service's list was already ahead of it, or a script has forged it."""
    if state is None or state not in TRANSITIONS[row.state]:
        return model
    # the service's list holds arguments and the stack trace
    stale = model.stale or state.inactive or state in (ProcedureState.READY, ProcedureState.RUNNING)
    return replace(_with(model, replace(row, summary=in_state(row.summary, state, now))), stale=stale)


def _with(model: PanelModel, row: Row) -> PanelModel:
    return replace(model, rows={**model.rows, row.id: row})


def _anew(model: PanelModel) -> PanelModel:
    """Return a reset model: the ids may belong to other procedures and events now."""
    entries = [replace(one, id=0, pid=None) for one in model.live.entries]
    return PanelModel(live=Log().add(entries), connection=Connection(Link.HERE))


def _noted(model: PanelModel, event: Event, text: str, now: float) -> PanelModel:
    return replace(model, live=model.live.add([Entry(model.live.last_id, now, None, event.topic, text)]))
