"""Conversion of kernel messages to facts about a procedure and to events. Pure functions.

One message of a kernel becomes at most one *fact* (input of the state machine in `oet_kernel.procedure`) or one
*announcement* (an event on the bus). The service ignores all other messages of a kernel.
"""

from collections.abc import Container
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from oet_kernel import protocol, topics
from oet_kernel.bounds import (
    MESSAGE_BYTES,
    NOTE_BYTES,
    STREAM_BYTES,
    TRACE_CHARACTERS,
    OutOfBounds,
    check_json,
    check_topic,
    read_json,
    shortened,
)
from oet_kernel.models import to_json
from oet_kernel.procedure import (
    CallFinished,
    CallStarted,
    Exited,
    Fact,
    Failed,
    KernelReady,
    LoadFinished,
    LoadStarted,
)
from oet_kernel.protocol import CallReport, ControlReport, Hello, Idle, PauseReport, Record, Subscription


class Announcement(Struct, frozen=True):
    """Event to publish: its topic, and the JSON object with its fields."""

    topic: str
    data: bytes


Note = Subscription | ControlReport | PauseReport | Idle
"""Messages about the kernel itself."""

_call = msgspec.json.Decoder(CallReport)
_notes: dict[str, msgspec.json.Decoder[Note]] = {
    kind.msg_type: msgspec.json.Decoder(kind) for kind in (Subscription, Idle, ControlReport, PauseReport)
}
_any_object = msgspec.json.Decoder(dict[str, Any])

_DISPLAYS = frozenset({"display_data", "execute_result", "update_display_data"})


def announce(topic: str, msg_src: str, /, **fields: Any) -> Announcement:
    """Create an event of the service itself.

    Parameters
    ----------
    topic
        Topic of the catalogue.
    msg_src
        Source: id of a procedure as text, or name of a component.
    fields
        Further fields of the event, records or JSON values.
    """
    return Announcement(topic, to_json({"msg_src": msg_src, "topic": topic, **fields}))


Meaning = Fact | Announcement | Note
"""Results of converting a message of a kernel."""


def interpret(record: Record, procedure: int) -> Meaning | None:
    """Convert a message of a kernel.

    Parameters
    ----------
    record
        Message of the kernel.
    procedure
        Id of the procedure that runs in it.

    Returns
    -------
    Meaning or None
        Fact, event or note; None for a message that the service ignores.

    Raises
    ------
    msgspec.ValidationError
        When the content does not match its type: the script forged it.
    OutOfBounds
        When the message exceeds the bounds of `oet_kernel.bounds`.
    """
    match record.type:
        case protocol.EVENT:
            return _published(bytes(record.content), procedure)
        case protocol.KERNEL_EVENT:
            return _published(bytes(record.content), procedure, topics.KERNEL)
        case CallReport.msg_type:
            check_json(bytes(record.content), MESSAGE_BYTES)
            return _fact(_call.decode(record.content), record.t)
        case Hello.msg_type:
            return KernelReady(record.t)
        case note if note in _notes:
            return _note(note, bytes(record.content))
        case "stream":
            fields = _any_object.decode(record.content)
            text = {"name": str(fields.get("name")), "text": shortened(str(fields.get("text")), STREAM_BYTES)}
            return _output(topics.OUTPUT_STREAM, record, procedure, text)
        case display if display in _DISPLAYS:
            fields = _any_object.decode(record.content)
            output: dict[str, Any] = {"data": fields.get("data", {}), "metadata": fields.get("metadata", {})}
            transient = fields.get("transient")
            if isinstance(transient, dict) and (display_id := transient.get("display_id")) is not None:
                # a kernel may take any JSON value for an id; events promise text
                output["display_id"] = display_id if isinstance(display_id, str) else to_json(display_id).decode()
            if display == "update_display_data":
                output["update"] = True
            if display == "execute_result":
                output["execution_count"] = fields.get("execution_count")
            return _output(topics.OUTPUT_DISPLAY, record, procedure, output)
        case "comm_open" | "comm_msg":
            return _widget(record, procedure)
        case "clear_output":
            fields = _any_object.decode(record.content)
            return _output(topics.OUTPUT_CLEAR, record, procedure, {"wait": bool(fields.get("wait"))})
        case "error":  # a displayed error; the error of a failed call or cell comes with its failure
            fields = _any_object.decode(record.content)
            lines = fields.get("traceback")
            told = {"ename": str(fields.get("ename")), "evalue": str(fields.get("evalue"))}
            told["traceback"] = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
            return _output(topics.OUTPUT_ERROR, record, procedure, told)
        case _:
            return None


def _note(kind: str, content: bytes) -> Note:
    check_json(content, NOTE_BYTES)
    note = _notes[kind].decode(content)
    if isinstance(note, Subscription):
        check_topic(note.topic)
    return note


def _published(data: bytes, procedure: int, believed: Container[str] = ()) -> Announcement:
    """Return an event of a kernel, with the bytes encoded there if their source and topic are correct."""
    fields = read_json(data)
    if not isinstance(fields, dict) or not isinstance(topic := fields.get("topic"), str):
        raise OutOfBounds("is not an object with a topic")
    check_topic(topic)
    if topics.is_service_topic(topic) and topic not in believed:
        return marked(topic, fields, procedure)
    plain = data.startswith(_beginning(procedure)) and data.count(b'"msg_src"') == 1 and data.count(b'"topic"') == 1
    if plain and b"\\u" not in data and b"\r" not in data:
        return Announcement(topic, data)
    return Announcement(topic, to_json({"msg_src": "", "topic": "", **fields, "msg_src": str(procedure)}))  # noqa: F601


@lru_cache
def _beginning(procedure: int) -> bytes:
    return b'{"msg_src":"%d","topic":"' % procedure


def marked(topic: str, fields: dict[str, Any], procedure: int) -> Announcement:
    """Return an event of a script on a topic of the service, marked as the script's.

    Parameters
    ----------
    topic
        Topic of the event.
    fields
        All fields of the event.
    procedure
        Id of the procedure, which is `msg_src` whatever the fields say.
    """
    said = {topics.ORIGIN: "script", "msg_src": str(procedure), "topic": topic}
    return Announcement(topic, to_json({**said, **fields, **said}))


def _output(topic: str, record: Record, procedure: int, fields: dict[str, Any]) -> Announcement:
    return announce(topic, str(procedure), call=record.call, **fields)


def _widget(record: Record, procedure: int) -> Announcement | None:
    """Return the event for a widget's state; None for other messages over a comm."""
    fields = _any_object.decode(record.content)
    data = fields.get("data")
    if not isinstance(data, dict) or not isinstance(state := data.get("state"), dict):
        return None
    told: dict[str, Any] = {"model_id": str(fields.get("comm_id")), "state": state}
    paths, buffers = data.get("buffer_paths"), fields.get("buffers")
    if isinstance(paths, list) and isinstance(buffers, list) and buffers:
        told["buffers"] = [{"path": path, "data": one} for path, one in zip(paths, buffers, strict=False)]
    return _output(topics.OUTPUT_WIDGET, record, procedure, told)


def _fact(message: CallReport, at: float) -> Fact | None:
    match message.call, message.phase:
        case "load", "started":
            return LoadStarted(at)
        case "load", "finished":
            return LoadFinished(at, message.has_init, message.source_sha256)
        case call, "started":
            return CallStarted(at, call)
        case _, "exited":
            return Exited(at)
        case call, "finished":
            return CallFinished(at, call, message.returned)
        case _, "failed":
            return Failed(at, shortened(message.stacktrace, TRACE_CHARACTERS), message.quiet)
        case _:
            return None
