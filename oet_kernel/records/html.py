"""Tables and calls of a record, as text; pure.

Tables are HTML inside Markdown cells: values of scripts are in ``code`` elements, in which neither Markdown nor
mathematics is recognized, so that no text of a script is interpreted as markup.
"""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from oet_kernel.formatting.times import moment

_VALUE = 500
"""Characters of a value that a table shows."""
_PRINTABLE = {code: "\ufffd" for code in (*range(32), 127) if chr(code) not in "\n\t"}


def iso(at: float) -> str:
    """Return a time in the ISO 8601 form of notebooks, in UTC."""
    return moment(at, 3).replace(" ", "T") + "Z"


def code(value: str, limit: int = _VALUE) -> str:
    """Return a text from outside as an HTML ``code`` element, escaped and shortened.

    Parameters
    ----------
    value
        Any text.
    limit
        Number of characters that are kept.
    """
    if len(value) > limit:
        value = f"{value[:limit]}… ({len(value)} characters)"
    # a blank line would end the table
    return f"<code>{html.escape(value.translate(_PRINTABLE)).replace(chr(10), '<br>')}</code>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table.

    Parameters
    ----------
    head
        Names of the columns; empty for a table of names and values.
    rows
        Cells of each row, as HTML.
    """
    lines = ["<table>"]
    if head:
        lines.append(f"<tr>{''.join(f'<th>{name}</th>' for name in head)}</tr>")
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    return "\n".join([*lines, "</table>"])


def listed(fields: Mapping[str, Any]) -> str:
    """Return the fields of an event on one line."""
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in fields.items())
