"""JSON form of a Python literal. Pure function."""

import math
from typing import Any


def json_form(value: Any, largest: int | None = None) -> Any:
    """Return the JSON form of a literal: arrays for tuples, all else unchanged.

    Parameters
    ----------
    value
        Value of the literal.
    largest
        Bound that integers stay below; None for no bound.

    Raises
    ------
    ValueError
        When it has no JSON form: a set, a complex number, a text that UTF-8 cannot encode.
    """
    match value:
        case None | bool():
            return value
        case int() if largest is None or -largest <= value < largest:
            return value
        case float() if math.isfinite(value):
            return value
        case str():
            value.encode()  # half of a surrogate pair has no UTF-8 form: UnicodeEncodeError is a ValueError
            return value
        case list() | tuple():
            return [json_form(one, largest) for one in value]
        case dict() if all(isinstance(key, str) for key in value):
            return {json_form(key): json_form(one, largest) for key, one in value.items()}
    raise ValueError(value)
