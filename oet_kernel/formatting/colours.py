"""The colours that states have, in a notebook and on a terminal.

In a notebook white is readable on each, and each on white (WCAG 2.2, 1.4.3).
"""

import click

NEUTRAL = "#616161"
"""Of a state that has no colour of its own."""
COLOURS = {
    "READY": "#00796b",
    "PREPARED": "#00796b",
    "RUNNING": "#1565c0",
    "COMPLETE": "#2e7d32",
    "STOPPED": "#a65d00",
    "FAILED": "#c62828",
    "UNKNOWN": "#c62828",
}
"""By the name of a procedure's or an activity's state."""
CAUTION = COLOURS["STOPPED"]
"""Of what is not as it should be, and may come right."""
TROUBLE = COLOURS["FAILED"]
"""Of what has gone wrong."""

_TERMINAL = {
    "READY": "cyan",
    "PREPARED": "cyan",
    "RUNNING": "blue",
    "COMPLETE": "green",
    "STOPPED": "yellow",
    "FAILED": "red",
    "UNKNOWN": "red",
}


def coloured(state: str) -> str:
    """Colour the name of a state, which click takes back where the output is no terminal.

    Parameters
    ----------
    state
        Its name; a number may follow, ``RUNNING 2``.
    """
    colour = _TERMINAL.get(state.partition(" ")[0])
    return click.style(state, fg=colour) if colour else state
