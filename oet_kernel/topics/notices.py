"""Notices of the service to one listener about its stream: frames with a name, which are no events."""

from typing import Annotated, ClassVar

from msgspec import Struct

from oet_kernel.models.description import about


class StreamNotice(Struct, frozen=True):
    """Notice about a stream."""

    event: ClassVar[str]
    """Name of the frame."""


class Overflow(StreamNotice, frozen=True):
    """The listener did not keep up, and is cut off."""

    event: ClassVar[str] = "overflow"
    last_id: Annotated[int | None, about("Number of the last event sent; null if none was.")]


class EventsRemoved(StreamNotice, frozen=True):
    """Some of the events that the listener has missed were removed by age or size."""

    event: ClassVar[str] = "removed"
    after: Annotated[int, about("Number of the last event that the listener has.")]
    removed_through: Annotated[int, about("Number of the last removed event.")]


class UnknownPosition(StreamNotice, frozen=True):
    """The position that the listener gave lies after all events of the service; the stream begins with new ones."""

    event: ClassVar[str] = "unknown-id"
    after: Annotated[int, about("Number that the listener gave.")]
    last_id: Annotated[int, about("Number of the newest event.")]


NOTICES = (Overflow, EventsRemoved, UnknownPosition)
"""All notices."""
