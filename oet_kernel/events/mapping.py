"""Maps what a kernel publishes onto facts about a procedure and onto events; pure.

One message of a kernel becomes at most one *fact* (`oet_kernel.procedure`: the state machine decides what follows from
it) or one *announcement* (an event on the bus). Whatever else a kernel publishes means nothing to the service.
"""

from collections.abc import Container
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from oet_kernel import topics
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
from oet_kernel.models import Returned, to_json
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
from oet_kernel.protocol import PauseReport


class Record(Struct, frozen=True):
    """One message that a kernel published, as its journal holds it."""

    n: int
    """The kernel's own count, from 1; 0 when a forked child wrote it."""
    t: float
    """Unix seconds."""
    type: str
    """Jupyter message type."""
    call: str | None
    """The function of the script that was called last, ``load``, ``init``, ``main``; or ``console``."""
    content: msgspec.Raw
    """The message's content, a JSON object."""


class Announcement(Struct, frozen=True):
    """An event as it goes out: its topic, and the JSON object that carries its fields."""

    topic: str
    data: bytes


class Interest(Struct, frozen=True):
    """The script listens to a topic and all below it."""

    topic: str


class Control(Struct, frozen=True):
    """Somebody has taken control of the kernel, or given it back."""

    who: str
    taken: bool


class Idle(Struct, frozen=True):
    """The kernel has done what it was asked for, and has said before how that went."""

    request: str
    """``prepare`` or ``run``."""


class _OetCall(Struct):
    call: str
    phase: str
    has_init: bool = False
    source_sha256: str | None = None
    returned: Returned | None = None
    stacktrace: str = ""
    quiet: bool = False


UNREADABLE = ""
"""Type of what a journal holds in the place of a record."""


class _Topic(Struct):
    topic: str


_topic = msgspec.json.Decoder(_Topic)
_oet_call = msgspec.json.Decoder(_OetCall)
_oet_idle = msgspec.json.Decoder(Idle)
_oet_control = msgspec.json.Decoder(Control)
_oet_pause = msgspec.json.Decoder(PauseReport)
_any_object = msgspec.json.Decoder(dict[str, Any])

_DISPLAYS = frozenset({"display_data", "execute_result", "update_display_data"})


def announce(topic: str, msg_src: str, /, **fields: Any) -> Announcement:
    """Make an event of the service's own.

    Parameters
    ----------
    topic
        A topic of the catalogue.
    msg_src
        Who says it: the procedure's id as text, or a component's name.
    fields
        The event's own fields, records or JSON values.
    """
    return Announcement(topic, to_json({"msg_src": msg_src, "topic": topic, **fields}))


Meaning = Fact | Announcement | Interest | Control | PauseReport | Idle
"""What a message of a kernel can mean."""


def interpret(record: Record, procedure: int) -> Meaning | None:
    """Say what a message means.

    Parameters
    ----------
    record
        What the kernel published.
    procedure
        Id of the procedure that runs in it.

    Returns
    -------
    Meaning or None
        None for a message that means nothing to the service.

    Raises
    ------
    msgspec.ValidationError
        When the content is not what its type promises: the script forged it.
    OutOfBounds
        When it exceeds the bounds of `oet_kernel.bounds`.
    """
    match record.type:
        case "oet_event":
            return _published(bytes(record.content), procedure)
        case "oet_told":
            return _published(bytes(record.content), procedure, topics.KERNEL)
        case "oet_call":
            check_json(bytes(record.content), MESSAGE_BYTES)
            return _fact(_oet_call.decode(record.content), record.t)
        case "oet_kernel":
            return KernelReady(record.t)
        case "oet_subscribe" | "oet_idle" | "oet_control" | "oet_pause":
            return _note(record.type, bytes(record.content))
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
        case "error":  # what was shown; that by which a call or a cell has failed comes with its failure
            fields = _any_object.decode(record.content)
            lines = fields.get("traceback")
            told = {"ename": str(fields.get("ename")), "evalue": str(fields.get("evalue"))}
            told["traceback"] = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
            return _output(topics.OUTPUT_ERROR, record, procedure, told)
        case _:
            return None


def _note(kind: str, content: bytes) -> Interest | Control | PauseReport | Idle:
    check_json(content, NOTE_BYTES)
    match kind:
        case "oet_subscribe":
            return Interest(check_topic(_topic.decode(content).topic))
        case "oet_idle":
            return _oet_idle.decode(content)
        case "oet_control":
            return _oet_control.decode(content)
        case _:
            return _oet_pause.decode(content)


def _published(data: bytes, procedure: int, believed: Container[str] = ()) -> Announcement:
    """Return an event of a kernel: the bytes that were encoded there, where they say nothing that is not so."""
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
    """Return an event of a script on a topic of the service, marked as the script's word.

    Parameters
    ----------
    topic
        Its topic.
    fields
        All that it carries.
    procedure
        Id of the procedure, which is `msg_src` whatever the fields say.
    """
    said = {topics.ORIGIN: "script", "msg_src": str(procedure), "topic": topic}
    return Announcement(topic, to_json({**said, **fields, **said}))


def _output(topic: str, record: Record, procedure: int, fields: dict[str, Any]) -> Announcement:
    return announce(topic, str(procedure), call=record.call, **fields)


def _widget(record: Record, procedure: int) -> Announcement | None:
    """Return what a widget says of its state; None for what else is said over a comm."""
    fields = _any_object.decode(record.content)
    data = fields.get("data")
    if not isinstance(data, dict) or not isinstance(state := data.get("state"), dict):
        return None
    told: dict[str, Any] = {"model_id": str(fields.get("comm_id")), "state": state}
    paths, buffers = data.get("buffer_paths"), fields.get("buffers")
    if isinstance(paths, list) and isinstance(buffers, list) and buffers:
        told["buffers"] = [{"path": path, "data": one} for path, one in zip(paths, buffers, strict=False)]
    return _output(topics.OUTPUT_WIDGET, record, procedure, told)


def _fact(message: _OetCall, at: float) -> Fact | None:
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
