"""Listening across breaks of the stream: position, retries and notices of a listener.

Both clients share this state, which neither connects nor waits; clock and random numbers are parameters.
"""

import random
import time
from collections.abc import Callable, Iterator
from itertools import count

import msgspec

from oet_kernel.client._address import Address
from oet_kernel.client._event import AWAY, BACK, LOST, Event, event_of
from oet_kernel.client._failures import broken_off
from oet_kernel.client.errors import ApiError, EventsLost, StreamEnded
from oet_kernel.events.sse import Decoder, Message
from oet_kernel.topics.notices import EventsRemoved, UnknownPosition

RESUME = 300.0
"""Default number of seconds to wait for a service that cannot be reached."""
_FIRST = 0.1
"""Seconds before the second retry; the first is made at once."""
_LONGEST = 5.0
"""Maximum number of seconds between two retries."""
_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""HTTP status codes of a service, or of a proxy in front of it, that is not ready yet."""


def pauses(dice: Callable[[], float]) -> Iterator[float]:
    """Yield the seconds to wait before each retry: 0, then doubling up to a maximum, each shortened at random.

    The random part keeps many listeners of one service from reconnecting at the same instants.

    Parameters
    ----------
    dice
        Returns random numbers from 0 to 1.
    """
    yield 0.0
    for doublings in count():
        yield min(_LONGEST, _FIRST * 2.0 ** min(doublings, 10)) * (1 - dice() / 2)


class Listening:
    """State of one listener's stream across its connections.

    Parameters
    ----------
    query
        Query that selects the events.
    after
        Id of the event after which to begin; 0 for all stored events, None for new events only.
    resume
        Seconds to wait for a service that cannot be reached; 0 to end with the first connection.
    notices
        Whether to yield the notices `AWAY`, `BACK` and `LOST` about the connection among the events.
    clock
        Returns the time in seconds of a monotonic clock.
    dice
        Returns random numbers from 0 to 1.
    """

    def __init__(
        self,
        query: dict[str, str],
        after: int | None,
        resume: float,
        notices: bool,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.query = {**query, **({"position": "true"} if after is None else {"after": str(after)})}
        self._resume = resume
        self._notices = notices
        self._clock = clock
        self._dice = dice
        self._position = None if after is None else str(after)
        """Id of the newest event received, or of the position where the stream began; None while neither is known."""
        self._decoder = Decoder()
        self._chunks = 0
        """Number of pieces received by this connection."""
        self._broken_at: float | None = None
        """Time of the clock when the stream broke; None while it is connected."""
        self._pauses = pauses(dice)
        self._away = False
        self._why = ""
        """Reason given by the service for closing the stream; empty if none is given."""

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the next connection."""
        # an id that is not a number comes from a service of the original, which ignores it
        position = self._position or ""
        return {"Last-Event-ID": position} if self._broken_at is not None and position.isdecimal() else {}

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Decode received bytes, and yield the complete events.

        Parameters
        ----------
        chunk
            Received bytes, cut anywhere.

        Raises
        ------
        EventsLost
            When events are missing for good, and `notices` is False.
        """
        self._chunks += 1
        if self._chunks > 1:
            self._is_well()  # the first piece only confirms that the listener is registered
        for message in self._decoder.feed(chunk):
            if message.event != "message":
                yield from self._said(message)
                continue
            self._is_well()
            self._position = message.id
            if (event := event_of(message)) is not None:
                yield event
        if self._decoder.last_id is not None:
            self._position = self._decoder.last_id

    def broke(self, address: Address, why: str) -> tuple[float, list[Event]]:
        """Handle a break of the stream, or a failed retry.

        Parameters
        ----------
        address
            Address of the service.
        why
            Reason of the break.

        Returns
        -------
        tuple
            Seconds to wait before the next retry, and notices to yield before it.

        Raises
        ------
        StreamEnded
            When the time for retries is over.
        """
        why = self._why or why
        now = self._clock()
        if self._broken_at is None:
            self._broken_at = now
        left = self._broken_at + self._resume - now
        if left <= 0:
            raise broken_off(address, why)
        pause = next(self._pauses)
        told = []
        if pause and not self._away:
            self._away = True
            told = [self._notice(AWAY, why=why)]
        return min(pause, left), told if self._notices else []

    def refused(self, error: ApiError, token_may_change: bool) -> str:
        """Handle an error reply to a retry; return the reason if another retry may succeed.

        Parameters
        ----------
        error
            Error in the reply.
        token_may_change
            Whether the token is looked up again before each retry.

        Raises
        ------
        ApiError
            When another retry would get the same answer.
        """
        status = int(error.status.partition(" ")[0])
        if status in _PASSING or (status == 403 and token_may_change):
            return f"{error.status}: {error.message}"
        raise error

    def connected(self) -> Iterator[Event]:
        """Handle a new connection; yield the notices about it.

        Raises
        ------
        EventsLost
            When missed events are not available, and `notices` is False.
        """
        self._decoder = Decoder()
        self._chunks = 0
        self._why = ""
        if self._away:
            self._away = False
            if self._notices:
                yield self._notice(BACK)
        if self._broken_at is not None and not (self._position or "").isdecimal():
            self._position = None
            yield from self._lost("the service does not number its events and cannot repeat them", None)

    def _is_well(self) -> None:
        if self._broken_at is not None:
            self._broken_at = None
            self._pauses = pauses(self._dice)

    def _said(self, message: Message) -> Iterator[Event]:
        """Handle a message of the service about the stream itself."""
        try:
            match message.event:
                case UnknownPosition.event:
                    unknown = msgspec.json.decode(message.data, type=UnknownPosition)
                    self._position = str(unknown.last_id)
                    why = f"event {unknown.after} is unknown to the service, which has another state folder now"
                    yield from self._lost(why, unknown.last_id)
                case EventsRemoved.event:
                    removed = msgspec.json.decode(message.data, type=EventsRemoved)
                    if removed.after:  # a listener that begins at 0 wants the stored events only
                        why = f"the service has removed old events, up to {removed.removed_through}"
                        yield from self._lost(why, removed.removed_through)
                case name:
                    self._why = f"the service has disconnected this listener ({name}: {message.data})"
        except msgspec.DecodeError:
            raise StreamEnded(f"The service's frame {message.event!r} is not valid: {message.data}") from None

    def _lost(self, why: str, after: int | None) -> Iterator[Event]:
        if not self._notices:
            raise EventsLost(f"Events may be missing: {why}", after)
        yield self._notice(LOST, why=why, after=after)

    def _notice(self, topic: str, **fields: object) -> Event:
        return Event(topic, "client", fields, None)
