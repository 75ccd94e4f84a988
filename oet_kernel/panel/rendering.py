"""Rendering of a panel's model as HTML. Pure functions.

Colours are those of the frontend's theme if it has them, so that dark themes stay readable; a state is always shown as
a word too, never by a colour alone.
"""

from collections.abc import Iterable, Sequence
from html import escape

from oet_kernel.formatting.colours import CAUTION, COLOURS, NEUTRAL, TROUBLE
from oet_kernel.formatting.times import clock, moment
from oet_kernel.models import DONE, GitScript, Pause, ProcedureInput, ProcedureState, ProcedureSummary
from oet_kernel.panel.log import Line
from oet_kernel.panel.model import Connection, Link, Row

_LINKS = {Link.CONNECTING: NEUTRAL, Link.HERE: COLOURS["COMPLETE"], Link.AWAY: CAUTION, Link.ENDED: TROUBLE}
_QUIET = "var(--jp-ui-font-color2, #666)"

STYLE = """<style>
.oet-panel .widget-html-content {line-height: 1.45}
.oet-panel table.oet {border-collapse: collapse; margin: 0.3em 0}
.oet-panel table.oet td, .oet-panel table.oet th {padding: 0 1em 0 0; text-align: left; vertical-align: top}
.oet-panel pre {margin: 0; padding: 0; font-size: 12px; line-height: 1.4; white-space: pre-wrap}
.oet-panel pre {overflow-wrap: anywhere; font-family: var(--jp-code-font-family, monospace)}
.oet-panel .oet-log {display: flex; flex-direction: column-reverse; height: 300px; overflow: auto; padding: 2px 6px}
.oet-panel .oet-log {border: 1px solid var(--jp-border-color2, #ccc)}
.oet-panel .oet-log pre {margin-bottom: auto; flex: 0 0 auto; overflow: visible}
.oet-panel .oet-waiting {outline: 2px dashed var(--jp-warn-color1, #b26a00); outline-offset: 1px}
.oet-panel .oet-note:not(:empty) {color: var(--jp-warn-color0, #8a5200)}
.oet-panel .oet-about > .widget-html-content {min-width: 0; width: 100%; overflow: hidden}
</style>"""


def title_html(text: str) -> str:
    """Return the title of a section."""
    return f"<b style='display:inline-block;margin-top:8px'>{escape(text)}</b>"


def connection_html(connection: Connection, url: str) -> str:
    """Return the state of the connection.

    Parameters
    ----------
    connection
        Connection of the panel.
    url
        API root of the service.
    """
    why = f"<span style='color:{_QUIET}'>{escape(connection.why)}</span>" if connection.why else ""
    badge = _badge(connection.link.value, _LINKS[connection.link])
    return f"<div role='status'>{badge} <span>{escape(url)}</span> {why}</div>"


def state_html(state: ProcedureState) -> str:
    """Return a state."""
    return _badge(state.name, COLOURS.get(state.name, NEUTRAL))


def pause_html(pause: Pause) -> str:
    """Return a pause."""
    return _badge(str(pause), CAUTION)


def row_html(row: Row) -> str:
    """Return one line with a procedure's script and last announcement."""
    pause = row.summary.pause
    paused = "" if pause is None else f"{pause_html(pause)} "
    about = f"{row.script} · subarray {row.subarray}" if row.subarray else row.script
    said = f" <span style='color:{_QUIET}'>{escape(row.said[:200])}</span>" if row.said else ""
    style = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
    return f"<div style='{style}' title='{escape(row.summary.script.script_uri)}'>{paused}{escape(about)}{said}</div>"


def details_html(row: Row | None) -> str:
    """Return all details of a procedure except its output."""
    if row is None:
        return f"<span style='color:{_QUIET}'>No procedure is selected.</span>"
    summary = row.summary
    paused = "" if summary.pause is None else f" {pause_html(summary.pause)}"
    parts = [
        f"<div style='font-size:115%'><b>Procedure {row.id}</b> {state_html(row.state)}{paused}</div>",
        f"<div style='overflow-wrap:anywhere'>{escape(_source(summary))}</div>",
    ]
    parts += [f"<div>{escape(name)}({escape(_call(call))})</div>" for name, call in summary.script_args.items()]
    asked = ", ".join(f"{DONE[name]} by {who}" for name, who in summary.requested_by.items())
    parts.append(f"<div style='color:{_QUIET}'>{escape(asked)}</div>")
    states = [(clock(at), state.name) for state, at in summary.history.process_states]
    parts.append(_folded("Times of states (UTC)", _table(states)))
    if summary.returned is not None:
        value = f"<pre style='max-height:260px;overflow:auto'>{escape(str(summary.returned))}</pre>"
        parts.append(f"<div>main returned ({escape(summary.returned.type)}): {value}</div>")
    if trace := summary.history.stacktrace:
        last = trace.rstrip().rpartition("\n")[2]
        parts.append(f"<div role='alert' style='color:{TROUBLE}'><b>{escape(last)}</b></div>")
        parts.append(_folded("Stack trace", f"<pre style='max-height:260px;overflow:auto'>{escape(trace)}</pre>"))
    return "".join(parts)


def log_html(lines: Iterable[Line], *, with_pid: bool) -> str:
    """Return lines of the log, in a box that keeps the newest visible.

    Parameters
    ----------
    lines
        Lines in order.
    with_pid
        Whether to show the id of the procedure of each line.
    """
    rows = "\n".join(_line(line, with_pid) for line in lines)
    empty = f"<span style='color:{_QUIET}'>No events yet.</span>"
    # a box that is filled from its bottom, by its style, stays at the bottom when lines are added
    return f"<div class='oet-log' role='log' tabindex='0' aria-label='Log'><pre>{rows or empty}</pre></div>"


def found_html(summary: ProcedureSummary) -> str:
    """Return one line for a procedure of the archive."""
    row = Row(summary)
    states = summary.history.process_states
    when = moment(states[0][1]) if states else ""
    subarray = f" · subarray {row.subarray}" if row.subarray else ""
    uri = escape(summary.script.script_uri)
    return f"<span title='{uri}'>{when} {state_html(row.state)} {escape(row.script + subarray)}</span>"


def message_html(text: str, *, trouble: bool) -> str:
    """Return an answer of the service, or an error message."""
    if not text:
        return ""
    colour = TROUBLE if trouble else "inherit"
    return f"<div role='{'alert' if trouble else 'status'}' style='color:{colour}'>{escape(text)}</div>"


def note_html(text: str) -> str:
    """Return an explanatory note."""
    return f"<span style='color:{_QUIET}'>{escape(text)}</span>" if text else ""


def _badge(text: str, colour: str) -> str:
    style = f"background:{colour};color:#fff;border-radius:3px;padding:0 6px;font-size:85%;white-space:nowrap"
    return f"<span style='{style}'>{escape(text)}</span>"


def _source(summary: ProcedureSummary) -> str:
    script = summary.script
    if not isinstance(script, GitScript):
        return script.script_uri
    version = script.git_args.git_commit or script.git_args.git_branch
    return f"{script.script_uri} in {script.git_args.git_repo}{f' at {version}' if version else ''}"


def _call(call: ProcedureInput) -> str:
    return ", ".join([*map(repr, call.args), *(f"{name}={value!r}" for name, value in call.kwargs.items())])


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table class='oet'>{cells}</table>"


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def _line(line: Line, with_pid: bool) -> str:
    who = f"{'' if line.pid is None else f'#{line.pid}':>5} " if with_pid else ""
    colour = TROUBLE if line.stream == "stderr" else ""
    text = escape(line.text) if not colour else f"<span style='color:{colour}'>{escape(line.text)}</span>"
    topic = "" if line.stream else f" title='{escape(line.topic)}'"
    return f"<span style='color:{_QUIET}'>{clock(line.at)} {who}</span><span{topic}>{text}</span>"
