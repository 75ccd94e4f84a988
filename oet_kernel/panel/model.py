"""What a panel knows: procedures, the one that is selected, the log, the connection; pure.

A model is an immutable value, and what happens gives another one: an event of the stream (`hear`), a list from the
service (`listed`), a choice of the user (`chosen`). State comes from the service only, so that all panels agree.
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
"""Topics of the service itself; the others are what a script says of its progress."""


class Link(Enum):
    """How a panel and its service stand."""

    CONNECTING = "connecting"
    HERE = "connected"
    AWAY = "the service is away"
    ENDED = "not connected"


class Connection(Struct, frozen=True):
    """How a panel and its service stand, and why."""

    link: Link = Link.CONNECTING
    why: str = ""


class Row(Struct, frozen=True):
    """A procedure, as far as it got."""

    summary: ProcedureSummary
    said: str = ""
    """What its script has announced last."""

    @property
    def id(self) -> int:
        """Its id."""
        return self.summary.id

    @property
    def state(self) -> ProcedureState:
        """Its state."""
        return self.summary.state

    @property
    def script(self) -> str:
        """File name of its script."""
        return script_name(self.summary.script.script_uri)

    @property
    def subarray(self) -> str:
        """The subarray that it was given; empty without."""
        given = self.summary.subarray_id
        return "" if given is None else str(given)

    @property
    def pausable(self) -> bool:
        """Whether a pause may be asked for."""
        return not self.state.inactive and self.summary.pause is None

    @property
    def startable(self) -> bool:
        """Whether ``main`` may be called now."""
        return self.state is ProcedureState.READY and "main" not in self.summary.script_args


class PanelModel(Struct, frozen=True, kw_only=True):
    """What a panel knows."""

    rows: dict[int, Row] = {}
    """The procedures that the service lists, by id."""
    selected: int | None = None
    visited: Row | None = None
    """The selected procedure where it is one of the archive, which is not listed."""
    live: Log = Log()
    """What was heard since the panel is there."""
    past: Log = Log()
    """What the selected procedure has said up to when it was selected."""
    connection: Connection = Connection()
    stale: bool = True
    """Whether the service has to be asked for its list again."""

    @property
    def shown(self) -> Row | None:
        """The selected procedure."""
        return self.rows.get(self.selected, self.visited) if self.selected is not None else None

    def log(self, wanted: Filter) -> list[Entry]:
        """List entries; of the selected procedure also what it has said before.

        Parameters
        ----------
        wanted
            Which ones.
        """
        entries = self.live.entries
        if wanted.pid is not None and wanted.pid == self.selected:
            entries = (*self.past.entries, *(one for one in entries if one.id > self.past.last_id))
        return [one for one in entries if wanted.wants(one)]


def hear(model: PanelModel, event: Event, now: float) -> PanelModel:
    """Give the model after an event.

    Parameters
    ----------
    model
        What was known before.
    event
        Of the service, or a notice of the client about the connection.
    now
        Unix seconds.
    """
    why = str(event.fields.get("why", ""))
    match event.topic if event.id is None else "":
        case topic if topic == AWAY:
            return _noted(replace(model, connection=Connection(Link.AWAY, why)), event, "The service is away", now)
        case topic if topic == BACK:
            there = replace(model, connection=Connection(Link.HERE), stale=True)
            return _noted(there, event, "The service is back", now)
        case topic if topic == LOST:
            return _noted(_anew(model), event, f"Events may be missing: {why}", now)
    entry = entry_of(event, now)
    if entry is not None:
        model = replace(model, live=model.live.add([entry]))
    return _followed(model, event, entry, now)


def listed(model: PanelModel, summaries: list[ProcedureSummary]) -> PanelModel:
    """Give the model after the service has listed its procedures.

    Parameters
    ----------
    model
        What was known before.
    summaries
        In order of creation, and no older than the events that were heard.
    """
    rows = {one.id: Row(one, model.rows[one.id].said if one.id in model.rows else "") for one in summaries}
    left = model.rows.get(model.selected) if model.selected is not None else None
    model = replace(model, visited=left or model.visited, rows=rows, stale=False)
    if model.selected is None and rows:
        active = [pid for pid, row in rows.items() if not row.state.inactive]
        model = replace(model, selected=max(active or rows))
    return model


def chosen(model: PanelModel, pid: int, visited: ProcedureSummary | None = None) -> PanelModel:
    """Give the model after the user has selected a procedure.

    Parameters
    ----------
    model
        What was known before.
    pid
        Id of the procedure.
    visited
        The procedure, where it comes from the archive.
    """
    row = None if visited is None else Row(visited)
    stale = model.stale or (row is None and pid not in model.rows)
    return replace(model, selected=pid, visited=row, past=Log(), stale=stale)


def remembered(model: PanelModel, pid: int, entries: list[Entry]) -> PanelModel:
    """Give the model after the service has told what a procedure has said before.

    Parameters
    ----------
    model
        What was known before.
    pid
        Id of the procedure; when another one is selected by now, nothing changes.
    entries
        In their order.
    """
    return replace(model, past=Log().add(entries)) if pid == model.selected else model


def _followed(model: PanelModel, event: Event, entry: Entry | None, now: float) -> PanelModel:
    """Change the row that an event is about."""
    pid = subject(event)
    if pid is None:
        return model
    row = model.rows.get(pid)
    if row is None:
        return replace(model, stale=True) if topics.under(event.service_topic, "procedure.lifecycle") else model
    if event.service_topic == topics.STATECHANGE:
        return _entered(model, row, entered(event), now)
    if event.service_topic in topics.PAUSES:
        return replace(model, stale=True)  # the service's list has it
    if entry is None or any(topics.under(event.topic, prefix) for prefix in _NO_NEWS):
        return model
    return _with(model, replace(row, said=entry.text.removeprefix("Script message: ")))


def _entered(model: PanelModel, row: Row, state: ProcedureState | None, now: float) -> PanelModel:
    """Follow a state, but for one that the list of the service was ahead of, or that a script has made up."""
    if state is None or state not in TRANSITIONS[row.state]:
        return model
    # arguments and the stack trace are in the service's list
    stale = model.stale or state.inactive or state in (ProcedureState.READY, ProcedureState.RUNNING)
    return replace(_with(model, replace(row, summary=in_state(row.summary, state, now))), stale=stale)


def _with(model: PanelModel, row: Row) -> PanelModel:
    return replace(model, rows={**model.rows, row.id: row})


def _anew(model: PanelModel) -> PanelModel:
    """Begin anew: the ids of procedures and events may be those of others now."""
    entries = [replace(one, id=0, pid=None) for one in model.live.entries]
    return PanelModel(live=Log().add(entries), connection=Connection(Link.HERE))


def _noted(model: PanelModel, event: Event, text: str, now: float) -> PanelModel:
    return replace(model, live=model.live.add([Entry(model.live.last_id, now, None, event.topic, text)]))
