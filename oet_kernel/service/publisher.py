"""What the service itself says: events of the catalogue, in the words that existing listeners know."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from msgspec import Raw, Struct

from oet_kernel import topics
from oet_kernel.bounds import EVENT_BYTES
from oet_kernel.events.mapping import announce
from oet_kernel.models import ProcedureState, ProcedureSummary, to_json
from oet_kernel.procedure import Procedure, summary_of
from oet_kernel.store.journal import Journal

log = logging.getLogger(__name__)

CLIENT = "FlaskWorker"
"""`msg_src` of requests; existing listeners know this name."""
SERVICE = "SESWorker"
"""`msg_src` of what the service says of its own; existing listeners know this name."""

_TOLD = {
    ProcedureState.INITIALISING: topics.STARTED,
    ProcedureState.RUNNING: topics.STARTED,
    ProcedureState.COMPLETE: topics.COMPLETE,
    ProcedureState.FAILED: topics.FAILED,
    ProcedureState.STOPPED: topics.STOPPED,
}
"""States that are also told with a summary."""


class EventPublisher:
    """Publishes requests, states, and what became of them.

    Parameters
    ----------
    journal
        Where events are written down.
    base_url
        API root in the URIs of events.
    """

    def __init__(self, journal: Journal, base_url: str) -> None:
        self.base_url = base_url
        self._journal = journal
        self._last_request = 0.0

    def request_id(self) -> float:
        """Identify a request by its time, as the original does; no two alike."""
        self._last_request = max(time.time(), self._last_request + 1e-6)
        return self._last_request

    def request(self, topic: str, request_id: float, procedure: int | None = None, **fields: Any) -> None:
        """Tell what somebody asks of the service.

        Parameters
        ----------
        topic
            A ``request`` topic.
        request_id
            From `request_id`.
        procedure
            The procedure that it is about.
        fields
            The event's own fields.
        """
        self._journal.publish(announce(topic, CLIENT, request_id=request_id, **fields), procedure)

    def result(self, topic: str, request_id: float, result: Any, procedure: int | None = None) -> None:
        """Tell what came of a request.

        Parameters
        ----------
        topic
            A ``procedure`` or ``activity`` topic that has a result.
        request_id
            That of the request.
        result
            A summary, or several.
        procedure
            The procedure that it is about.
        """
        self._journal.publish(announce(topic, SERVICE, request_id=request_id, result=result), procedure)

    def entered(self, procedure: Procedure, state: ProcedureState, at: float, request_id: float, *, told: bool) -> None:
        """Tell that a procedure is in a new state.

        Parameters
        ----------
        procedure
            As it is now.
        state
            The state that it has entered.
        at
            When; Unix seconds.
        request_id
            The request that it follows from.
        told
            Whether the summary that goes with some states is to be told now.
        """
        pid = procedure.id
        self._journal.publish(announce(topics.STATECHANGE, str(pid), new_state=state), pid, at)
        if state is ProcedureState.FAILED:
            trace = procedure.history.stacktrace
            self._journal.publish(announce(topics.STACKTRACE, str(pid), stacktrace=trace), pid)
        if told and (topic := _TOLD.get(state)):
            self.result(topic, request_id, self.summary(procedure), pid)

    def summary(self, procedure: Procedure) -> ProcedureSummary:
        """Tell clients all about a procedure."""
        return summary_of(procedure, self.base_url)


def publish_list(
    journal: Journal, asked: str, told: str, request_id: float, summaries: Sequence[Struct], **fields: Any
) -> None:
    """Tell that somebody has asked for a list, and what it holds, unless that is too large for an event.

    Parameters
    ----------
    journal
        Where events are written down.
    asked, told
        Topics of the request and of its result.
    request_id
        Of the request.
    summaries
        What is listed.
    fields
        The request's own fields.
    """
    journal.publish(announce(asked, CLIENT, request_id=request_id, **fields))
    encoded, size = [], 0
    for one in summaries:
        encoded.append(Raw(to_json(one)))
        size += len(encoded[-1])
        if size > EVENT_BYTES:
            log.warning("A list has more bytes than an event may have: only who has asked for it is told")
            return
    journal.publish(announce(told, SERVICE, request_id=request_id, result=encoded))
