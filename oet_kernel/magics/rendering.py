"""Rendering of documents, procedures and events for notebooks, as HTML and as text. Pure functions."""

from collections.abc import Iterable
from html import escape

import click

from oet_kernel.formatting.colours import CAUTION, COLOURS, NEUTRAL, TROUBLE
from oet_kernel.formatting.documents import Document, State, Table
from oet_kernel.formatting.times import duration
from oet_kernel.magics.view import View
from oet_kernel.printable import printable

_LINES = 8
"""Number of lines of output on a card."""


def document_html(document: Document) -> str:
    """Return a document as HTML.

    Parameters
    ----------
    document
        Document of a command.
    """
    return "".join(_table(part) if isinstance(part, Table) else _pre(part.strip()) for part in document.parts)


def card_html(view: View | None, now: float, *, picture: bool = True) -> str:
    """Return the card of a procedure as HTML.

    Parameters
    ----------
    view
        Known data of the procedure; None before its creation.
    now
        Present time in Unix seconds.
    picture
        Whether to show the newest picture of the script.
    """
    if view is None:
        return "<div>Procedure: requested</div>"
    script = escape(view.summary.script.script_uri)
    head = (
        f"<b>Procedure {view.summary.id}</b> <span title='{script}'>{escape(view.name)}</span> "
        f"{_state(view.summary.standing)} <span>{duration(view.seconds(now))}</span>"
    )
    parts = [f"<div>{head}</div>"]
    if view.progress:
        parts.append(f"<div>{escape(click.unstyle(view.progress))}</div>")
    if output := "\n".join(view.lines[-_LINES:]):
        parts.append(_pre(output))
    if picture and view.picture is not None:
        parts.append(view.picture.html)
    if view.error:
        parts.append(f"<div style='color:{TROUBLE}'>{_pre(view.error.rstrip())}</div>")
    if view.trouble:
        parts.append(f"<div style='color:{CAUTION}'>{escape(view.trouble)}</div>")
    colour = COLOURS.get(view.state.name, NEUTRAL)
    return f"<div style='border-left:3px solid {colour};padding-left:0.8em'>{''.join(parts)}</div>"


def card_text(view: View | None, now: float) -> str:
    """Return the card of a procedure as text.

    Parameters
    ----------
    view
        Known data of the procedure; None before its creation.
    now
        Present time in Unix seconds.
    """
    if view is None:
        return "Procedure: requested"
    head = f"Procedure {view.summary.id} ({view.name}) is {view.summary.standing} [{duration(view.seconds(now))}]"
    lines = [head, *(f"  {text}" for text in (view.progress, view.last_line) if text)]
    lines += [text.rstrip() for text in (view.error, view.trouble) if text]
    return printable(click.unstyle("\n".join(lines)))


def events_html(lines: Iterable[str], trouble: str | None) -> str:
    """Return the newest events as HTML, one line each, and the reason why the stream ended, if it did."""
    return _pre("\n".join([*lines, *([f"[{trouble}]"] if trouble else [])]) or "[listening]")


def _table(table: Table) -> str:
    head = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in table.headers)
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _cell(cell: object) -> str:
    text = _state(cell.name) if isinstance(cell, State) else "" if cell is None else escape(str(cell))
    return f"<td style='text-align:left'>{text}</td>"


def _state(name: str) -> str:
    return f"<b style='color:{COLOURS.get(name.partition(' ')[0], 'inherit')}'>{escape(name)}</b>"


def _pre(text: str) -> str:
    return f"<pre style='margin:0.2em 0'>{escape(text)}</pre>"
