"""Text of others on a terminal: what would control it is shown as an escape; pure, in time linear in the text."""

import re

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""C0, DEL, C1, separators of lines, and marks that turn the direction of writing."""
_ESCAPED = re.compile(
    "(\x1b\\[[0-9;:]{0,32}m)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""Colours (SGR), which stay, or a control character that is neither a tab nor the end of a line."""

_IN_OUTPUT = re.compile(
    "(\x1b\\[[0-9;:]{0,32}m|\x1b\\[0?K)|[\x00-\x07\x0b-\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""As `_ESCAPED`, where a line may also be rewritten: carriage return, backspace, and the erasing of its rest."""
_CUT = re.compile("\x1b(\\[[0-9;:]{0,32})?\\Z")
"""The beginning of a sequence, at the end of a text."""
_PLAIN = "\x1b[0m"
_COLOUR = re.compile("\x1b\\[([0-9;:]{0,32})m")


def has_controls(text: str) -> bool:
    """Return whether a text, which is to stand on one line, has control characters."""
    return _CONTROLS.search(text) is not None


def printable(text: str) -> str:
    """Return a text as a terminal may have it: lines, tabs and colours stay, other control characters are escaped.

    Parameters
    ----------
    text
        Of a script, a client, a git host; a colour that it leaves on ends with it.
    """
    shown = _ESCAPED.sub(_shown, text)
    return f"{shown}{_PLAIN}" if _coloured(shown) else shown


def one_line(text: str) -> str:
    """Return a text that stands on one line, with all control characters escaped: line ends and colours too.

    Parameters
    ----------
    text
        Of a script, a client, a git host.
    """
    return _CONTROLS.sub(_shown_character, text)


class OutputText:
    """What a script writes to one stream, as a terminal may have it: its colours stay, and it may rewrite its own line.

    Parameters
    ----------
    mark
        What stands before each line, and is not overwritten by what follows on a carriage return; empty without.
    """

    def __init__(self, mark: str = "") -> None:
        self._mark = mark
        self._cut = ""
        """A sequence that may go on in the next piece."""
        self.coloured = False
        """Whether a colour is on that the script has not taken back."""

    def take(self, text: str) -> str:
        """Return the next piece, as it may be shown.

        Parameters
        ----------
        text
            As the script wrote it, cut anywhere.
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
    """Return whether the last colour in a text stays on; None where there is none."""
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
