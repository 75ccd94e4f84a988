"""Cells that a record adds to those of a script or notebook, and the record as a file; pure."""

from typing import Any

import msgspec


def code_cell(
    name: str, source: str, count: int | None, outputs: list[dict[str, Any]], metadata: dict[str, Any]
) -> dict[str, Any]:
    """Create a code cell.

    Parameters
    ----------
    name
        Id of the cell.
    source
        Text of the cell.
    count
        Number of the cell in order of execution; None for none.
    outputs, metadata
        In the notebook's form.
    """
    return {
        "id": name,
        "cell_type": "code",
        "source": source,
        "execution_count": count,
        "outputs": outputs,
        "metadata": metadata,
    }


def markdown_cell(name: str, source: str) -> dict[str, Any]:
    """Create a Markdown cell.

    Parameters
    ----------
    name
        Id of the cell.
    source
        Markdown.
    """
    return {"id": name, "cell_type": "markdown", "metadata": {}, "source": source}


def encode(content: dict[str, Any]) -> bytes:
    """Encode a record as a file in Jupyter's form: sorted keys, indented by one space."""
    return msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=1) + b"\n"
