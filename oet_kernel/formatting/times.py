"""Points in time and durations, as they are typed and as they are shown; pure."""

import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read_when(text: str, now: float) -> float:
    """Read a point in time.

    Parameters
    ----------
    text
        ISO 8601, ``2026-11-25`` or ``2026-11-25T06:30``, in UTC where it names no zone, as the tables are; or how long
        ago it is: ``90s``, ``30m``, ``2h``, ``3d``, ``1w``.
    now
        Unix seconds.

    Returns
    -------
    float
        Unix seconds.

    Raises
    ------
    ValueError
        When it is neither.
    """
    if ago := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}).total_seconds()
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def duration(seconds: float) -> str:
    """Say how long something took, to about three digits.

    Parameters
    ----------
    seconds
        A step back of the clock counts as no time.
    """
    seconds = max(seconds, 0.0)
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"
