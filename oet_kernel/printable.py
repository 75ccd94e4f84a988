"""Text of others on a terminal: what would control it is shown as an escape; pure, in time linear in the text."""

import re

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""C0, DEL, C1, separators of lines, and marks that turn the direction of writing."""
_ESCAPED = re.compile(
    "(\x1b\\[[0-9;:]{0,32}m)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""Colours (SGR), which stay, or a control character that is neither a tab nor the end of a line."""


def has_controls(text: str) -> bool:
    """Return whether a text, which is to stand on one line, has control characters."""
    return _CONTROLS.search(text) is not None


def printable(text: str) -> str:
    """Return a text as a terminal may have it: lines, tabs and colours stay, other control characters are escaped.

    Parameters
    ----------
    text
        Of a script, a client, a git host.
    """
    return _ESCAPED.sub(lambda found: found[1] or ascii(found[0])[1:-1], text)
