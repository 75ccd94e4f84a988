"""One tree of errors; each knows its HTTP status, its ``type`` on the wire and its text.

The texts of errors that the original has are the original's own, since clients print them.
"""

from http import HTTPStatus

from msgspec import Struct


class ErrorBody(Struct, frozen=True, omit_defaults=True):
    """The JSON body of every error, whatever went wrong."""

    error: str
    """Status code and reason, ``404 Not Found``."""
    type: str
    """What kind of error it is, ``ResourceNotFound``."""
    Message: str
    """What was asked, what is wrong, what to do."""
    detail: str | None = None
    """Where in the request the error is, when the message is the original's and does not say."""


class OetError(Exception):
    """Anything that a caller of the service can be told.

    Parameters
    ----------
    message
        What was asked, what is wrong, what to do.
    detail
        A path into the request and what was expected there, where the message has to stay as it is.
    """

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    type: str = "InternalServerError"

    def __init__(self, message: str, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail

    @property
    def body(self) -> ErrorBody:
        """The error as it goes over the wire."""
        return ErrorBody(f"{self.status.value} {self.status.phrase}", self.type, self.message, self.detail)


class MalformedRequest(OetError):
    """The request's body is not what it should be."""

    status = HTTPStatus.BAD_REQUEST
    type = "Malformed Request"


class EmptyResponse(MalformedRequest):
    """An update came without JSON; the type is the original's."""

    type = "Empty Response"


class Unauthorized(OetError):
    """The request carries no valid token."""

    status = HTTPStatus.FORBIDDEN
    type = "Forbidden"


class NotAuthorized(OetError):
    """The caller is known, and the server's authorizer does not grant what was asked for."""

    status = HTTPStatus.FORBIDDEN
    type = "NotAuthorized"


class ScriptNotAllowed(OetError):
    """The script lies outside the folders that the operator allowed."""

    status = HTTPStatus.FORBIDDEN
    type = "ScriptNotAllowed"


class ResourceNotFound(OetError):
    """There is no such procedure, activity or path."""

    status = HTTPStatus.NOT_FOUND
    type = "ResourceNotFound"

    @classmethod
    def procedure(cls, pid: int | str) -> "ResourceNotFound":
        """Say that no procedure has this id, in the original's words."""
        return cls(f"No information available for PID={pid}")


class MethodNotAllowed(OetError):
    """The path exists, the method does not."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    type = "MethodNotAllowed"


class StartRefused(OetError):
    """Another procedure runs on the same subarray."""

    status = HTTPStatus.CONFLICT
    type = "StartRefused"


class NoKernel(OetError):
    """The procedure has no kernel that can be looked into: it is not up yet, or has gone."""

    status = HTTPStatus.CONFLICT
    type = "NoKernel"


class KernelSilent(OetError):
    """A kernel did not do in time what every step of a procedure waits for: start, or begin what it was asked for."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    type = "KernelSilent"


class ControlTaken(OetError):
    """Somebody else has control of the kernel."""

    status = HTTPStatus.CONFLICT
    type = "ControlTaken"


class PauseRefused(OetError):
    """The procedure cannot be paused: it has ended, or has nothing that could wait."""

    status = HTTPStatus.CONFLICT
    type = "PauseRefused"


class NotPaused(OetError):
    """The procedure cannot be resumed, since no pause is asked for."""

    status = HTTPStatus.CONFLICT
    type = "NotPaused"


class TooManyKernels(OetError):
    """The configured number of kernels is alive already."""

    status = HTTPStatus.CONFLICT
    type = "TooManyKernels"


class ShuttingDown(OetError):
    """The service is about to end and takes no new work."""

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
    """A procedure could not be ended."""

    type = "StopFailed"


class AbortFailed(OetError):
    """The procedure was stopped, but its abort script did not get to run."""

    type = "AbortFailed"


class DeadlineExceeded(OetError):
    """Something did not happen in time."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    type = "Timeout Error"


class IllegalTransition(OetError):
    """A procedure was asked to enter a state that cannot follow its own."""

    type = "IllegalTransition"


class StateFolderInUse(OetError):
    """Another service works on the same state folder."""

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
        What was asked, what is wrong, what to do.
    why
        What the system said, for those who are to know no paths.
    """

    status = HTTPStatus.INSUFFICIENT_STORAGE
    type = "StoreUnusable"

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.why = why or message


class KernelTooOld(OetError):
    """A kernel that an older version of the service has started cannot do what was asked."""

    status = HTTPStatus.CONFLICT
    type = "KernelTooOld"


class OutOfMemory(OetError):
    """The service has no memory for what was asked."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    type = "OutOfMemory"


class BadConfiguration(OetError):
    """The service was given an option or a setting that makes no sense."""

    type = "BadConfiguration"
