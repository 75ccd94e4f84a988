"""The service's log: lines are short and printable, and one place in the code writes no more than one a second."""

import logging
import time
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from oet_kernel.bounds import shortened
from oet_kernel.printable import printable

LINE_CHARACTERS = 500
"""Of one message; a traceback comes behind it."""
BURST = 50
"""Lines that one place in the code may write at once; as many seconds of silence allow as many again."""

_formatter = logging.Formatter()


def moderated(config: dict[str, Any]) -> dict[str, Any]:
    """Return a logging configuration whose handlers have a `Moderator` each.

    Parameters
    ----------
    config
        As `logging.config.dictConfig` takes it; it is changed.
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
    """Shortens messages, escapes control characters in them and in tracebacks, and drops those that come too often.

    Parameters
    ----------
    now
        Clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._places: dict[tuple[str, int], _Place] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a message is written; the next that is says how many like it were not.

        Parameters
        ----------
        record
            The message, which is changed.
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
        if record.exc_info and not record.exc_text:  # which formatters take as it is
            record.exc_text = printable(_formatter.formatException(record.exc_info))
        return True
