"""Parsing and formatting of points in time and durations. Pure functions."""

import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read_when(text: str, now: float) -> float:
    """Read a point in time.

    Parameters
    ----------
    text
        ISO 8601, ``2026-11-25`` or ``2026-11-25T06:30``, in UTC if it names no zone, as in tables; or the time since
        then: ``90s``, ``30m``, ``2h``, ``3d``, ``1w``.
    now
        Present time in Unix seconds.

    Returns
    -------
    float
        Time in Unix seconds.

    Raises
    ------
    ValueError
        When the text has neither form.
    """
    if ago := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}).total_seconds()
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def moment(at: float, digits: int = 0) -> str:
    """Return a point in time as text, in UTC; the number itself where it is beyond the calendar.

    Parameters
    ----------
    at
        Time in Unix seconds.
    digits
        Number of digits after the second, 6 at most.
    """
    try:
        text = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S.%f}"
    except (ValueError, OverflowError, OSError):
        return f"{at:g}"
    return text[: len(text) - 6 + digits].rstrip(".")


def clock(at: float) -> str:
    """Return the time of day as text, in UTC, for a point in time in Unix seconds."""
    return moment(at).rpartition(" ")[2]


def duration(seconds: float) -> str:
    """Return a duration as text, to about three digits.

    Parameters
    ----------
    seconds
        Duration in seconds; negative values, from a clock that stepped back, count as 0.
    """
    seconds = max(seconds, 0.0)
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"
