"""What all events have in common, and what those of requests have."""

from typing import Annotated

from msgspec import Struct

from oet_kernel.models.description import about


class EventData(Struct, frozen=True, kw_only=True, tag_field="topic"):
    """Data of an event: the topic, the source, and the fields of the topic."""

    msg_src: Annotated[
        str, about("Source: id of a procedure as text, or name of a component.", examples=["3", "SESWorker"])
    ]


class RequestData(EventData, frozen=True, kw_only=True):
    """Data of a request to the service, or of its result."""

    request_id: Annotated[float, about("Id of the request: its time in Unix seconds, unique.")]
