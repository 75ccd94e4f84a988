"""Encoding of records as JSON."""

from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder()


def to_json(value: Any) -> bytes:
    """Encode a record as JSON for the wire.

    Parameters
    ----------
    value
        Any record of the vocabulary, or plain JSON values.

    Returns
    -------
    bytes
        JSON in UTF-8, on one line.
    """
    return _ENCODER.encode(value)
