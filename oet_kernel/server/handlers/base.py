"""What all request handlers share: size limit, error bodies, encoding."""

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
from oet_kernel.service.procedures import ScriptExecutionService
from oet_kernel.store.journal import Journal

_MADE_UP = re.compile(r"[0-9a-f]{32}")
"""User name that Jupyter Server gives to whoever shows a token, another one each time."""
_LONGEST_NAME = 200
_PIECE_BYTES = 1 << 18
"""About how much of a list is sent at once; a record that is larger goes alone."""
_DENIED = "User is not authorized to "
"""Beginning of what Jupyter Server raises where the authorizer does not grant an action, which follows."""
RESOURCE = "oet"
"""What an authorizer is asked about; the actions are read, write and execute."""


class HandlerContext(Struct, frozen=True, kw_only=True):
    """What handlers work with."""

    service: ScriptExecutionService
    activities: ActivityService
    journal: Journal
    catalogue: ScriptCatalogue
    bus: EventBus
    records: RecordWriter
    heartbeat: float
    """Seconds between comments on a stream that has nothing to say."""
    queue_bytes: int
    """How much a listener may lag behind."""


class ServiceAccess(Protocol):
    """How handlers come to the service, which may not have been made yet."""

    @property
    def opened(self) -> HandlerContext | None:
        """What they work with, where it was made."""

    async def open(self) -> HandlerContext:
        """Give what they work with; made where nobody has asked before."""


@web.stream_request_body
class OetHandler(ExtensionHandlerMixin, APIHandler):
    """Answers in JSON, whatever happens."""

    _needs_service = True

    def initialize(self, name: str, **kwargs: Any) -> None:
        """Find what the application has put into the settings."""
        super().initialize(name=name, **kwargs)
        self.context: HandlerContext
        self.shared: ServiceAccess = self.settings["oet_service"]
        self._body_limit: int = self.settings["oet_body_limit"]
        self._body = bytearray()
        self._size = 0
        self._prepared = False

    @property
    def caller(self) -> str:
        """Who asks: the user that the server knows, else what the client says, else where it is."""
        username = str(self.current_user.username)
        if not _MADE_UP.fullmatch(username):
            return username
        claimed = unquote(self.request.headers.get(USER, ""))
        claimed = " ".join("".join(one if one.isprintable() else " " for one in claimed).split())
        return claimed[:_LONGEST_NAME] or f"somebody at {self.request.remote_ip}"

    @property
    def service(self) -> ScriptExecutionService:
        """The service that carries commands out."""
        return self.context.service

    async def prepare(self) -> None:
        """Wait until the service has its history; refuse a body that is too large before it is read.

        Who is nobody, or asks for what needs no service, has none made: the method answers.
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
        """Refuse what a browser sends for another site's page, unless a token vouches for it; Jupyter would say 404.

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
        """Collect the body; of one over the limit nothing is kept, but all is read, so that the answer arrives."""
        self._size += len(chunk)
        if self._size <= self._body_limit:
            self._body += chunk
        else:
            self._body.clear()

    @property
    def body(self) -> bytes:
        """The request's body, read to its end.

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
            "hand large data over in a file, or raise OetApp.body_limit"
        )

    def query_text(self, name: str) -> str | None:
        """Read a text of the query; None where it is not given.

        Raises
        ------
        MalformedRequest
            When it is given more than once.
        """
        given = self.query_texts(lambda one: one == name)
        if len(given) > 1:
            raise MalformedRequest(f"{name}: expected once, got {len(given)} times; several topics or states go in one")
        return given[0] if given else None

    def query_texts(self, is_meant: Callable[[str], bool]) -> list[str]:
        """Read all texts of the query whose names are meant, as they were sent and in their order.

        Parameters
        ----------
        is_meant
            Called with a name.
        """
        # Tornado's own reading takes control characters and blanks away
        return [
            self.decode_argument(one, name)
            for name, values in self.request.query_arguments.items()
            if is_meant(name)
            for one in values
        ]

    def query_truth(self, name: str) -> bool:
        """Read ``true`` or ``false`` of the query; False where it is not given.

        Raises
        ------
        MalformedRequest
        """
        given = self.query_text(name)
        if given not in (None, "true", "false"):
            raise MalformedRequest(f"{name}: expected true or false, got {given!r:.60}")
        return given == "true"

    def query_number(self, name: str, what: str) -> int | None:
        """Read a number of the query; None where it is not given.

        Parameters
        ----------
        name
            Name of the argument.
        what
            What it stands for, for the error.

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
        """Give the absolute URL of an API root, from the request's own host.

        Parameters
        ----------
        root
            The root's path under the server's base URL, ``api/v1.0``.
        """
        return f"{self.request.protocol}://{self.request.host}{self.base_url}{root}"

    def answer(self, body: Any, status: int = 200) -> None:
        """Send a record as JSON."""
        self.set_status(status)
        self.finish(to_json(body))

    async def answer_list(self, name: str, records: Iterable[Any]) -> None:
        """Send records as a JSON object of one array; of a long one no more than a piece is in memory at once.

        Parameters
        ----------
        name
            Name of the array.
        records
            What it holds; each is taken when it is sent.
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
                except StreamClosedError:  # who has asked has left
                    return
        piece += b"]}"
        self.finish(bytes(piece))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Send an error in the one form that all have."""
        raised = kwargs.get("exc_info", (None, None, None))[1]
        error = as_oet_error(status_code, raised, self.request.path)
        self.set_status(error.status.value)
        if not self._prepared:
            # Tornado closes the connection of a request that is answered before its body was read: say so
            self.set_header("Connection", "close")
        self.finish(to_json(error.body))

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Log what is a fault of ours; what the caller was told is no news to the operator."""
        if not isinstance(error, OetError):
            super().log_exception(kind, error, trace)


def as_oet_error(status: int, error: BaseException | None, path: str) -> OetError:
    """Say any error in our own words.

    Parameters
    ----------
    status
        HTTP status that Tornado or Jupyter chose.
    error
        What was raised, if anything was.
    path
        Path of the request.
    """
    if isinstance(error, OetError):
        return error
    match status:
        case 400 if isinstance(error, web.HTTPError) and error.log_message:
            # Tornado's own: text in the address that is no UTF-8, an argument that is missing
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
            return ResourceNotFound(f"There is nothing at {path}; the API is described at openapi.json under its root")
        case 405:
            return MethodNotAllowed(f"{path} does not have this method")
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
    """Whatever else is asked for under an API root."""

    @web.authenticated
    async def get(self, root: str = "") -> None:
        """Answer any method alike, once the caller is known."""
        raise web.HTTPError(404)

    head = post = put = patch = delete = options = get


def id_of(text: str, missing: ResourceNotFound) -> int:
    """Read an id in a path.

    Parameters
    ----------
    text
        The path's element.
    missing
        What to raise when it is no number: there is nothing of that name.
    """
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise missing
    return int(text)


def procedure_id(text: str) -> int:
    """Read the id of a procedure in a path; `ResourceNotFound` when it is no number."""
    return id_of(text, ResourceNotFound.procedure(text))


def query_list(value: str | None) -> tuple[str, ...]:
    """Read a comma-separated query argument."""
    return tuple(part.strip(" ") for part in (value or "").split(",") if part.strip(" "))
