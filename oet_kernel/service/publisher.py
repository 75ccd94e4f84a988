"""Events of the service itself: topics of the catalogue, with names that existing listeners know."""

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
"""`msg_src` of the service's own events; existing listeners know this name."""

_TOLD = {
    ProcedureState.INITIALISING: topics.STARTED,
    ProcedureState.RUNNING: topics.STARTED,
    ProcedureState.COMPLETE: topics.COMPLETE,
    ProcedureState.FAILED: topics.FAILED,
    ProcedureState.STOPPED: topics.STOPPED,
}
"""Topic of the event with a summary that a state also publishes."""


class EventPublisher:
    """Publish requests, states and results.

    Parameters
    ----------
    journal
        Stores events.
    base_url
        API root in the URIs of summaries; empty while the server does not know its port.
    """

    def __init__(self, journal: Journal, base_url: str = "") -> None:
        self.base_url = base_url
        """API root in the URIs of summaries; set again once the server knows its port."""
        self._journal = journal
        self._last_request = 0.0

    def request_id(self) -> float:
        """Return a unique id for a request: its time in Unix seconds, as in the original."""
        self._last_request = max(time.time(), self._last_request + 1e-6)
        return self._last_request

    def request(self, topic: str, request_id: float, procedure: int | None = None, **fields: Any) -> None:
        """Publish a request to the service.

        Parameters
        ----------
        topic
            A ``request`` topic.
        request_id
            From `request_id`.
        procedure
            Id of the procedure concerned; None if there is none.
        fields
            Further fields of the event.
        """
        self._journal.publish(announce(topic, CLIENT, request_id=request_id, **fields), procedure)

    def result(self, topic: str, request_id: float, result: Any, procedure: int | None = None) -> None:
        """Publish the result of a request.

        Parameters
        ----------
        topic
            A ``procedure`` or ``activity`` topic that has a result.
        request_id
            Id of the request.
        result
            One summary, or several.
        procedure
            Id of the procedure concerned; None if there is none.
        """
        self._journal.publish(announce(topic, SERVICE, request_id=request_id, result=result), procedure)

    def entered(self, procedure: Procedure, state: ProcedureState, at: float, request_id: float, *, told: bool) -> None:
        """Publish a new state of a procedure.

        Parameters
        ----------
        procedure
            Procedure after the change.
        state
            State that it has entered.
        at
            Time of the change in Unix seconds.
        request_id
            Id of the request that caused the change.
        told
            Whether to publish now the summary that goes with some states.
        """
        pid = procedure.id
        self._journal.publish(announce(topics.STATECHANGE, str(pid), new_state=state), pid, at)
        if state is ProcedureState.FAILED:
            trace = procedure.history.stacktrace
            self._journal.publish(announce(topics.STACKTRACE, str(pid), stacktrace=trace), pid)
        if told and (topic := _TOLD.get(state)):
            self.result(topic, request_id, self.summary(procedure), pid)

    def summary(self, procedure: Procedure) -> ProcedureSummary:
        """Return the summary of a procedure."""
        return summary_of(procedure, self.base_url)


def publish_list(
    journal: Journal, asked: str, told: str, request_id: float, summaries: Sequence[Struct], **fields: Any
) -> None:
    """Publish the request for a list, and the list itself unless it is too large for an event.

    Parameters
    ----------
    journal
        Stores events.
    asked, told
        Topics of the request and of its result.
    request_id
        Id of the request.
    summaries
        Summaries in the list.
    fields
        Further fields of the request's event.
    """
    journal.publish(announce(asked, CLIENT, request_id=request_id, **fields))
    encoded, size = [], 0
    for one in summaries:
        encoded.append(Raw(to_json(one)))
        size += len(encoded[-1])
        if size > EVENT_BYTES:
            log.warning("A list is larger than an event may be, and goes only to the client that has requested it")
            return
    journal.publish(announce(told, SERVICE, request_id=request_id, result=encoded))
