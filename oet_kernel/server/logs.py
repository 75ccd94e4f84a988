"""Bounds of the service's log: short, printable lines, and at most one a second from each place in the code."""

import logging
import time
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from oet_kernel.bounds import shortened
from oet_kernel.printable import printable

LINE_CHARACTERS = 500
"""Maximum length of a message in characters, without its traceback."""
BURST = 50
"""Number of lines that one place in the code may write at once; each second without a line allows one more."""

_formatter = logging.Formatter()


def moderated(config: dict[str, Any]) -> dict[str, Any]:
    """Return a logging configuration whose handlers have a `Moderator` each.

    Parameters
    ----------
    config
        Configuration for `logging.config.dictConfig`; modified in place.
    """
    config["filters"] = {"moderator": {"()": "oet_kernel.server.logs.Moderator"}}
    for handler in config["handlers"].values():
        handler["filters"] = ["moderator"]
    return config


class _Place(Struct):
    left: float = BURST
    at: float = 0.0
    dropped: int = 0


class Moderator(logging.Filter):
    """Shorten messages, escape control characters in them and in tracebacks, and drop too frequent ones.

    Parameters
    ----------
    now
        Returns the time in seconds of a monotonic clock.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._places: dict[tuple[str, int], _Place] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a message is written; the next written one tells the number dropped before it.

        Parameters
        ----------
        record
            Message; modified in place.
        """
        place = self._places.setdefault((record.pathname, record.lineno), _Place(at=self._now()))
        now = self._now()
        place.left, place.at = min(BURST, place.left + now - place.at), now
        if place.left < 1 and record.levelno < logging.CRITICAL:
            place.dropped += 1
            return False
        place.left -= 1
        message = shortened(printable(record.getMessage()), LINE_CHARACTERS)
        if place.dropped:
            message += f" (and {place.dropped} more of this kind, which were left out)"
            place.dropped = 0
        record.msg, record.args = message, ()
        if record.exc_info and not record.exc_text:  # formatters use it unchanged
            record.exc_text = printable(_formatter.formatException(record.exc_info))
        return True
