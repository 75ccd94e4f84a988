"""What a client can be told."""

from collections.abc import Sequence

from oet_kernel.models import ProcedureState, ProcedureSummary


class ClientError(Exception):
    """A request to a service did not succeed."""


class ConnectionFailed(ClientError):
    """There is no service at the address, or it went away."""


class TlsFailed(ConnectionFailed):
    """There is a service, and its certificate is not accepted; or it speaks no TLS."""


class StreamEnded(ConnectionFailed):
    """An event stream that was connected came to an end; the service may well be there, and can be listened to anew."""


class EventsLost(StreamEnded):
    """A listener cannot be given all that it has missed; by ``notices`` it is told so, and goes on.

    Parameters
    ----------
    message
        What is missing, and why.
    after
        Id of the event behind which nothing more is missing; None where the service does not number its events.
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
        What kind of error it is, ``ResourceNotFound``.
    message
        What was asked, what is wrong, what to do.
    """

    def __init__(self, status: str, type: str, message: str) -> None:  # noqa: A002 - the name on the wire
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message


class ProcedureEnded(ClientError):
    """A procedure has ended otherwise than was waited for.

    Parameters
    ----------
    summary
        The procedure; its history holds the stack trace.
    wanted
        States that were waited for.
    """

    def __init__(self, summary: ProcedureSummary, wanted: Sequence[ProcedureState]) -> None:
        names = " or ".join(state.name for state in wanted)
        last_line = (summary.history.stacktrace or "").rstrip().rpartition("\n")[2]
        why = f": {last_line}" if last_line else ""
        super().__init__(f"Procedure {summary.id} is {summary.state.name}, and will not be {names}{why}")
        self.summary = summary
