"""Forwarding of events to the scripts that listen to them."""

from collections.abc import Iterable

import msgspec

from oet_kernel import topics
from oet_kernel.events.event import Event
from oet_kernel.protocol import EventRequest
from oet_kernel.service.execution import Execution


def forward(event: Event, executions: Iterable[Execution]) -> None:
    """Send an event to the scripts that listen to its topic, except to its sender.

    Parameters
    ----------
    event
        Event that is stored.
    executions
        Executions of the listed procedures.
    """
    for execution in executions:
        interests = execution.messages.interests
        if not interests or event.procedure == execution.id or execution.kernel is None:
            continue
        if any(topics.under(event.topic, interest) for interest in interests):
            fields = msgspec.json.decode(event.data)
            fields.pop("topic", None)
            execution.kernel.ask(EventRequest(event.topic, fields))
