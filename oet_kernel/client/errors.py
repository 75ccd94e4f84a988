"""Exceptions of the client."""

from collections.abc import Sequence

from oet_kernel.models import ProcedureState, ProcedureSummary


class ClientError(Exception):
    """A request to a service did not succeed."""


class ConnectionFailed(ClientError):
    """No service is reached at the address, or its connection has ended."""


class TlsFailed(ConnectionFailed):
    """The certificate of the service is not accepted, or the service does not use TLS."""


class StreamEnded(ConnectionFailed):
    """A connected event stream has ended; the service may still be there, and accept a new listener."""


class EventsLost(StreamEnded):
    """Missed events are not available; with ``notices`` the listener gets a notice instead, and goes on.

    Parameters
    ----------
    message
        Missing events, and the reason.
    after
        Id of the event after which nothing is missing; None if the service does not number its events.
    """

    def __init__(self, message: str, after: int | None) -> None:
        super().__init__(message)
        self.after = after


class ApiError(ClientError):
    """The service refused a request, or failed at it.

    Parameters
    ----------
    status
        HTTP status and its reason, ``404 Not Found``.
    type
        Type of the error, ``ResourceNotFound``.
    message
        Request, reason and remedy.
    """

    def __init__(self, status: str, type: str, message: str) -> None:  # noqa: A002 - the name on the wire
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message


class ProcedureEnded(ClientError):
    """A procedure has ended in a state other than those waited for.

    Parameters
    ----------
    summary
        Summary of the procedure; its history holds the stack trace.
    wanted
        States that were waited for.
    """

    def __init__(self, summary: ProcedureSummary, wanted: Sequence[ProcedureState]) -> None:
        names = " or ".join(state.name for state in wanted)
        last_line = (summary.history.stacktrace or "").rstrip().rpartition("\n")[2]
        why = f": {last_line}" if last_line else ""
        super().__init__(f"Procedure {summary.id} is {summary.state.name} and cannot become {names}{why}")
        self.summary = summary
