"""Published events, and filters of events."""

from msgspec import Struct

from oet_kernel.topics import ORIGIN, under

BY_SCRIPT = f'{{"{ORIGIN}":"script",'.encode()
"""Beginning of the data of events that are marked as a script's; no other event begins so."""


class Event(Struct, frozen=True):
    """Published event."""

    seq: int
    """Number of the event: increases by one for each event of the service, restarts included."""
    topic: str
    procedure: int | None
    """Id of the procedure that it is about; None for none, or several."""
    data: bytes
    """JSON object that is sent to listeners."""
    at: float = 0.0
    """Time of publication in Unix seconds; for an event of a script, the time in the script."""

    @property
    def service_topic(self) -> str:
        """Topic; empty for an event of a script on a topic that is reserved for the service."""
        return "" if self.data.startswith(BY_SCRIPT) else self.topic


class Filter(Struct, frozen=True):
    """Filter of events."""

    topics: tuple[str, ...] = ()
    """Topics or beginnings of topics to include; empty for all."""
    exclude: tuple[str, ...] = ()
    """Topics or beginnings of topics to exclude."""
    procedure: int | None = None
    """Id of the only procedure whose events are wanted; None for all events."""

    def wants(self, event: Event) -> bool:
        """Return whether an event passes the filter."""
        if self.procedure is not None and event.procedure != self.procedure:
            return False
        if self.topics and not any(under(event.topic, prefix) for prefix in self.topics):
            return False
        return not any(under(event.topic, prefix) for prefix in self.exclude)
