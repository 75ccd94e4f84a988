"""Descriptions of the fields of records, for JSON Schemas and for the reference."""

from typing import Any

from msgspec import Meta


def about(description: str, *, examples: list[Any] | None = None, **schema: Any) -> Meta:
    """Create the annotation of a field: its description, and what its JSON Schema states besides the type.

    Nothing is checked by it: the service refuses values with messages of its own.

    Parameters
    ----------
    description
        Noun, unit, and the meaning of None.
    examples
        Values as on the wire.
    schema
        Further keywords of the JSON Schema, such as ``minimum`` or ``pattern``.
    """
    return Meta(description=description, examples=examples, extra_json_schema=schema or None)
