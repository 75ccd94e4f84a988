"""Encoding of published values as JSON; a value without a JSON form is refused at the call, by the path of its field.

Besides plain JSON values: numbers and arrays of numpy become numbers and lists; dates and times ISO 8601, durations
ISO 8601 (``PT1.5S``), numpy's too; enums their value where that has a JSON form, else their name; dataclasses and
mappings objects; named tuples, ranges and other sequences lists; sets lists, sorted where the set is a field of its own
and its items can be compared; bytes base64; complex numbers ``[real, imaginary]``; `Decimal` text, so that no digit is
lost; paths and UUIDs text; exceptions ``Type: text``. Keys of objects become text. NaN, the infinities and NaT become
null, since JSON cannot represent them; lone surrogates, which have no UTF-8 form, question marks. Values beyond the
bounds of `oet_kernel.bounds` are refused too.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence, Set
from datetime import date, datetime, time
from enum import Enum
from pathlib import PurePath
from typing import Any

import msgspec

from oet_kernel.bounds import DEPTH, INTEGER_BITS, OutOfBounds, check_json, check_topic, encodable

_PLAIN = frozenset({str, int, float, bool, type(None), dict, list})
_encoder = msgspec.json.Encoder()
_TOO_DEEP = f"nests more than {DEPTH} levels deep; pass fewer levels"


class EventEncodingError(TypeError):
    """A field of an event has no JSON form."""


def encode_event(topic: str, msg_src: str, fields: Mapping[str, Any]) -> bytes:
    """Encode an event as the JSON object that is published.

    Parameters
    ----------
    topic
        The event's topic.
    msg_src
        Id of the procedure; it and the topic replace fields of these names.
    fields
        The event's own fields.

    Returns
    -------
    bytes
        UTF-8, on one line.

    Raises
    ------
    EventEncodingError
        ``Event user.script.announce: field msg.items[3] is a generator, which has no JSON form; pass ...``
    OutOfBounds
        When the topic or the event exceeds a bound.
    """
    check_topic(topic)
    event = {"msg_src": "", "topic": "", **fields, "msg_src": msg_src, "topic": topic}  # noqa: F601 - first, and ours
    try:
        encoded = encode(event)
        check_json(encoded)
    except EventEncodingError as error:
        raise EventEncodingError(f"Event {topic}: field {error}") from error.__cause__
    except OutOfBounds as error:
        raise OutOfBounds(f"Event {topic} {error}") from None
    return encoded


def encode(value: Any) -> bytes:
    """Encode a value as JSON.

    Plain JSON values are encoded directly, in one call; other types are converted to them first.

    Parameters
    ----------
    value
        Any type that the module's docstring lists, nested within the bounds.

    Raises
    ------
    EventEncodingError
        When a part of the value has no JSON form; the message begins with its path, ``items[3] is a lock``.
    OutOfBounds
        When the value is nested too deeply.
    """
    kinds = set(map(type, value.values())) if type(value) is dict else {type(value)}
    if kinds <= _PLAIN:
        try:
            return _encoder.encode(value)
        except (TypeError, ValueError, RecursionError):
            pass  # another type lies deeper: converted below, or refused by its path
    try:
        return _encoder.encode(_plain("", value, ()))
    except (EventEncodingError, OutOfBounds):
        raise
    except RecursionError:
        raise OutOfBounds(_TOO_DEEP) from None
    except Exception as error:  # from the script's code: an iterator or property that raises
        raise EventEncodingError(f"cannot be read: {_text_of(error)}") from error


def _plain(path: str, value: Any, above: tuple[int, ...]) -> Any:
    """Return the plain form of a value, or refuse it by its path; `above` holds the ids of its containers."""
    match value:
        case None | bool():
            return value
        case Enum():
            return _plain_enum(path, value, above)
        case str():
            return encodable(str.__str__(value))
        case int():
            return _checked_integer(path, int(value))
        case float():
            return float(value)
        case datetime() | date() | time():
            return value.isoformat() if type(value) not in (datetime, date, time) else value
        case complex():
            return [value.real, value.imag]
        case bytes():
            return bytes(value)
        case bytearray() | memoryview():
            return value
        case PurePath() | BaseException():
            return _text_of(value)
    if id(value) in above:
        raise _refusal(path, "contains itself")
    if len(above) > DEPTH:
        raise OutOfBounds(_TOO_DEEP)
    above = (*above, id(value))
    if (simpler := _without_numpy(value)) is not value:
        return simpler if value.dtype.kind in "biuf" else _plain(path, simpler, above)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        present = {one.name: getattr(value, one.name) for one in dataclasses.fields(value) if hasattr(value, one.name)}
        return _plain_dict(path, present, above)
    if isinstance(value, Mapping):
        return _plain_dict(path, value, above)
    if isinstance(value, (Sequence, Set)):
        items = [_plain(f"{path}[{number}]", item, above) for number, item in enumerate(value)]
        return _sorted(items) if isinstance(value, Set) else items
    try:
        return msgspec.to_builtins(value)  # durations, decimals, UUIDs, records of msgspec
    except (TypeError, ValueError):
        raise _refusal(path, f"is {_kind(value)}, which has no JSON form") from None


def _plain_enum(path: str, member: Enum, above: tuple[int, ...]) -> Any:
    try:
        return _plain(path, member.value, above)
    except EventEncodingError:
        return member.name


def _plain_dict(path: str, value: Mapping[Any, Any], above: tuple[int, ...]) -> dict[Any, Any]:
    return {_plain_key(path, key): _plain(_join(path, key), item, (*above, id(value))) for key, item in value.items()}


def _plain_key(path: str, key: Any) -> str | int | float:
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, Enum) and not isinstance(key.value, (str, int, float)):
        return key.name
    plain = None if key is None else _plain(_join(path, key), key, ())
    if isinstance(plain, (datetime, date, time)):
        return plain.isoformat()
    if not isinstance(plain, (str, int, float)):
        raise _refusal(path, f"has a key of type {type(key).__name__}, which is not text", "pass str() of it")
    return plain


def _without_numpy(value: Any) -> Any:
    """Convert scalars and arrays of numpy to Python's own types; return any other value unchanged.

    numpy is not imported for this: without an earlier import there are no values of its types.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, (numpy.generic, numpy.ndarray)):
        return value
    match value.dtype.kind:
        case "M":
            return numpy.where(numpy.isnat(value), None, numpy.datetime_as_string(value)).tolist()
        case "m":
            counted = numpy.datetime_data(value.dtype)[0] == "generic"  # without a unit: a number
            exact = value.astype("i8" if counted else "m8[us]")
            return numpy.where(numpy.isnat(value), None, exact.astype(object)).tolist()
        case "f" | "c" as kind:  # long doubles stay numpy's own in tolist()
            return value.astype("f8" if kind == "f" else "c16").tolist()
    return value.tolist()


def _sorted(items: list[Any]) -> list[Any]:
    try:
        return sorted(items)
    except TypeError:
        return items


def _checked_integer(path: str, number: int) -> int:
    if number.bit_length() > INTEGER_BITS:
        raise _refusal(path, f"is an integer of more than {INTEGER_BITS} bits", "pass hex() of it, or a float")
    return number


def _text_of(value: PurePath | BaseException) -> str:
    """Return the text of a path or an exception; a placeholder where ``str()`` raises."""
    try:
        text = str(value)
    except Exception:
        text = "<its text cannot be shown>"
    text = encodable(text)
    if isinstance(value, PurePath):
        return text
    return f"{type(value).__name__}: {text}" if text else type(value).__name__


def _join(path: str, key: Any) -> str:
    if isinstance(key, str) and key.isidentifier():
        return f"{path}.{key}" if path else str(key)
    return f"{path}[{key!r:.40}]"


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _refusal(path: str, problem: str, remedy: str = "pass str(), a number, a list or a dict") -> EventEncodingError:
    return EventEncodingError(f"{path or 'the value'} {problem}; {remedy}")
