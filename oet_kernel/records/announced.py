"""Table of the user events of a script, and of its pauses; pure."""

from collections import deque
from collections.abc import Iterable
from typing import Any

from oet_kernel.formatting.times import moment
from oet_kernel.records.html import code, listed, table

EVENT_ROWS = 1000
"""Largest number of user events in a record: half of them the first ones, half the newest."""


class Announced:
    """Collects the user events of a script: beyond `EVENT_ROWS`, only the first and the newest."""

    def __init__(self) -> None:
        self._first: list[tuple[float, str, str]] = []
        self._newest: deque[tuple[float, str, str]] = deque(maxlen=EVENT_ROWS // 2)
        self._count = 0

    def add(self, at: float, topic: str, fields: dict[str, Any]) -> None:
        """Add an event.

        Parameters
        ----------
        at
            Time of the event, in Unix seconds.
        topic
            Topic of the event.
        fields
            All fields of the event.
        """
        own = {name: one for name, one in fields.items() if name not in ("msg_src", "topic")}
        row = (at, topic, code(listed(own)) if own else "")
        self._count += 1
        if len(self._first) < EVENT_ROWS // 2:
            self._first.append(row)
        else:
            self._newest.append(row)

    def markdown(self, events: str) -> str:
        """Return the table as Markdown.

        Parameters
        ----------
        events
            Place of all events, for the notice about omitted ones.
        """
        if not self._count:
            return "## Events\n\nThe script announced nothing."

        def rows() -> Iterable[tuple[str, ...]]:
            yield from ((moment(at, 3), code(topic), text) for at, topic, text in self._first)
            left_out = self._count - len(self._first) - len(self._newest)
            if left_out:
                yield "…", f"{left_out} events are left out here; all are in {events}", ""
            yield from ((moment(at, 3), code(topic), text) for at, topic, text in self._newest)

        return f"## Events\n\n{table(('Time (UTC)', 'Topic', 'Fields'), rows())}"
