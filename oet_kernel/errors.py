"""Exceptions of the service: one tree, in which each class has its HTTP status and its ``type`` on the wire.

Errors that the original has keep the original's texts, since clients print them.
"""

from http import HTTPStatus
from typing import Annotated

from msgspec import Struct

from oet_kernel.models.description import about


class ErrorBody(Struct, frozen=True, omit_defaults=True):
    """JSON body of every error reply."""

    error: Annotated[str, about("Status code and reason.", examples=["404 Not Found"])]
    type: Annotated[str, about("Type of the error.", examples=["ResourceNotFound"])]
    Message: Annotated[str, about("Request, reason and remedy.", examples=["No information available for PID=4"])]
    detail: Annotated[
        str | None,
        about("Place of the error in the request; absent unless the message is the original's and does not name it."),
    ] = None


class OetError(Exception):
    """Base of all errors that a caller of the service can receive.

    Parameters
    ----------
    message
        Request, reason and remedy.
    detail
        Path into the request and the value expected there, where the message has to keep the original's text.
    """

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    type: str = "InternalServerError"

    def __init__(self, message: str, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail

    @property
    def body(self) -> ErrorBody:
        """Body of the error reply."""
        return ErrorBody(f"{self.status.value} {self.status.phrase}", self.type, self.message, self.detail)


class MalformedRequest(OetError):
    """The request's body is not valid."""

    status = HTTPStatus.BAD_REQUEST
    type = "Malformed Request"


class EmptyResponse(MalformedRequest):
    """An update has no JSON body; the type is the original's."""

    type = "Empty Response"


class Unauthorized(OetError):
    """The request has no valid token."""

    status = HTTPStatus.FORBIDDEN
    type = "Forbidden"


class NotAuthorized(OetError):
    """The caller is authenticated, but the server's authorizer does not grant the action."""

    status = HTTPStatus.FORBIDDEN
    type = "NotAuthorized"


class ScriptNotAllowed(OetError):
    """The script lies outside the folders that the operator allows."""

    status = HTTPStatus.FORBIDDEN
    type = "ScriptNotAllowed"


class ResourceNotFound(OetError):
    """The procedure, activity or path does not exist."""

    status = HTTPStatus.NOT_FOUND
    type = "ResourceNotFound"

    @classmethod
    def procedure(cls, pid: int | str) -> "ResourceNotFound":
        """Create the error for an unknown procedure id, with the original's text."""
        return cls(f"No information available for PID={pid}")


class MethodNotAllowed(OetError):
    """The path does not support the method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    type = "MethodNotAllowed"


class StartRefused(OetError):
    """Another procedure is running on the same subarray."""

    status = HTTPStatus.CONFLICT
    type = "StartRefused"


class NoKernel(OetError):
    """The procedure has no kernel to attach to: it has not started yet, or has ended."""

    status = HTTPStatus.CONFLICT
    type = "NoKernel"


class KernelSilent(OetError):
    """A kernel did not start, or did not begin a requested step, in time."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    type = "KernelSilent"


class ControlTaken(OetError):
    """Another user has control of the kernel."""

    status = HTTPStatus.CONFLICT
    type = "ControlTaken"


class PauseRefused(OetError):
    """The procedure cannot be paused: it has ended, or its kernel cannot wait."""

    status = HTTPStatus.CONFLICT
    type = "PauseRefused"


class NotPaused(OetError):
    """The procedure cannot be resumed, since no pause is requested."""

    status = HTTPStatus.CONFLICT
    type = "NotPaused"


class TooManyKernels(OetError):
    """The configured maximum number of kernels is running already."""

    status = HTTPStatus.CONFLICT
    type = "TooManyKernels"


class ShuttingDown(OetError):
    """The service is shutting down and refuses new work."""

    status = HTTPStatus.CONFLICT
    type = "ShuttingDown"


class BodyTooLarge(OetError):
    """The request's body is larger than configured."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    type = "BodyTooLarge"


class AddressTooLong(OetError):
    """Path and query of a request are longer than the server reads."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG
    type = "AddressTooLong"


class StopFailed(OetError):
    """A procedure could not be stopped."""

    type = "StopFailed"


class AbortFailed(OetError):
    """The procedure was stopped, but its abort script did not run."""

    type = "AbortFailed"


class DeadlineExceeded(OetError):
    """A deadline has passed."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    type = "Timeout Error"


class IllegalTransition(OetError):
    """A procedure cannot enter a state from its present state."""

    type = "IllegalTransition"


class StateFolderInUse(OetError):
    """Another service holds the same state folder."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    type = "StateFolderInUse"


class StoreTooNew(OetError):
    """A later version has written the database of the state folder."""

    type = "StoreTooNew"


class StoreUnusable(OetError):
    """The database cannot be read or written: a full disk, a read-only folder, damage.

    Parameters
    ----------
    message
        Request, reason and remedy.
    why
        Message of the system, for replies that must not reveal paths.
    """

    status = HTTPStatus.INSUFFICIENT_STORAGE
    type = "StoreUnusable"

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.why = why or message


class KernelTooOld(OetError):
    """A kernel started by an older version of the service does not support the request."""

    status = HTTPStatus.CONFLICT
    type = "KernelTooOld"


class OutOfMemory(OetError):
    """The service has too little memory for the request."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    type = "OutOfMemory"


class BadConfiguration(OetError):
    """An option or a setting of the service is not valid."""

    type = "BadConfiguration"
