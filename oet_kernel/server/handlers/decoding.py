"""Decoding of request bodies; every error names its place. Pure functions.

Messages of the original (``Script missing``, ``Malformed script in request``, ...) are kept; the path is then in the
error's ``detail``.
"""

import re
from typing import Any, TypeVar

import msgspec

from oet_kernel.bounds import REQUEST_DEPTH, OutOfBounds, read_json
from oet_kernel.errors import EmptyResponse, MalformedRequest, OetError
from oet_kernel.models import PrepareRequest, ProcedureState, ProcedureUpdate

T = TypeVar("T")

_NOT_UNDERSTOOD = "The browser (or proxy) sent a request that this server could not understand."
_SCRIPT_TYPES = ("filesystem", "git")
_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)


class MalformedUpdate(MalformedRequest):
    """The body of an update is not valid; the type is the original's."""

    type = "Malformed Response"


def prepare_request(body: bytes) -> PrepareRequest:
    """Read the body of ``POST /procedures``.

    Parameters
    ----------
    body
        Body of the request.

    Raises
    ------
    MalformedRequest
        With the reason and its place in the body.
    """
    fields = _read(body)
    if "script" not in fields:
        raise MalformedRequest("Script missing", "$.script: required")
    script = fields["script"]
    if not isinstance(script, dict):
        raise MalformedRequest("Malformed script in request", f"$.script: expected object, got {_kind(script)}")
    for key in ("script_type", "script_uri"):
        if not isinstance(script.get(key), str):
            found = f"expected string, got {_kind(script[key])}" if key in script else "required"
            raise MalformedRequest("Malformed script in request", f"$.script.{key}: {found}")
    if script["script_type"] not in _SCRIPT_TYPES:
        raise MalformedRequest(
            f"Script type {script['script_type']} not supported",
            f"$.script.script_type: expected one of {', '.join(_SCRIPT_TYPES)}",
        )
    _check_script_args(fields, MalformedRequest("Malformed script_args in request", "$.script_args: expected object"))
    return convert(fields, PrepareRequest)


def procedure_update(body: bytes) -> ProcedureUpdate:
    """Read the body of ``PUT /procedures/<id>``.

    Parameters
    ----------
    body
        Body of the request.

    Raises
    ------
    MalformedRequest
        With the reason and its place in the body.
    """
    if not body.strip():
        raise EmptyResponse("No JSON available in response", "$: the request has no body")
    try:
        given = _json(body)
    except msgspec.DecodeError as error:
        raise EmptyResponse("No JSON available in response", f"$: not JSON: {error}") from None
    fields = _object(given)
    _check_script_args(fields, MalformedUpdate("Malformed script_args in response", "$.script_args: expected object"))
    state = fields.get("state")
    if isinstance(state, str) and state not in ProcedureState.__members__:
        raise MalformedRequest(
            f"$.state: {state!r} is not a valid state; expected one of {', '.join(ProcedureState.__members__)}"
        )
    return convert(fields, ProcedureUpdate)


def decode(body: bytes, kind: type[T]) -> T:
    """Read a body for which the original has no messages of its own.

    Parameters
    ----------
    body
        Body of the request.
    kind
        Class of the record.

    Raises
    ------
    MalformedRequest
        With the reason and its place in the body.
    """
    return convert(_read(body), kind)


def convert(value: Any, kind: type[T]) -> T:
    """Convert JSON values to a record.

    Parameters
    ----------
    value
        Decoded JSON.
    kind
        Class of the record.

    Raises
    ------
    MalformedRequest
        ``$.script_args.init.kwargs: expected object, got str``.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise MalformedRequest(say_where(str(error))) from None


def say_where(message: str) -> str:
    """Move the path to the front of a message of msgspec.

    Parameters
    ----------
    message
        ``Expected `object`, got `str` - at `$.script```.
    """
    found = _AT.match(message)
    assert found is not None
    path, what = found["path"] or "$", found["what"].replace("`", "")
    missing = re.match(r"Object missing required field (\S+)", what)
    if missing:
        return f"{path}.{missing[1]}: required"
    return f"{path}: {what[:1].lower()}{what[1:]}"


def _read(body: bytes) -> dict[str, Any]:
    try:
        given = _json(body)
    except msgspec.DecodeError as error:
        raise MalformedRequest(_NOT_UNDERSTOOD, f"$: not JSON: {error}") from None
    return _object(given)


def _json(body: bytes) -> Any:
    try:
        return read_json(body, len(body), REQUEST_DEPTH)
    except OutOfBounds as error:
        raise MalformedRequest(f"$: the body {error}") from None


def _object(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise MalformedRequest(f"$: expected object, got {_kind(given)}")
    return given


def _check_script_args(fields: dict[str, Any], error: OetError) -> None:
    if not isinstance(fields.get("script_args", {}), dict):
        raise error


def _kind(value: Any) -> str:
    names = {type(None): "null", bool: "boolean", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "number")
