"""An event as it was published, and which events somebody wants."""

from msgspec import Struct

from oet_kernel.topics import ORIGIN, under

BY_SCRIPT = f'{{"{ORIGIN}":"script",'.encode()
"""Beginning of the data of events that are marked as a script's word; no other event begins so."""


class Event(Struct, frozen=True):
    """A published event."""

    seq: int
    """Its number: counts up by one for each event of the service, restarts included."""
    topic: str
    procedure: int | None
    """The procedure that it is about; None when it is about none, or about several."""
    data: bytes
    """The JSON object that goes out."""
    at: float = 0.0
    """When it was published, in the script where it comes from one; Unix seconds."""

    @property
    def service_topic(self) -> str:
        """The topic; empty where a script has published on one on which the service alone is believed."""
        return "" if self.data.startswith(BY_SCRIPT) else self.topic


class Filter(Struct, frozen=True):
    """Which events a listener wants."""

    topics: tuple[str, ...] = ()
    """Topics or beginnings of topics; empty for all."""
    exclude: tuple[str, ...] = ()
    """The same, for what it does not want."""
    procedure: int | None = None
    """Only events about this procedure."""

    def wants(self, event: Event) -> bool:
        """Tell whether an event is to be delivered."""
        if self.procedure is not None and event.procedure != self.procedure:
            return False
        if self.topics and not any(under(event.topic, prefix) for prefix in self.topics):
            return False
        return not any(under(event.topic, prefix) for prefix in self.exclude)
