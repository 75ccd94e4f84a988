"""Encodes what scripts publish as JSON; what cannot be encoded is refused at the call, by the path of the field."""

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from enum import Enum
from pathlib import PurePath
from typing import Any

import msgspec


class EventEncodingError(TypeError):
    """A field of an event has no JSON form."""


def encode_event(topic: str, msg_src: str, fields: Mapping[str, Any]) -> bytes:
    """Encode an event as the JSON object that goes out.

    Numbers and arrays of numpy become numbers and lists, dates, times and durations ISO 8601, enums their value, sets
    lists, bytes base64, complex numbers ``[real, imaginary]``, exceptions ``Type: text``; what is not finite becomes
    null, since JSON has no word for it.

    Parameters
    ----------
    topic
        The event's topic.
    msg_src
        Id of the procedure; it and the topic replace fields of these names.
    fields
        The event's own fields.

    Raises
    ------
    EventEncodingError
        ``Event user.script.announce: field msg.items[3] is a generator, which has no JSON form; ...``
    """
    event = {**fields, "msg_src": msg_src, "topic": topic}
    try:
        return _encoder.encode(event)
    except (TypeError, ValueError, OverflowError, RecursionError):
        path, why = _fault(fields) or ("", "cannot be encoded")
        raise EventEncodingError(
            f"Event {topic}: field {path} {why}; pass a number, a text, a list or a dict"
        ) from None


def _plain(value: Any) -> Any:
    """Give a simpler form of a value that msgspec does not know."""
    match value:
        case str() | PurePath():  # of text, a subclass: numpy's own, for one
            return str(value)
        case Enum():
            return value.value if isinstance(value.value, (str, int, float)) else value.name
        case complex():
            return [value.real, value.imag]
        case Sequence() | Set():
            return list(value)
        case BaseException():
            return f"{type(value).__name__}: {value}"
        case Mapping():
            return dict(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if isinstance(value, (numpy.datetime64, numpy.timedelta64)):
            return str(value)
        if isinstance(value, (numpy.generic, numpy.ndarray)):
            if value.dtype.kind in "mM":
                return value.astype(str).tolist()
            return value.tolist()
    raise NotImplementedError


def _hook(value: Any) -> Any:
    try:
        return _plain(value)
    except NotImplementedError:
        raise TypeError(type(value).__name__) from None


_encoder = msgspec.json.Encoder(enc_hook=_hook)


def _fault(fields: Mapping[str, Any]) -> tuple[str, str] | None:
    """Find the field that could not be encoded, and say what it is."""
    return next((fault for name, value in fields.items() for fault in _walk(name, value, ())), None)


def _walk(path: str, value: Any, above: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    if id(value) in above:
        yield path, "contains itself"
        return
    inside = (*above, id(value))
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not _encodes({key: None}):
                yield path, f"has a key of type {type(key).__name__}, which is no text"
            yield from _walk(f"{path}.{key}", item, inside)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for number, item in enumerate(value):
            yield from _walk(f"{path}[{number}]", item, inside)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for part in dataclasses.fields(value):
            yield from _walk(f"{path}.{part.name}", getattr(value, part.name, None), inside)
    elif isinstance(value, str) and not _encodes(value):
        yield path, "is a text with a lone surrogate, which has no UTF-8 form"
    elif not _encodes(value):
        yield from _walk_inside(path, value, inside)


def _walk_inside(path: str, value: Any, inside: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    try:
        simpler = _plain(value)
    except NotImplementedError:
        kind = type(value).__name__
        article = "an" if kind[:1].lower() in "aeiou" else "a"
        yield path, f"is {article} {kind}, which has no JSON form"
    else:
        yield from _walk(path, simpler, inside)


def _encodes(value: Any) -> bool:
    try:
        _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return True
