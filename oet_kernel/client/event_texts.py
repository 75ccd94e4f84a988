"""Events as text, one line each, with the original's wording where it has one. Pure functions."""

from typing import Any

import msgspec

from oet_kernel.client import AWAY, BACK, LOST, Event
from oet_kernel.models import subarray_id_of
from oet_kernel.topics import STATECHANGE

_NOTICES = {
    AWAY: "[the service does not answer; waiting for it]",
    BACK: "[the service answers again]",
    LOST: "[some events are missing: {why}]",
}
TEXTS = {
    "procedure.cell.started": "[cell {number}/{count}]{injected}",
    "procedure.cell.failed": "[cell {number}/{count}] failed: {last_line}",
    "procedure.output.display": "Display: {data[text/plain]}",
    "request.procedure.create": "User request: prepare {script} for execution on subarray {subarray}",
    "request.procedure.list": "User request to list all the procedures is received",
    "request.procedure.start": "User request: start execution of process #{cmd[process_uid]}",
    "request.procedure.stop": "User request: stop procedure #{cmd[process_uid]} with {abort}",
    "request.activity.run": "User request: run activity {cmd[activity_name]} on {cmd[sbd_id]}",
    "request.activity.list": "User request to list all the activities is received",
    "procedure.pool.list": "Enumerating current procedures and status",
    "procedure.lifecycle.created": "Procedure {id} ({script}) created for subarray {subarray}",
    "procedure.lifecycle.started": "Procedure {id} ({script}) {begun} on subarray {subarray}",
    "procedure.lifecycle.complete": "Procedure {id} ({script}) execution complete on subarray {subarray}",
    "procedure.lifecycle.failed": "Procedure {id} ({script}) execution failed on subarray {subarray}",
    "procedure.lifecycle.stopped": "Procedure {id} ({script}) execution stopped on subarray {subarray}",
    "request.procedure.pause": "User request: pause procedure #{cmd[process_uid]}{at_checkpoint}",
    "request.procedure.resume": "User request: resume procedure #{cmd[process_uid]}",
    "procedure.lifecycle.pausing": "Procedure {source} will pause at {checkpoints}{by}",
    "procedure.lifecycle.paused": "Procedure {source} is paused at {checkpoint}",
    "procedure.lifecycle.resumed": "Procedure {source} resumed{from_checkpoint}{by}",
    "procedure.lifecycle.unpaused": "Procedure {source} is no longer paused: {why}",
    "procedure.script.returned": "Procedure {source} returned {returned}",
    "procedure.environment.log": "Environment of procedure {source}: {text}",
    "procedure.kernel.control": "Kernel of procedure {source}: {who} has {taken_or_given}",
    "procedure.console.input": "Console of procedure {source}: {who} typed: {code}",
    "procedure.output.error": "{shown_by} {source}: {ename}: {evalue}",
    "activity.lifecycle.running": "Activity {result[id]} ({result[activity_name]} on {result[sbd_id]}) running",
    "activity.pool.list": "Enumerating current activities and status",
    "user.script.announce": "Script message: {msg}",
    "sb.lifecycle.allocated": "Resources allocated using SB {sb_id}",
    "sb.lifecycle.observation.started": "Observation for SB {sb_id} started",
    "sb.lifecycle.observation.finished.succeeded": "Observation for SB {sb_id} complete",
    "sb.lifecycle.observation.finished.failed": "Observation for SB {sb_id} failed",
    "subarray.resources.allocated": "Subarray {subarray_id}: resources allocated",
    "subarray.resources.deallocated": "Subarray {subarray_id}: resources deallocated",
    "subarray.configured": "Subarray {subarray_id}: configured",
    "subarray.scan.started": "Subarray {subarray_id}: scan started",
    "subarray.scan.finished": "Subarray {subarray_id}: scan complete",
    "subarray.fault": "Subarray {subarray_id}: FAULT: {error}",
    "scan.lifecycle.configure.started": "SB {sb_id}: configuring for scan {scan_id}",
    "scan.lifecycle.configure.complete": "SB {sb_id}: scan {scan_id} configuration complete",
    "scan.lifecycle.configure.failed": "SB {sb_id}: scan {scan_id} configuration failed",
    "scan.lifecycle.start": "SB {sb_id}: scan starting",
    "scan.lifecycle.end.succeeded": "SB {sb_id}: scan {scan_id} complete",
    "scan.lifecycle.end.failed": "SB {sb_id}: scan {scan_id} failed",
}
"""Texts of events by topic, with fields in braces."""

_PREPARING = ("CREATING", "IDLE", "PREP_ENV", "LOADING", "INITIALISING")
"""States of a procedure before it is READY for the first time."""
_LONGEST = 200
"""Maximum number of characters of ``main``'s result in a line."""
_SILENT = (
    "procedure.lifecycle.",
    "procedure.cell.",
    "procedure.script.",
    "procedure.environment.",
    "procedure.output.",
)
"""Beginnings of topics that are not shown if they have no text."""


def describe(event: Event) -> str | None:
    """Return the text of an event.

    Parameters
    ----------
    event
        Event from the stream of any service.

    Returns
    -------
    str | None
        One line; None for an event that is not shown.
    """
    if event.is_notice:
        return _NOTICES[event.topic].format_map(event.fields)
    template = TEXTS.get(event.service_topic)
    if template is None:
        if event.service_topic.startswith(_SILENT):
            return None
        listed = ", ".join(f"{name}={value}" for name, value in event.fields.items())
        return f"- {event.topic}: {listed}"
    try:
        return f"- {template.format_map({**_about(event), **event.fields})}"
    except (KeyError, TypeError, IndexError, AttributeError, ValueError):
        return f"- {event.topic}: {event.fields}"


class Preparations:
    """Report procedures that have become ready to start; a READY after ``main`` does not count."""

    def __init__(self) -> None:
        self._heard: set[str] = set()

    def describe(self, event: Event) -> str | None:
        """Return a line that a procedure is ready, if the event ends its preparation; otherwise None.

        Parameters
        ----------
        event
            Received event; all must be passed, in order.
        """
        if event.service_topic != STATECHANGE:
            return None
        state = event.fields.get("new_state")
        if state in _PREPARING:
            self._heard.add(event.msg_src)
        elif event.msg_src in self._heard:
            self._heard.discard(event.msg_src)
            if state == "READY":
                return f"- Procedure {event.msg_src} ready for execution"
        return None


def owner(event: Event) -> str:
    """Return the mark of a procedure's own event, ``[3] ``; empty for events of the service or the client.

    Parameters
    ----------
    event
        Event from the stream.
    """
    return f"[{event.msg_src}] " if event.msg_src.isdecimal() else ""


def marked(text: str, mark: str, begins: bool = True) -> str:
    """Insert a mark before each line.

    Parameters
    ----------
    text
        Lines, or parts of them.
    mark
        Mark from `owner`.
    begins
        Whether the text begins a line.
    """
    return (mark if begins else "") + text[:-1].replace("\n", f"\n{mark}") + text[-1:]


def _about(event: Event) -> dict[str, Any]:
    """Return the fields that the texts use besides an event's own."""
    command = event.fields.get("cmd") or {}
    result = event.fields.get("result") or {}
    if isinstance(result, list):
        result = result[0] if result else {}
    subject = {**command, **result}
    calls = result.get("script_args") or {"init": command.get("init_args") or {}}
    subarray = subarray_id_of(call.get("kwargs") or {} for call in calls.values())
    return {
        "id": result.get("id"),
        "script": (subject.get("script") or {}).get("script_uri"),
        "subarray": "unspecified" if subarray is None else subarray,
        # the event is sent when init begins too
        "begun": "initialising" if result.get("state") == "INITIALISING" else "started execution",
        "abort": "abort" if command.get("run_abort") else "no abort",
        "source": event.msg_src,
        "returned": _returned(event.fields),
        "at_checkpoint": f" at {command['at']}" if command.get("at") is not None else "",
        "by": "" if event.fields.get("who") is None else f" (asked by {event.fields['who']})",
        "checkpoints": "its next checkpoint" if event.fields.get("at") is None else event.fields["at"],
        "from_checkpoint": "" if event.fields.get("checkpoint") is None else f" from {event.fields['checkpoint']}",
        "injected": ", arguments" if event.fields.get("source") is not None else "",
        "last_line": str(event.fields.get("stacktrace") or "").rstrip().rpartition("\n")[2],
        "shown_by": "Console of procedure" if event.fields.get("call") == "console" else "Shown by procedure",
        "taken_or_given": "taken control" if event.fields.get("taken") else "given control back",
    }


def _returned(fields: dict[str, Any]) -> str:
    """Return ``main``'s result on one line, shortened."""
    text = fields.get("text")
    line = " ".join((text if isinstance(text, str) else msgspec.json.encode(fields.get("value")).decode()).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def concerns(event: Event, pid: int) -> bool:
    """Return whether an event is about a procedure.

    Parameters
    ----------
    event
        Event from the stream.
    pid
        Id of the procedure.
    """
    result = event.fields.get("result")
    results = result if isinstance(result, list) else [result]
    return event.msg_src == str(pid) or any(isinstance(one, dict) and one.get("id") == pid for one in results)
