"""Requests to the API as values, shared by both clients. Pure functions."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from oet_kernel.client._address import Address
from oet_kernel.models import (
    ActivityCommand,
    ControlUpdate,
    FileSystemScript,
    PauseRequest,
    ProcedureInput,
    ProcedureState,
    Script,
    to_json,
)

SILENCE = 60.0
"""Seconds without a byte, heartbeats included, after which a stream counts as broken."""
PAGE = 500
"""Number of procedures or events requested at once."""


class Request(Struct, frozen=True):
    """Request to the API."""

    method: str
    path: str
    body: bytes | None = None


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


def stream_query(topics: tuple[str, ...], exclude: tuple[str, ...], procedure: int | None) -> dict[str, str]:
    """Return the query that selects the events of a listener."""
    query = {
        "topic": ",".join(topics),
        "exclude": ",".join(exclude),
        "procedure": "" if procedure is None else procedure,
    }
    return {name: str(value) for name, value in query.items() if value != ""}


def _query(fields: Mapping[str, object]) -> str:
    return urlencode({name: str(value) for name, value in fields.items() if value is not None})


def arguments(address: Address, request: Request) -> dict[str, Any]:
    """Convert a request to arguments of httpx."""
    kind = {"Content-Type": "application/json"} if request.body else {}
    return {
        "url": f"{address.url}{request.path}",
        "content": request.body,
        "headers": {**address.headers, **kind},
    }
