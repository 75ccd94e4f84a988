"""The Python client: `Client` for programs that wait, `AsyncClient` for those that do not."""

from oet_kernel.client._async import AsyncClient
from oet_kernel.client._listening import RESUME
from oet_kernel.client._sync import Client
from oet_kernel.client._wire import AWAY, BACK, LOST, Event
from oet_kernel.client.errors import ApiError, ClientError, ConnectionFailed, EventsLost, StreamEnded

__all__ = [
    "AWAY",
    "BACK",
    "LOST",
    "RESUME",
    "ApiError",
    "AsyncClient",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "Event",
    "EventsLost",
    "StreamEnded",
]
