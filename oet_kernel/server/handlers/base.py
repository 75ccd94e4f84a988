"""Base of all request handlers: size limit, error bodies, encoding."""

import http
import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol
from urllib.parse import unquote

from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from msgspec import Struct
from tornado import web
from tornado.iostream import StreamClosedError

from oet_kernel.errors import (
    BodyTooLarge,
    MalformedRequest,
    MethodNotAllowed,
    NotAuthorized,
    OetError,
    OutOfMemory,
    ResourceNotFound,
    Unauthorized,
)
from oet_kernel.events.bus import EventBus
from oet_kernel.models import USER, to_json
from oet_kernel.records.writer import RecordWriter
from oet_kernel.scripts.catalogue import ScriptCatalogue
from oet_kernel.service.activities import ActivityService
from oet_kernel.service.attachments import Attachments
from oet_kernel.service.pauses import Pauses
from oet_kernel.service.procedures import ScriptExecutionService
from oet_kernel.store.journal import Journal

_MADE_UP = re.compile(r"[0-9a-f]{32}")
"""User name that Jupyter Server assigns to a caller with a token, a new one each time."""
_LONGEST_NAME = 200
_PIECE_BYTES = 1 << 18
"""Approximate size in bytes of a piece of a list that is sent at once; a larger record is sent alone."""
_DENIED = "User is not authorized to "
"""Beginning of Jupyter Server's error for an action that the authorizer does not grant; the action follows."""
RESOURCE = "oet"
"""Resource name for authorizers; the actions are read, write and execute."""


class HandlerContext(Struct, frozen=True, kw_only=True):
    """Components for request handlers."""

    service: ScriptExecutionService
    activities: ActivityService
    attachments: Attachments
    pauses: Pauses
    journal: Journal
    catalogue: ScriptCatalogue
    bus: EventBus
    records: RecordWriter
    heartbeat: float
    """Seconds between comments on a silent stream."""
    queue_bytes: int
    """Bytes that a listener may lag behind."""


class ServiceAccess(Protocol):
    """Access to the service, which may not be created yet."""

    @property
    def opened(self) -> HandlerContext | None:
        """Components for request handlers; None until the service is created."""

    async def open(self) -> HandlerContext:
        """Return the components for request handlers; create the service at the first call."""


@web.stream_request_body
class OetHandler(ExtensionHandlerMixin, APIHandler):
    """Base handler that answers in JSON, errors included."""

    _needs_service = True

    def initialize(self, name: str, **kwargs: Any) -> None:
        """Initialize from the application's settings."""
        super().initialize(name=name, **kwargs)
        self.context: HandlerContext
        self.shared: ServiceAccess = self.settings["oet_service"]
        self._body_limit: int = self.settings["oet_body_limit"]
        self._body = bytearray()
        self._size = 0
        self._prepared = False

    @property
    def caller(self) -> str:
        """Name of the caller: the server's user name, else the client's claim, else the client's address."""
        username = str(self.current_user.username)
        if not _MADE_UP.fullmatch(username):
            return username
        claimed = unquote(self.request.headers.get(USER, ""))
        claimed = " ".join("".join(one if one.isprintable() else " " for one in claimed).split())
        return claimed[:_LONGEST_NAME] or f"somebody at {self.request.remote_ip}"

    @property
    def service(self) -> ScriptExecutionService:
        """Service that executes commands."""
        return self.context.service

    async def prepare(self) -> None:
        """Wait until the service is restored; refuse a body that is too large before it is read.

        No service is created for an unauthenticated caller or a handler that needs none: the method answers.
        """
        await super().prepare()
        if self.current_user is not None and self._needs_service:
            self.context = await self.shared.open()
            await self.service.resumed()
        length = self.request.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > self._body_limit:
            raise self._too_large(int(length))
        self._prepared = True

    def check_origin(self, origin_to_satisfy_tornado: str = "") -> bool:
        """Refuse a browser's request from another site's page without a token; Jupyter would answer 404.

        Raises
        ------
        Unauthorized
        """
        if not super().check_origin(origin_to_satisfy_tornado):
            raise Unauthorized(
                f"Pages of {self.request.headers.get('Origin')} may not use this service by a browser's login; "
                "send a token, or set ServerApp.allow_origin"
            )
        return True

    def data_received(self, chunk: bytes) -> None:
        """Collect the body; one over the limit is read to its end and discarded, so that the answer arrives."""
        self._size += len(chunk)
        if self._size <= self._body_limit:
            self._body += chunk
        else:
            self._body.clear()

    @property
    def body(self) -> bytes:
        """Complete body of the request.

        Raises
        ------
        BodyTooLarge
        """
        if self._size > self._body_limit:
            raise self._too_large(self._size)
        return bytes(self._body)

    def _too_large(self, size: int) -> BodyTooLarge:
        return BodyTooLarge(
            f"The request's body has {size} bytes and {self._body_limit} are allowed; "
            "pass large data in a file, or raise OetApp.body_limit"
        )

    def query_text(self, name: str) -> str | None:
        """Read a text from the query; None if it is missing.

        Raises
        ------
        MalformedRequest
            When the argument is given more than once.
        """
        given = self.query_texts(lambda one: one == name)
        if len(given) > 1:
            raise MalformedRequest(
                f"{name}: expected once, got {len(given)} times; join several topics or states by commas"
            )
        return given[0] if given else None

    def query_texts(self, is_meant: Callable[[str], bool]) -> list[str]:
        """Read all texts from the query whose names match, unchanged and in order.

        Parameters
        ----------
        is_meant
            Returns whether an argument's name matches.
        """
        # Tornado's own functions remove control characters and blanks
        return [
            self.decode_argument(one, name)
            for name, values in self.request.query_arguments.items()
            if is_meant(name)
            for one in values
        ]

    def query_truth(self, name: str) -> bool:
        """Read ``true`` or ``false`` from the query; False if it is missing.

        Raises
        ------
        MalformedRequest
        """
        given = self.query_text(name)
        if given not in (None, "true", "false"):
            raise MalformedRequest(f"{name}: expected true or false, got {given!r:.60}")
        return given == "true"

    def query_number(self, name: str, what: str) -> int | None:
        """Read a number from the query; None if it is missing.

        Parameters
        ----------
        name
            Name of the argument.
        what
            Meaning of the argument, for the error message.

        Raises
        ------
        MalformedRequest
        """
        given = self.query_text(name)
        if given is None:
            return None
        if not given.isascii() or not given.isdecimal() or len(given) > 18:
            raise MalformedRequest(f"{name}: expected {what}, a number, got {given!r:.60}")
        return int(given)

    def api_url(self, root: str) -> str:
        """Return the absolute URL of an API root, with the request's own host.

        Parameters
        ----------
        root
            Path of the root under the server's base URL, ``api/v1.0``.
        """
        return f"{self.request.protocol}://{self.request.host}{self.base_url}{root}"

    def answer(self, body: Any, status: int = 200) -> None:
        """Send a record as JSON."""
        self.set_status(status)
        self.finish(to_json(body))

    async def answer_list(self, name: str, records: Iterable[Any]) -> None:
        """Send records as a JSON object with one array; at most one piece of it is in memory at once.

        Parameters
        ----------
        name
            Name of the array.
        records
            Records of the array; each is taken when it is sent.
        """
        piece, comma = bytearray(b'{"%s":[' % name.encode()), b""
        for one in records:
            piece += comma
            piece += to_json(one)
            comma = b","
            if len(piece) > _PIECE_BYTES:
                self.write(bytes(piece))
                piece.clear()
                try:
                    await self.flush()
                except StreamClosedError:  # the client has left
                    return
        piece += b"]}"
        self.finish(bytes(piece))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Send an error in the common format."""
        raised = kwargs.get("exc_info", (None, None, None))[1]
        error = as_oet_error(status_code, raised, self.request.path)
        self.set_status(error.status.value)
        if not self._prepared:
            # Tornado closes the connection of a request that is answered before its body is read: announce it
            self.set_header("Connection", "close")
        self.finish(to_json(error.body))

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Log unexpected exceptions only; an `OetError` is the caller's."""
        if not isinstance(error, OetError):
            super().log_exception(kind, error, trace)


def as_oet_error(status: int, error: BaseException | None, path: str) -> OetError:
    """Convert any error to an `OetError`.

    Parameters
    ----------
    status
        HTTP status that Tornado or Jupyter chose.
    error
        Exception that was raised; None if there was none.
    path
        Path of the request.
    """
    if isinstance(error, OetError):
        return error
    match status:
        case 400 if isinstance(error, web.HTTPError) and error.log_message:
            # Tornado's own errors: text in the address that is not UTF-8, a missing argument
            said = error.log_message % error.args if error.args else error.log_message
            return MalformedRequest(f"{path}: {said}")
        case 403 if isinstance(error, web.HTTPError) and (error.log_message or "").startswith(_DENIED):
            action = str(error.log_message).removeprefix(_DENIED).split()[0]
            return NotAuthorized(
                f"{path}: this needs the right to {action}, which the server's authorizer does not grant you; "
                "ask the operator for it"
            )
        case 401 | 403:
            why = f": {error.log_message}" if isinstance(error, web.HTTPError) and error.log_message else ""
            return Unauthorized(f"{path} needs a valid token (Authorization: token ...){why}")
        case 404:
            return ResourceNotFound(
                f"No resource exists at {path}; the API is described at openapi.json under its root"
            )
        case 405:
            return MethodNotAllowed(f"{path} does not support this method")
        case 500 if isinstance(error, MemoryError):
            return OutOfMemory(
                f"{path}: the service has no memory left for this; ask for less at a time, or try again when "
                "procedures have ended"
            )
        case 500 if error is not None:
            unexpected = OetError(str(error) or type(error).__name__)
            unexpected.type = type(error).__name__
            return unexpected
    other = OetError(http.HTTPStatus(status).description or http.HTTPStatus(status).phrase)
    other.status, other.type = http.HTTPStatus(status), http.HTTPStatus(status).phrase.replace(" ", "")
    return other


class NotFoundHandler(OetHandler):
    """All other paths under an API root."""

    @web.authenticated
    async def get(self, root: str = "") -> None:
        """Answer any method with 404, once the caller is authenticated."""
        raise web.HTTPError(404)

    head = post = put = patch = delete = options = get


def id_of(text: str, missing: ResourceNotFound) -> int:
    """Read an id from a path.

    Parameters
    ----------
    text
        Element of the path.
    missing
        Error to raise if the element is not a number.
    """
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise missing
    return int(text)


def procedure_id(text: str) -> int:
    """Read the id of a procedure from a path; raises `ResourceNotFound` if it is not a number."""
    return id_of(text, ResourceNotFound.procedure(text))


def query_list(value: str | None) -> tuple[str, ...]:
    """Read a comma-separated query argument."""
    return tuple(part.strip(" ") for part in (value or "").split(",") if part.strip(" "))
