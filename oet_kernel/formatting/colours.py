"""Colours of states, in a notebook and on a terminal.

In a notebook white text is readable on each colour, and each colour on white (WCAG 2.2, 1.4.3).
"""

import click

NEUTRAL = "#616161"
"""Colour of a state without a colour of its own."""
COLOURS = {
    "READY": "#00796b",
    "PREPARED": "#00796b",
    "RUNNING": "#1565c0",
    "COMPLETE": "#2e7d32",
    "STOPPED": "#a65d00",
    "FAILED": "#c62828",
    "UNKNOWN": "#c62828",
}
"""Colours by the name of a procedure's or an activity's state."""
CAUTION = COLOURS["STOPPED"]
"""Colour of a problem that may pass."""
TROUBLE = COLOURS["FAILED"]
"""Colour of a failure."""

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
    """Return the name of a state in its colour, which click removes where the output is not a terminal.

    Parameters
    ----------
    state
        Name of the state; a number may follow, ``RUNNING 2``.
    """
    colour = _TERMINAL.get(state.partition(" ")[0])
    return click.style(state, fg=colour) if colour else state
