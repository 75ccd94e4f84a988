"""Sanitizing of notebooks and outputs from scripts: parts that the notebook format does not allow are removed; pure.

nbformat's schema defines the format. Metadata that nbconvert reads besides, and fails on where they have another type,
are in the tables below.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from nbformat.json_compat import JsonSchemaValidator

DEPTH = 100
"""Deepest nesting of lists and objects that a record keeps, since programs that read notebooks recurse."""
_TOO_DEEP = "…"
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_OWN_ID = re.compile(r"heading|load|init|main|events|states|console(-.*)?|injected-parameters-\d+")
"""Ids of the cells that a record adds to those of the notebook."""
_SUFFIX = 16
"""Characters of an id that are reserved for a suffix that makes it unique."""
_JSON_MIME = re.compile(r"application/(.*\+)?json")
"""MIME types whose content may be any value; the content of all others is text."""
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_READ_OF_NOTEBOOK: dict[str, type] = {"language": str}
_READ_OF_CELL: dict[str, type] = {"raw_mimetype": str, "magics_language": str, "transient": dict}
"""Metadata of cells that nbconvert reads, and their types, which the schema leaves open."""


def shallow(value: Any, depth: int = DEPTH) -> Any:
    """Return a JSON value without the parts below a number of levels.

    Parameters
    ----------
    value
        Any JSON value.
    depth
        Number of levels that are kept.
    """
    if isinstance(value, dict):
        return {name: shallow(one, depth - 1) for name, one in value.items()} if depth else _TOO_DEEP
    if isinstance(value, list):
        return [shallow(one, depth - 1) for one in value] if depth else _TOO_DEEP
    return value


def notebook_metadata(metadata: Any) -> dict[str, Any]:
    """Return the metadata of a notebook without the parts that the format does not allow.

    The state of widgets is left out too, since it is from an earlier run.
    """
    found = _readable(metadata, _READ_OF_NOTEBOOK)
    found.pop("widgets", None)
    spec, info = found.get("kernelspec"), found.get("language_info")
    if isinstance(spec, dict) and "name" in spec:
        found["kernelspec"] = spec = {"display_name": spec["name"], **spec}
        if isinstance(info, dict) and "language" in spec:
            found["language_info"] = {"name": spec["language"], **info}
    whole = {"nbformat": 4, "nbformat_minor": 5, "cells": [], "metadata": found}
    checked: dict[str, Any] = _checked(whole, {})["metadata"]
    return checked


def notebook_cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cell without the parts of its metadata and attachments that the format does not allow.

    Parameters
    ----------
    cell
        A code, Markdown or raw cell, with the fields of its kind.
    """
    metadata = _readable(cell["metadata"], _READ_OF_CELL)
    tags = metadata.get("tags")
    if isinstance(tags, list):
        metadata["tags"] = list(dict.fromkeys(tag for tag in tags if isinstance(tag, str) and tag and "," not in tag))
    whole = {**cell, "metadata": metadata}
    if isinstance(attachments := cell.get("attachments"), dict):
        whole["attachments"] = {name: one for name, one in shallow(attachments).items() if one}
    return _checked(whole, {"$ref": f"#/definitions/{cell['cell_type']}_cell"})


def mime_bundle(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of an output in the notebook's form: text, except for JSON types.

    Parameters
    ----------
    data
        Content by MIME type.
    """
    found = {mime: one if _JSON_MIME.fullmatch(mime) else _text(one) for mime, one in data.items()}
    view = found.get(WIDGET_VIEW)
    if not isinstance(view, dict) or not isinstance(view.get("model_id"), str):
        found.pop(WIDGET_VIEW, None)
    return found


def output_metadata(metadata: Mapping[str, Any], mime_types: Iterable[str]) -> dict[str, Any]:
    """Return the metadata of an output without the parts on which converters fail.

    Parameters
    ----------
    metadata
        The metadata; names of files with the output are left out, since the files do not exist.
    mime_types
        MIME types of the output; metadata of a type must be an object.
    """
    types = {*mime_types}
    return {
        name: one
        for name, one in metadata.items()
        if name not in ("filenames", "tags") and (name not in types or isinstance(one, dict))
    }


def with_unique_ids(cells: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the cells with unique ids that the format allows, and that differ from those of the record's own cells.

    Parameters
    ----------
    cells
        Cells of a notebook, each with an ``id`` of any type.
    """
    named = [(str(cell["id"]), cell) for cell in cells]
    taken: set[str] = set()
    keep = []
    for name, _ in named:
        good = _ID.fullmatch(name) is not None and _OWN_ID.fullmatch(name) is None and name not in taken
        keep.append(good)
        if good:
            taken.add(name)
    found = []
    counts: dict[str, int] = {}
    for (name, cell), good in zip(named, keep, strict=True):
        if not good:
            base = f"{re.sub('[^a-zA-Z0-9_-]', '-', name)[: 64 - _SUFFIX]}-cell"
            name = base
            while name in taken:
                counts[base] = counts.get(base, 1) + 1
                name = f"{base}-{counts[base]}"
            taken.add(name)
        found.append({**cell, "id": name})
    return found


def _text(content: Any) -> str:
    """Return content as text; a notebook also allows a list of lines."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(line, str) for line in content):
        return "".join(content)
    return msgspec.json.encode(content).decode()


def _readable(metadata: Any, types: Mapping[str, type]) -> dict[str, Any]:
    found = shallow(metadata) if isinstance(metadata, dict) else {}
    return {name: one for name, one in found.items() if isinstance(one, types.get(name, object))}


def _checked(whole: dict[str, Any], schema: dict[str, str]) -> dict[str, Any]:
    """Return a value without the parts that a schema refuses."""
    validator = _validator()
    while refused := {tuple(error.path) for error in validator.iter_errors(whole, schema or None)}:
        whole = _without(whole, refused)
    return whole


def _without(value: Any, paths: set[tuple[str | int, ...]], at: tuple[str | int, ...] = ()) -> Any:
    if isinstance(value, dict):
        return {name: _without(one, paths, (*at, name)) for name, one in value.items() if (*at, name) not in paths}
    if isinstance(value, list):
        return [_without(one, paths, (*at, n)) for n, one in enumerate(value) if (*at, n) not in paths]
    return value


@cache
def _validator() -> "JsonSchemaValidator":
    from nbformat.validator import get_validator  # takes long to import, and only notebooks need it

    # nbformat's other validator does not report the path of an error
    return get_validator(4, 5, name="jsonschema")
