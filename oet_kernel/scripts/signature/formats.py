"""Formats of JSON values that represent dates, paths, numbers of many digits and the like, and their readers.

The request's check and the conversion in the kernel use the same readers, so that they admit the same values. Pure;
modules for a format are imported on use, since few scripts need any.
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
"""Formats of JSON values, by the class of the represented values."""


def read(name: str, value: Any) -> Any:
    """Read a value.

    Parameters
    ----------
    name
        Name of the format.
    value
        A JSON value: a string, or a number where the format admits numbers.

    Raises
    ------
    ValueError
        When the value does not have the format.
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
    """The format of JSON values that represent values of another type."""

    words: str
    """Description for error messages."""
    read: Callable[[Any], Any]
    numbers: bool = False
    """Whether the format admits numbers too."""

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of the format, without its name."""
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
