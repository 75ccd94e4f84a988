"""Replies of the API read as values, shared by both clients. Pure functions."""

from typing import Any, TypeVar

import httpx
import msgspec
from msgspec import Struct, field

from oet_kernel.client._address import Address, is_root
from oet_kernel.client._event import Event
from oet_kernel.client._failures import error_of, no_root, not_understood
from oet_kernel.client._requests import Request
from oet_kernel.models import (
    ActivitySummary,
    KernelInfo,
    Pause,
    ProcedureHistory,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
    RequestName,
    Returned,
    Script,
    ScriptList,
    ScriptSchema,
)

T = TypeVar("T")


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


def read_procedure(body: bytes) -> ProcedureSummary:
    """Read a reply that holds one procedure."""
    return _decode(body, _One).procedure.summary


def read_procedures(body: bytes) -> list[ProcedureSummary]:
    """Read a reply that holds several procedures."""
    return [one.summary for one in _decode(body, _Many).procedures]


def read_archive(body: bytes) -> tuple[list[ProcedureSummary], int | None]:
    """Read a page of procedures, and the id before which the next page begins; None after the last page."""
    page = _decode(body, _Page)
    return [one.summary for one in page.procedures], page.next


def read_found(body: bytes, pid: int) -> ProcedureSummary | None:
    """Read a page that may begin with this procedure; None if it does not."""
    page, _ = read_archive(body)
    return page[0] if page and page[0].id == pid else None


def read_events(body: bytes) -> tuple[list[Event], int | None]:
    """Read a page of events, and the id after which the next page begins; None after the last page."""
    page = _decode(body, _EventPage)
    return [_published(one) for one in page.events], page.next


def _published(event: _PublishedEvent) -> Event:
    fields = {name: value for name, value in event.data.items() if name not in ("topic", "msg_src")}
    return Event(event.topic, str(event.data.get("msg_src", "")), fields, str(event.id), event.time)


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


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise not_understood(str(error)) from None
