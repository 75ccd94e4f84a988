"""What a script has announced, and where it was paused, as a table; pure."""

from collections import deque
from collections.abc import Iterable
from typing import Any

from oet_kernel.records.html import code, listed, moment, table

EVENT_ROWS = 1000
"""User events that a record lists: the first half of them, and the newest."""


class Announced:
    """Collects the events that a script has published: of very many the first and the newest."""

    def __init__(self) -> None:
        self._first: list[tuple[float, str, str]] = []
        self._newest: deque[tuple[float, str, str]] = deque(maxlen=EVENT_ROWS // 2)
        self._count = 0

    def add(self, at: float, topic: str, fields: dict[str, Any]) -> None:
        """Add an event.

        Parameters
        ----------
        at
            Unix seconds.
        topic
            Its topic.
        fields
            All that it carries.
        """
        own = {name: one for name, one in fields.items() if name not in ("msg_src", "topic")}
        row = (at, topic, code(listed(own)) if own else "")
        self._count += 1
        if len(self._first) < EVENT_ROWS // 2:
            self._first.append(row)
        else:
            self._newest.append(row)

    def markdown(self, events: str) -> str:
        """Return the table.

        Parameters
        ----------
        events
            Where all events are.
        """
        if not self._count:
            return "## Events\n\nThe script announced nothing."

        def rows() -> Iterable[tuple[str, ...]]:
            yield from ((moment(at), code(topic), text) for at, topic, text in self._first)
            left_out = self._count - len(self._first) - len(self._newest)
            if left_out:
                yield "…", f"{left_out} events are left out here; all are in {events}", ""
            yield from ((moment(at), code(topic), text) for at, topic, text in self._newest)

        return f"## Events\n\n{table(('Time (UTC)', 'Topic', 'Fields'), rows())}"
