"""Log of a panel: the newest entries, bounded in number and size, and their lines. Pure functions."""

from collections.abc import Iterable
from typing import Any

import click
from msgspec import Struct

from oet_kernel import topics
from oet_kernel.client import Event
from oet_kernel.client.event_texts import describe
from oet_kernel.formatting.terminal_text import settled

MOST_ENTRIES = 2_000
"""Maximum number of entries that are kept, the newest."""
MOST_TEXT = 1_000_000
"""Maximum number of characters in all entries together."""
LONGEST = 20_000
"""Maximum number of characters of one entry, the newest."""


class Entry(Struct, frozen=True):
    """Log entry for an event."""

    id: int
    """Number of the event; 0 if it has none."""
    at: float
    """Time of publication if known, otherwise of reception, in Unix seconds."""
    pid: int | None
    """Id of the procedure that it is about; None if it is about none."""
    topic: str
    text: str
    stream: str = ""
    """``stdout`` or ``stderr`` for output of a script, which may end within a line; empty for other entries."""


class Line(Struct, frozen=True):
    """Line as shown."""

    at: float
    pid: int | None
    topic: str
    text: str
    stream: str


class Log(Struct, frozen=True):
    """Entries in the order of publication."""

    entries: tuple[Entry, ...] = ()
    size: int = 0
    """Number of characters in all entries."""

    @property
    def last_id(self) -> int:
        """Number of the newest event; 0 if there is none."""
        return self.entries[-1].id if self.entries else 0

    def add(self, new: Iterable[Entry]) -> "Log":
        """Return the log with entries added, and the oldest removed if there are too many.

        Parameters
        ----------
        new
            Entries in order, all later than the present ones.
        """
        added = tuple(new)
        entries = (*self.entries, *added)
        size = self.size + sum(len(one.text) for one in added)
        first = 0
        while len(entries) - first > MOST_ENTRIES or size > MOST_TEXT:
            size -= len(entries[first].text)
            first += 1
        return Log(entries[first:], size)


class Filter(Struct, frozen=True):
    """Filter of entries."""

    pid: int | None = None
    """Id of the only procedure whose entries are wanted; None for all."""
    topics: tuple[str, ...] = ()
    """Topics or beginnings of topics to include; empty for all."""

    def wants(self, entry: Entry) -> bool:
        """Return whether an entry passes the filter."""
        if self.pid is not None and entry.pid != self.pid:
            return False
        return not self.topics or any(topics.under(entry.topic, prefix) for prefix in self.topics)


def entry_of(event: Event, heard_at: float) -> Entry | None:
    """Return the entry for an event; None for an event that is not shown.

    Parameters
    ----------
    event
        Event from the stream, or from the service's store.
    heard_at
        Time of reception in Unix seconds, used for an event without a time.
    """
    text = _text(event)
    if text is None:
        return None
    number = int(event.id) if event.id is not None and event.id.isdecimal() else 0
    at = heard_at if event.at is None else event.at
    stream = str(event.fields.get("name", "stdout")) if event.service_topic == topics.OUTPUT_STREAM else ""
    return Entry(number, at, subject(event), event.topic, click.unstyle(text)[-LONGEST:], stream)


def subject(event: Event) -> int | None:
    """Return the id of the procedure that an event is about; None if it is about none.

    Parameters
    ----------
    event
        Event from the stream of any service.
    """
    result, command = event.fields.get("result"), event.fields.get("cmd")
    told: list[Any] = [event.msg_src]
    if isinstance(result, dict) and topics.under(event.service_topic, "procedure.lifecycle"):
        told.append(result.get("id"))
    if isinstance(command, dict) and event.service_topic:
        told.append(command.get("process_uid"))
    return next((int(one) for one in map(str, told) if one.isascii() and one.isdecimal()), None)


def lines(entries: Iterable[Entry], most: int) -> list[Line]:
    """Return the newest lines of entries, with pieces of a script's output joined.

    Parameters
    ----------
    entries
        Entries in order.
    most
        Maximum number of lines.
    """
    shown: list[Line] = []
    unfinished: dict[tuple[int | None, str], int] = {}
    for entry in entries:
        pieces = entry.text.split("\n")
        begin = 0
        place = unfinished.pop((entry.pid, entry.stream), None) if entry.stream else None
        if place is not None:
            open_line = shown[place]
            shown[place] = Line(open_line.at, entry.pid, entry.topic, open_line.text + pieces[0], entry.stream)
            begin = 1
        if entry.stream and pieces[-1] == "":
            pieces.pop()
        elif entry.stream:
            unfinished[entry.pid, entry.stream] = (
                place if len(pieces) == 1 and place is not None else len(shown) + (len(pieces) - begin - 1)
            )
        shown += [Line(entry.at, entry.pid, entry.topic, text, entry.stream) for text in pieces[begin:]]
    return [_settled(line) for line in shown[-most:]]


def _settled(line: Line) -> Line:
    """Return a line without text that it has overwritten, as a progress bar does."""
    return Line(line.at, line.pid, line.topic, settled(line.text), line.stream)


def _text(event: Event) -> str | None:
    match event.service_topic:
        case topics.OUTPUT_STREAM:
            return str(event.fields.get("text", "")) or None
        case topics.STATECHANGE:
            return f"Procedure {event.msg_src} is {event.fields.get('new_state')}"
        case topics.STACKTRACE:
            return str(event.fields.get("stacktrace") or "").rstrip().rpartition("\n")[2] or None
        case topic if topics.under(topic, "procedure.lifecycle") and topic not in topics.PAUSES:
            return None  # already shown by the state
        case _:
            return (describe(event) or "").removeprefix("- ") or None
