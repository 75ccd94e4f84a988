"""Requests and replies as values, shared by both clients. Pure functions."""

import os
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import httpx
import msgspec
from msgspec import Struct, field

from oet_kernel.client import _trust
from oet_kernel.client._address import DEFAULT_URL, ROOT, Address, is_root
from oet_kernel.client.errors import ApiError, ConnectionFailed, ProcedureEnded, StreamEnded, TlsFailed
from oet_kernel.errors import ErrorBody
from oet_kernel.events.sse import Message
from oet_kernel.models import (
    ActivityCommand,
    ActivitySummary,
    ControlUpdate,
    FileSystemScript,
    KernelInfo,
    Pause,
    PauseRequest,
    ProcedureHistory,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
    RequestName,
    Returned,
    Script,
    ScriptList,
    ScriptSchema,
    to_json,
)
from oet_kernel.topics import ORIGIN, is_service_topic

T = TypeVar("T")

AWAY = "connection.away"
"""Topic of the notice that the service does not answer, and retries go on; its field is ``why``."""
BACK = "connection.back"
"""Topic of the notice that the service answers again."""
LOST = "connection.lost"
"""Topic of the notice that events between the one before it and the one after it may be missing for good.

Its fields are ``why``, and ``after``: id of the event after which nothing is missing, None if unknown.
"""
SILENCE = 60.0
"""Seconds without a byte, heartbeats included, after which a stream counts as broken."""
PAGE = 500
"""Number of procedures or events requested at once."""
_UNKNOWN_PATH = ("Forbidden", "ResourceNotFound", "MethodNotAllowed")
"""Error types of replies for a path outside the API."""


class Request(Struct, frozen=True):
    """Request to the API."""

    method: str
    path: str
    body: bytes | None = None


class Event(Struct, frozen=True):
    """Event from the stream."""

    topic: str
    msg_src: str
    fields: dict[str, Any]
    """Fields of the event, without topic and source."""
    id: str | None
    """Position in the stream; None for a notice of the client."""
    at: float | None = None
    """Time of publication in Unix seconds; None for events from the stream, which does not send it."""

    @property
    def service_topic(self) -> str:
        """Topic; empty for an event of a script on a topic that is reserved for the service."""
        return "" if self.fields.get(ORIGIN) == "script" and is_service_topic(self.topic) else self.topic

    @property
    def is_notice(self) -> bool:
        """True for a notice of the client about the connection, whatever topics a script may use."""
        return self.id is None and self.topic in (AWAY, BACK, LOST)


class _Procedure(Struct, frozen=True):
    """Procedure over REST; services of the original send no id, which then is the last part of the URI."""

    script: Script
    script_args: dict[str, ProcedureInput]
    history: ProcedureHistory
    state: ProcedureState
    uri: str
    id: int | None = None
    requested_by: dict[RequestName, str] = field(default_factory=dict)
    pause: Pause | None = None
    returned: Returned | None = None

    @property
    def summary(self) -> ProcedureSummary:
        last = self.uri.rstrip("/").rpartition("/")[2]
        if self.id is None and not last.isdecimal():
            raise not_understood(f"a procedure without id, whose uri {self.uri!r} does not end in one")
        return ProcedureSummary(
            id=int(last) if self.id is None else self.id,
            script=self.script,
            script_args=self.script_args,
            history=self.history,
            state=self.state,
            uri=self.uri,
            requested_by=self.requested_by,
            pause=self.pause,
            returned=self.returned,
        )


class _One(Struct):
    procedure: _Procedure


class _Many(Struct):
    procedures: list[_Procedure]


class _Page(Struct):
    procedures: list[_Procedure]
    next: int | None = None


class _PublishedEvent(Struct):
    id: int
    time: float
    topic: str
    data: dict[str, Any]


class _EventPage(Struct):
    events: list[_PublishedEvent]
    next: int | None = None


class _Stopped(Struct):
    abort_message: str


class _OneKernel(Struct):
    kernel: KernelInfo


class _OneActivity(Struct):
    activity: ActivitySummary


class _ManyActivities(Struct):
    activities: list[ActivitySummary]


def script_of(script: Script | str | Path) -> Script:
    """Return a script unchanged, or the script for a ``file://`` URI or a path."""
    if isinstance(script, Path):
        return FileSystemScript(script_uri=script.resolve().as_uri())
    if isinstance(script, str):
        return FileSystemScript(script_uri=script if "://" in script else Path(script).resolve().as_uri())
    return script


def create(
    script: Script | str | Path, init: ProcedureInput | None, main: ProcedureInput | None, address: Address
) -> Request:
    """Return the request to create a procedure, in this process's working folder if the service is on this machine."""
    record = script_of(script)
    if address.is_here and not record.own_folder and record.working_folder is None:
        record = msgspec.structs.replace(record, working_folder=_working_folder())
    calls = {"init": init or ProcedureInput()} | ({} if main is None else {"main": main})
    return Request("POST", "/procedures", to_json({"script": record, "script_args": calls, "require_script": True}))


def _working_folder() -> str | None:
    """Return the working folder; None if it does not exist any more, or its name is not valid text."""
    try:
        folder = os.getcwd()
        folder.encode()
    except (OSError, UnicodeEncodeError):
        return None
    return folder


def start(pid: int, main: ProcedureInput | None) -> Request:
    """Return the request to start a procedure."""
    body = {"state": "RUNNING", "script_args": {"main": main or ProcedureInput()}}
    return Request("PUT", f"/procedures/{pid}", to_json(body))


def stop(pid: int, abort: bool) -> Request:
    """Return the request to stop a procedure."""
    return Request("PUT", f"/procedures/{pid}", to_json({"state": "STOPPED", "abort": abort}))


def pause(pid: int, at: str | None) -> Request:
    """Return the request to pause a procedure."""
    return Request("POST", f"/procedures/{pid}/pause", to_json(PauseRequest(at)))


def schema(script: str | Path) -> Request:
    """Return the request for the schemas of a script."""
    return Request("GET", f"/scripts/schema?{urlencode({'uri': script_of(script).script_uri})}")


def record(pid: int, kind: str) -> Request:
    """Return the request for the record of a procedure."""
    return Request("GET", f"/procedures/{pid}/record?format={quote(kind)}")


def control(pid: int, taken: bool) -> Request:
    """Return the request to acquire control of a kernel, or to release it."""
    return Request("PUT", f"/procedures/{pid}/kernel", to_json(ControlUpdate(control=taken)))


def run_activity(command: ActivityCommand) -> Request:
    """Return the request to run an activity."""
    return Request("POST", "/activities", to_json(command))


def read_procedure(body: bytes) -> ProcedureSummary:
    """Read a reply that holds one procedure."""
    return _decode(body, _One).procedure.summary


def read_procedures(body: bytes) -> list[ProcedureSummary]:
    """Read a reply that holds several procedures."""
    return [one.summary for one in _decode(body, _Many).procedures]


def archive(
    states: Sequence[ProcedureState],
    script: str | None,
    subarray: int | None,
    since: float | None,
    until: float | None,
    before: int | None,
    limit: int,
) -> Request:
    """Return the request for a page of the archive."""
    query = {
        "state": ",".join(state.name for state in states) or None,
        "script": script,
        "subarray": subarray,
        "since": since,
        "until": until,
        "before": before,
        "limit": limit,
    }
    return Request("GET", f"/archive?{_query(query)}")


def procedure_events(pid: int, after: int, topics: Sequence[str], exclude: Sequence[str], limit: int = PAGE) -> Request:
    """Return the request for a page of the events of a procedure."""
    query = {"after": after, "topic": ",".join(topics) or None, "exclude": ",".join(exclude) or None, "limit": limit}
    return Request("GET", f"/procedures/{pid}/events?{_query(query)}")


def _query(fields: Mapping[str, object]) -> str:
    return urlencode({name: str(value) for name, value in fields.items() if value is not None})


def read_archive(body: bytes) -> tuple[list[ProcedureSummary], int | None]:
    """Read a page of procedures, and the id before which the next page begins; None after the last page."""
    page = _decode(body, _Page)
    return [one.summary for one in page.procedures], page.next


def read_events(body: bytes) -> tuple[list[Event], int | None]:
    """Read a page of events, and the id after which the next page begins; None after the last page."""
    page = _decode(body, _EventPage)
    return [_published(one) for one in page.events], page.next


def _published(event: _PublishedEvent) -> Event:
    fields = {name: value for name, value in event.data.items() if name not in ("topic", "msg_src")}
    return Event(event.topic, str(event.data.get("msg_src", "")), fields, str(event.id), event.time)


def read_found(body: bytes, pid: int) -> ProcedureSummary | None:
    """Read a page that may begin with this procedure; None if it does not."""
    page, _ = read_archive(body)
    return page[0] if page and page[0].id == pid else None


def read_stopped(body: bytes) -> str:
    """Read the reply to a stop."""
    return _decode(body, _Stopped).abort_message


def read_scripts(body: bytes) -> ScriptList:
    """Read a reply that lists scripts."""
    return _decode(body, ScriptList)


def read_schema(body: bytes) -> ScriptSchema:
    """Read a reply that holds the schemas of a script."""
    return _decode(body, ScriptSchema)


def read_kernel(body: bytes) -> KernelInfo:
    """Read a reply that holds the connection of a kernel."""
    return _decode(body, _OneKernel).kernel


def read_activity(body: bytes) -> ActivitySummary:
    """Read a reply that holds one activity."""
    return _decode(body, _OneActivity).activity


def read_activities(body: bytes) -> list[ActivitySummary]:
    """Read a reply that holds several activities."""
    return _decode(body, _ManyActivities).activities


def read_health(body: bytes) -> dict[str, Any]:
    """Read the reply of the health check."""
    return _decode(body, dict[str, Any])


def error_of(status: int, reason: str, body: bytes, url: str = DEFAULT_URL) -> ApiError:
    """Read an error reply.

    Parameters
    ----------
    status, reason, body
        Parts of the reply.
    url
        API root of the request. If neither its end nor the reply shows that it is one, the error says so: any server
        refuses unknown paths.
    """
    try:
        error = msgspec.json.decode(body, type=ErrorBody)
    except msgspec.DecodeError:
        if not is_root(url):
            return no_root(status, reason, url)
        return ApiError(f"{status} {reason}", reason, body.decode(errors="replace")[:500] or reason)
    if not is_root(url) and error.type in _UNKNOWN_PATH and ROOT.removesuffix(".0") not in error.Message:
        return no_root(status, reason, url)
    where = f" ({error.detail})" if error.detail else ""
    return ApiError(error.error, error.type, f"{error.Message}{where}")


def no_root(status: int, reason: str, url: str) -> ApiError:
    """Return the error for an address that is not an API root."""
    scheme, _, rest = url.partition("://")
    origin = f"{scheme}://{rest.partition('/')[0]}"
    said = f"{url} is not the root of this API, which ends in {ROOT}: {origin}{ROOT} of 'oet serve', "
    said += f"{url}/oet{ROOT} of a Jupyter server that serves at {url}"
    return ApiError(f"{status} {reason}", "NoApiRoot", said)


def event_of(message: Message) -> Event | None:
    """Read an event from a frame; None if the frame holds none."""
    try:
        fields = msgspec.json.decode(message.data, type=dict[str, Any])
    except msgspec.DecodeError:
        return None
    return Event(str(fields.pop("topic", "")), str(fields.pop("msg_src", "")), fields, message.id)


def stream_query(topics: tuple[str, ...], exclude: tuple[str, ...], procedure: int | None) -> dict[str, str]:
    """Return the query that selects the events of a listener."""
    query = {
        "topic": ",".join(topics),
        "exclude": ",".join(exclude),
        "procedure": "" if procedure is None else procedure,
    }
    return {name: str(value) for name, value in query.items() if value != ""}


def read(reply: httpx.Response, request: Request, address: Address) -> bytes:
    """Return the body of a reply.

    Raises
    ------
    ApiError
        When the reply is an error, or is not one of this API.
    """
    if not reply.is_success:
        raise error_of(reply.status_code, reply.reason_phrase, reply.content, address.url)
    is_page = reply.headers.get("Content-Type", "").startswith("text/html")
    if is_page and not is_root(address.url) and not request.path.endswith("format=html"):
        raise no_root(reply.status_code, reply.reason_phrase, address.url)
    return reply.content


def has_reached(summary: ProcedureSummary, states: Sequence[ProcedureState], known: int) -> bool:
    """Return whether the wait for a procedure is over.

    Parameters
    ----------
    summary
        Present summary of the procedure.
    states
        States to wait for; none for the end.
    known
        Index of the first state in the history that counts.

    Raises
    ------
    ProcedureEnded
        When the procedure has ended in another state.
    """
    if any(state in states for state, _ in summary.history.process_states[known:]):
        return True
    if not summary.state.inactive:
        return False
    if states:
        raise ProcedureEnded(summary, states)
    return True


def arguments(address: Address, request: Request) -> dict[str, Any]:
    """Convert a request to arguments of httpx."""
    kind = {"Content-Type": "application/json"} if request.body else {}
    return {
        "url": f"{address.url}{request.path}",
        "content": request.body,
        "headers": {**address.headers, **kind},
    }


def reason(error: httpx.TransportError) -> str:
    """Return the reason of a break of the stream."""
    return f"not a byte for {SILENCE:g} s" if isinstance(error, httpx.ReadTimeout) else str(error) or repr(error)


def not_reached(address: Address, error: Exception) -> ConnectionFailed:
    """Return the error for an unanswered request: no service, certificate, timeout, or address."""
    url = address.url
    if (tls := _tls_error(error)) is not None:
        return TlsFailed(_trust.explain(url, tls))
    why = str(error) or type(error).__name__
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            said = f"No service answers at {url} ({why}); start one with 'oet serve', or name another with "
            return ConnectionFailed(f"{said}--server-url or OET_URL")
        case httpx.TimeoutException():
            return ConnectionFailed(f"The service at {url} has not answered in time ({why}); ask again, or see its log")
        case httpx.InvalidURL() | httpx.UnsupportedProtocol() | httpx.LocalProtocolError():
            said = f"{url!r} is not a valid address of a service: {why}"
            return ConnectionFailed(f"{said}; write it as http://host:5000/api/v1.0")
    said = f"The service at {url} has ended the connection without an answer ({why})"
    if url.startswith("http:"):
        return ConnectionFailed(f"{said}; ask again, or, if it has a certificate, write https:// for http://")
    return ConnectionFailed(f"{said}; ask again, or see its log")


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """Find the error of a TLS handshake among the causes of an error."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error


def broken_off(address: Address, why: str) -> StreamEnded:
    """Return the error for a stream that has ended."""
    return StreamEnded(f"The event stream of {address.url} has ended ({why})")


def not_understood(why: str) -> ApiError:
    """Return the error for a reply that is not one of this API."""
    return ApiError("200 OK", "UnexpectedReply", f"The service's reply is not understood: {why}")


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise not_understood(str(error)) from None
