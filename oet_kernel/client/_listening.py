"""Listening over breaks of the stream: how far a listener has heard, when it tries again, what it is told.

Both clients share it; it neither connects nor waits. Where the clock stands and how the dice fall, it is told.
"""

import random
import time
from collections.abc import Callable, Iterator
from itertools import count

import msgspec

from oet_kernel.client import _wire
from oet_kernel.client._address import Address
from oet_kernel.client._wire import AWAY, BACK, LOST, Event
from oet_kernel.client.errors import ApiError, EventsLost, StreamEnded
from oet_kernel.events.sse import Decoder, Message

RESUME = 300.0
"""Seconds for which a service that went away is waited for, by default."""
_FIRST = 0.1
"""Seconds to wait before the second try; the first is made at once."""
_LONGEST = 5.0
"""Seconds to wait between two tries at most."""
_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""HTTP status codes of a service, or of a proxy before it, that is not ready yet."""


class _UnknownId(msgspec.Struct):
    after: int
    last_id: int


class _Removed(msgspec.Struct):
    after: int
    removed_through: int


def pauses(dice: Callable[[], float]) -> Iterator[float]:
    """Give the seconds to wait before each try: none, then doubling up to a bound, each made shorter by the dice.

    So that many listeners of one service do not all come back at the same instants.

    Parameters
    ----------
    dice
        Gives numbers from 0 to 1.
    """
    yield 0.0
    for doublings in count():
        yield min(_LONGEST, _FIRST * 2.0 ** min(doublings, 10)) * (1 - dice() / 2)


class Listening:
    """One listener's knowledge of its stream, whichever connections carry it.

    Parameters
    ----------
    query
        Which events it wants.
    after
        Id of the event behind which it begins, 0 for all that there are; None for what is to come.
    resume
        Seconds for which a service that went away is waited for; 0 to end with the first connection.
    notices
        Whether the listener is told of the connection among the events, as `AWAY`, `BACK` and `LOST`.
    clock
        Seconds, of a clock that is not set.
    dice
        Gives numbers from 0 to 1.
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
        """Id of the newest event that was heard, or of the place where the stream began; None while neither is
        known."""
        self._decoder = Decoder()
        self._chunks = 0
        """How many pieces this connection has brought."""
        self._broken_at: float | None = None
        """When the stream broke; None while it is well."""
        self._pauses = pauses(dice)
        self._away = False
        self._why = ""
        """Why the service will close the stream; empty while it has said nothing of the kind."""

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the next connection."""
        # what is not a number comes from a service of the original, to which it means nothing
        position = self._position or ""
        return {"Last-Event-ID": position} if self._broken_at is not None and position.isdecimal() else {}

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Take what has arrived, and give the events that are whole.

        Parameters
        ----------
        chunk
            Bytes, cut anywhere.

        Raises
        ------
        EventsLost
            When some are missing for good, and the listener has not asked for notices.
        """
        self._chunks += 1
        if self._chunks > 1:
            self._is_well()  # the first piece says only that the service has this listener
        for message in self._decoder.feed(chunk):
            if message.event != "message":
                yield from self._said(message)
                continue
            self._is_well()
            self._position = message.id
            if (event := _wire.event_of(message)) is not None:
                yield event
        if self._decoder.last_id is not None:
            self._position = self._decoder.last_id

    def broke(self, address: Address, why: str) -> tuple[float, list[Event]]:
        """Take that the stream, or another try to connect, has failed.

        Parameters
        ----------
        address
            Where it was.
        why
            What became of it.

        Returns
        -------
        tuple
            Seconds to wait before the next try, and what to tell the listener before.

        Raises
        ------
        StreamEnded
            When it is not to be tried again.
        """
        why = self._why or why
        now = self._clock()
        if self._broken_at is None:
            self._broken_at = now
        left = self._broken_at + self._resume - now
        if left <= 0:
            raise _wire.broken_off(address, why)
        pause = next(self._pauses)
        told = []
        if pause and not self._away:
            self._away = True
            told = [self._notice(AWAY, why=why)]
        return min(pause, left), told if self._notices else []

    def refused(self, error: ApiError, token_may_change: bool) -> str:
        """Take that the service has answered the next try with an error; gives why it failed.

        Parameters
        ----------
        error
            The answer.
        token_may_change
            Whether the token is looked up anew before each try.

        Raises
        ------
        ApiError
            When another try would get the same answer.
        """
        status = int(error.status.partition(" ")[0])
        if status in _PASSING or (status == 403 and token_may_change):
            return f"{error.status}: {error.message}"
        raise error

    def connected(self) -> Iterator[Event]:
        """Take that there is a new connection; gives what to tell the listener.

        Raises
        ------
        EventsLost
            When what was missed cannot be had, and the listener has not asked for notices.
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
            yield from self._lost("the service does not number its events, and sends none again", None)

    def _is_well(self) -> None:
        if self._broken_at is not None:
            self._broken_at = None
            self._pauses = pauses(self._dice)

    def _said(self, message: Message) -> Iterator[Event]:
        """Take what the service says about the stream itself."""
        try:
            match message.event:
                case "unknown-id":
                    unknown = msgspec.json.decode(message.data, type=_UnknownId)
                    self._position = str(unknown.last_id)
                    why = f"event {unknown.after} is not known to the service: its state folder is another one"
                    yield from self._lost(why, unknown.last_id)
                case "removed":
                    removed = msgspec.json.decode(message.data, type=_Removed)
                    if removed.after:  # who begins at 0 wants what there is
                        why = f"the service has removed events up to {removed.removed_through}, since they were old"
                        yield from self._lost(why, removed.removed_through)
                case name:
                    self._why = f"the service has cut this listener off ({name}: {message.data})"
        except msgspec.DecodeError:
            raise StreamEnded(f"The service's frame {message.event!r} is not understood: {message.data}") from None

    def _lost(self, why: str, after: int | None) -> Iterator[Event]:
        if not self._notices:
            raise EventsLost(f"Events may be missing: {why}", after)
        yield self._notice(LOST, why=why, after=after)

    def _notice(self, topic: str, **fields: object) -> Event:
        return Event(topic, "client", fields, None)
