"""Escaping of untrusted text for terminals. Pure functions, linear in the length of the text."""

import re

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""C0, DEL, C1, line separators, and marks that change the direction of writing."""
_ESCAPED = re.compile(
    "(\x1b\\[[0-9;:]{0,32}m)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""Colour sequence (SGR), which is kept, or a control character other than tab and line feed."""

_IN_OUTPUT = re.compile(
    "(\x1b\\[[0-9;:]{0,32}m|\x1b\\[0?K)|[\x00-\x07\x0b-\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""As `_ESCAPED`, but also keeping what rewrites a line: carriage return, backspace, and erasing to its end."""
_CUT = re.compile("\x1b(\\[[0-9;:]{0,32})?\\Z")
"""Incomplete sequence at the end of a text."""
_PLAIN = "\x1b[0m"
_COLOUR = re.compile("\x1b\\[([0-9;:]{0,32})m")


def has_controls(text: str) -> bool:
    """Return whether a text for one line has control characters."""
    return _CONTROLS.search(text) is not None


def printable(text: str) -> str:
    """Return a text safe for a terminal: lines, tabs and colours are kept, other control characters are escaped.

    Parameters
    ----------
    text
        Text of a script, a client or a git host; a colour that it leaves on is reset at its end.
    """
    shown = _ESCAPED.sub(_shown, text)
    return f"{shown}{_PLAIN}" if _coloured(shown) else shown


def one_line(text: str) -> str:
    """Return a text for one line, with all control characters escaped, including line ends and colours.

    Parameters
    ----------
    text
        Text of a script, a client or a git host.
    """
    return _CONTROLS.sub(_shown_character, text)


class OutputText:
    """Output of a script to one stream, made safe for a terminal; colours are kept, and it may rewrite its own line.

    Parameters
    ----------
    mark
        Mark before each line, which text after a carriage return does not overwrite; empty for none.
    """

    def __init__(self, mark: str = "") -> None:
        self._mark = mark
        self._cut = ""
        """Incomplete sequence that may continue in the next piece."""
        self.coloured = False
        """True if the script has left a colour on."""

    def take(self, text: str) -> str:
        """Return the next piece, made safe for a terminal.

        Parameters
        ----------
        text
            Text as written by the script, cut anywhere.
        """
        text = self._cut + text
        found = _CUT.search(text)
        self._cut = found[0] if found else ""
        shown = _IN_OUTPUT.sub(_shown, text[: len(text) - len(self._cut)])
        if self._mark:
            shown = shown.replace("\b", "\\x08").replace("\r", f"\r{self._mark}")
        if (coloured := _coloured(shown)) is not None:
            self.coloured = coloured
        return shown


def _coloured(text: str) -> bool | None:
    """Return whether the last colour sequence in a text leaves a colour on; None if there is none."""
    at = text.rfind("\x1b[")
    while at >= 0:
        if (found := _COLOUR.match(text, at)) is not None:
            return found[1].strip("0;:") != ""
        at = text.rfind("\x1b[", 0, at)
    return None


def _shown(found: re.Match[str]) -> str:
    return found[1] or ascii(found[0])[1:-1]


def _shown_character(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]
