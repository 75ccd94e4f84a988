"""Events of the stream, and the client's notices about its connection among them."""

from typing import Any

import msgspec
from msgspec import Struct

from oet_kernel.events.sse import Message
from oet_kernel.topics import ORIGIN, is_service_topic

AWAY = "connection.away"
"""Topic of the notice that the service does not answer, and retries go on; its field is ``why``."""
BACK = "connection.back"
"""Topic of the notice that the service answers again."""
LOST = "connection.lost"
"""Topic of the notice that events between the one before it and the one after it may be missing for good.

Its fields are ``why``, and ``after``: id of the event after which nothing is missing, None if unknown.
"""


class Event(Struct, frozen=True):
    """Event from the stream."""

    topic: str
    msg_src: str
    fields: dict[str, Any]
    """Fields of the event, without topic and source."""
    id: str | None
    """Position in the stream; None for a notice of the client."""
    at: float | None = None
    """Time of publication in Unix seconds; None for events from the stream, which does not send it."""

    @property
    def service_topic(self) -> str:
        """Topic; empty for an event of a script on a topic that is reserved for the service."""
        return "" if self.fields.get(ORIGIN) == "script" and is_service_topic(self.topic) else self.topic

    @property
    def is_notice(self) -> bool:
        """True for a notice of the client about the connection, whatever topics a script may use."""
        return self.id is None and self.topic in (AWAY, BACK, LOST)


def event_of(message: Message) -> Event | None:
    """Read an event from a frame; None if the frame holds none."""
    try:
        fields = msgspec.json.decode(message.data, type=dict[str, Any])
    except msgspec.DecodeError:
        return None
    return Event(str(fields.pop("topic", "")), str(fields.pop("msg_src", "")), fields, message.id)
