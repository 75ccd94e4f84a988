"""JSON values that stand for dates, paths, numbers of many digits and the like: their formats, and how they are read.

The request's check and the conversion in the kernel read with the same functions: what one admits, the other makes.
Pure; what a format needs is imported where it is read, since few scripts need any.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

OF_CLASS = {
    "pathlib.Path": "path",
    "pathlib.PurePath": "path",
    "pathlib.PosixPath": "path",
    "pathlib.PurePosixPath": "path",
    "os.PathLike": "path",
    "uuid.UUID": "uuid",
    "datetime.datetime": "date-time",
    "datetime.date": "date",
    "datetime.time": "time",
    "datetime.timedelta": "duration",
    "decimal.Decimal": "decimal",
    "builtins.bytes": "byte",
}
"""The format of what stands for a value of a class."""


def read(name: str, value: Any) -> Any:
    """Read a value.

    Parameters
    ----------
    name
        Of the format.
    value
        A JSON value: a string, or a number where the format takes numbers.

    Raises
    ------
    ValueError
        When it does not stand for anything.
    """
    takes = FORMATS[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (isinstance(value, str) or (takes.numbers and is_number)):
        raise ValueError(f"expected {takes.words}")
    try:
        return takes.read(value)
    except (ValueError, ArithmeticError, OSError, msgspec.MsgspecError):
        raise ValueError(f"expected {takes.words}") from None


def _path(value: Any) -> Any:
    from pathlib import Path

    return Path(value)


def _uuid(value: Any) -> Any:
    from uuid import UUID

    return UUID(value)


def _datetime(value: Any) -> Any:
    from datetime import UTC, datetime

    return datetime.fromisoformat(value) if isinstance(value, str) else datetime.fromtimestamp(value, UTC)


def _date(value: Any) -> Any:
    from datetime import date

    return date.fromisoformat(value)


def _time(value: Any) -> Any:
    from datetime import time

    return time.fromisoformat(value)


def _duration(value: Any) -> Any:
    from datetime import timedelta

    return msgspec.convert(value, timedelta) if isinstance(value, str) else timedelta(seconds=value)


def _decimal(value: Any) -> Any:
    from decimal import Decimal

    return Decimal(repr(value) if isinstance(value, float) else value)


def _byte(value: Any) -> Any:
    from base64 import b64decode

    return b64decode(value, validate=True)


class Format(NamedTuple):
    """What stands for values of a kind."""

    words: str
    """What is expected, in an error."""
    read: Callable[[Any], Any]
    numbers: bool = False
    """Whether a number stands for one too."""

    @property
    def schema(self) -> dict[str, Any]:
        """Its JSON Schema, but for the name."""
        return {"type": ["string", "number"] if self.numbers else "string"}


FORMATS = {
    "path": Format("path", _path),
    "uuid": Format("UUID", _uuid),
    "date-time": Format("date and time of ISO 8601 (2026-11-25T10:00:00Z) or Unix seconds", _datetime, True),
    "date": Format("date of ISO 8601 (2026-11-25)", _date),
    "time": Format("time of ISO 8601 (10:00:00)", _time),
    "duration": Format("duration of ISO 8601 (PT1H30M) or seconds", _duration, True),
    "decimal": Format("decimal number", _decimal, True),
    "byte": Format("bytes in base64", _byte),
}


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a format."""
    return {**FORMATS[name].schema, "format": name}
