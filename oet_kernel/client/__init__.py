"""Python client: `Client` for synchronous programs, `AsyncClient` for asyncio programs."""

from typing import TYPE_CHECKING, Any

from oet_kernel.client._event import AWAY, BACK, LOST, Event
from oet_kernel.client._listening import RESUME
from oet_kernel.client._requests import script_of
from oet_kernel.client._sync import Client
from oet_kernel.client.errors import (
    ApiError,
    ClientError,
    ConnectionFailed,
    EventsLost,
    ProcedureEnded,
    StreamEnded,
    TlsFailed,
)

if TYPE_CHECKING:
    from oet_kernel.client._async import AsyncClient

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
    "ProcedureEnded",
    "StreamEnded",
    "TlsFailed",
    "script_of",
]


def __getattr__(name: str) -> Any:
    """Import the asynchronous client on first use: no command uses it."""
    if name != "AsyncClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from oet_kernel.client._async import AsyncClient

    return AsyncClient
