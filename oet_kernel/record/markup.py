"""Tables and calls of a record, as text; pure.

Tables are HTML inside Markdown cells: values of scripts stand in ``code`` elements, where neither Markdown nor
mathematics is looked for, so that nothing a script says is taken for markup.
"""

import html
import json
import keyword
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from oet_kernel.models import ProcedureInput

_LINE = 100
"""Characters up to which a call stands on one line."""
_VALUE = 500
"""Characters of a value in a table."""
_PRINTABLE = {code: "\ufffd" for code in (*range(32), 127) if chr(code) not in "\n\t"}


def moment(at: float) -> str:
    """Give a time in UTC to the millisecond; the number itself where no calendar has it."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
    except (ValueError, OverflowError, OSError):
        return f"{at:g}"


def iso(at: float) -> str:
    """Give a time as notebooks write it."""
    return moment(at).replace(" ", "T") + "Z"


def code(value: str, limit: int = _VALUE) -> str:
    """Quote what somebody else wrote.

    Parameters
    ----------
    value
        Any text.
    limit
        Characters that are kept.
    """
    if len(value) > limit:
        value = f"{value[:limit]}… ({len(value)} characters)"
    # a blank line would end the table
    return f"<code>{html.escape(value.translate(_PRINTABLE)).replace(chr(10), '<br>')}</code>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table.

    Parameters
    ----------
    head
        Names of the columns; empty for a table whose first column names what the second holds.
    rows
        HTML, a cell each.
    """
    lines = ["<table>"]
    if head:
        lines.append(f"<tr>{''.join(f'<th>{name}</th>' for name in head)}</tr>")
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    return "\n".join([*lines, "</table>"])


def listed(fields: Mapping[str, Any]) -> str:
    """List the fields of an event on one line."""
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in fields.items())


def _is_name(key: str) -> bool:
    """Tell whether a keyword can be written as a name: Python normalises names (PEP 3131), and reserves some."""
    if keyword.iskeyword(key) or key == "__debug__":  # which the compiler takes for one
        return False
    return key.isidentifier() and unicodedata.normalize("NFKC", key) == key


def call(name: str, arguments: ProcedureInput, *, awaited: bool = False) -> str:
    """Write a call as Python.

    Parameters
    ----------
    name
        The function.
    arguments
        JSON values.
    awaited
        Whether the function is a coroutine function.
    """
    named = {key: value for key, value in arguments.kwargs.items() if _is_name(key)}
    others = {key: value for key, value in arguments.kwargs.items() if key not in named}
    words = [repr(value) for value in arguments.args]
    words += [f"{key}={value!r}" for key, value in named.items()]
    words += [f"**{others!r}"] if others else []
    head = f"await {name}" if awaited else name
    line = f"{head}({', '.join(words)})"
    return line if len(line) <= _LINE else f"{head}(\n{''.join(f'    {word},{chr(10)}' for word in words)})"
