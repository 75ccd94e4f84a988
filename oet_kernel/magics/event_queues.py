"""Queues by which other threads hear the events of a display."""

from queue import SimpleQueue

from oet_kernel.client import Event


class EventQueues:
    """Queues that get each event."""

    def __init__(self) -> None:
        self._queues: list[SimpleQueue[Event | None]] = []

    def hear(self) -> "SimpleQueue[Event | None]":
        """Return a queue of the events from now on; None marks the end."""
        queue: SimpleQueue[Event | None] = SimpleQueue()
        self._queues.append(queue)
        return queue

    def tell(self, event: Event | None) -> None:
        """Put an event into each queue; None at the end."""
        for queue in self._queues:
            queue.put(event)
