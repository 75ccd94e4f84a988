"""The cells of a notebook that was run, in the form of its record; pure."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from oet_kernel.records.allowed import notebook_cell, notebook_metadata, with_unique_ids
from oet_kernel.records.html import iso
from oet_kernel.scripts.notebook import INJECTED

_INJECTIONS = 2
"""Largest number of injected cells: one for ``init`` and one for ``main``."""
_KINDS = ("code", "markdown", "raw")


class _Run(Struct):
    """Execution of a cell."""

    key: str
    """Name of the cell's outputs."""
    count: int
    """Number of the cell in order of execution, from 1."""
    began: float
    ended: float | None = None
    source: str = ""
    """Text of an injected cell; empty for a cell of the notebook."""
    behind: int = 0
    """Number of the code cell that an injected cell follows; 0 for the front."""


class CellBook:
    """Records which cells were run, when, and with which outcome.

    A code cell is identified by its number among the code cells, since ids may be missing or repeated.

    Parameters
    ----------
    notebook
        The notebook's file, without outputs; an invalid file has no cells.
    """

    def __init__(self, notebook: str) -> None:
        try:
            content = msgspec.json.decode(notebook, type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError):
            content = {}
        self.metadata = notebook_metadata(content.get("metadata"))
        """Sanitized metadata of the notebook."""
        cells = content.get("cells")
        self._cells = _numbered([one for one in cells if isinstance(one, dict)] if isinstance(cells, list) else [])
        self._numbers = {number for number, _ in self._cells if number}
        self._runs: dict[int, _Run] = {}
        self._injected: list[_Run] = []
        self._newest: dict[str, _Run] = {}
        """Newest run by call."""
        self.failed: str | None = None
        """Stack trace of the first cell that has failed; None while none has."""

    @property
    def sources(self) -> list[str]:
        """Texts of the code cells."""
        return [str(cell["source"]) for number, cell in self._cells if number]

    def began(self, fields: Mapping[str, Any], at: float) -> None:
        """Record the start of a cell; a cell that the notebook does not have is left out."""
        number, source = fields.get("number"), fields.get("source")
        count = len(self._runs) + len(self._injected) + 1
        if not isinstance(number, int):
            return
        if isinstance(source, str) and len(self._injected) < _INJECTIONS:
            run = _Run(f"injected {len(self._injected)}", count, at, source=source, behind=number)
            self._injected.append(run)
        elif source is None and number in self._numbers:
            run = self._runs.setdefault(number, _Run(f"cell {number}", count, at))
        else:
            return
        self._newest[str(fields.get("call"))] = run

    def ended(self, fields: Mapping[str, Any], at: float) -> str | None:
        """Record the end of a cell; return its stack trace where it failed, else None."""
        run = self._newest.get(str(fields.get("call")))
        if run is None:
            return None
        run.ended = at
        stacktrace = fields.get("stacktrace")
        if not isinstance(stacktrace, str):
            return None
        if fields.get("expected") is not True:
            self.failed = self.failed or stacktrace
        return stacktrace

    def outputs_of(self, call: str) -> str:
        """Return the name of a call's current outputs: those of its newest cell, if there is one."""
        run = self._newest.get(call)
        return call if run is None else run.key

    def content(self, outputs: Callable[[str, int], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Return the notebook's cells, with the injected ones.

        Parameters
        ----------
        outputs
            Returns outputs, given their name and the cell's number in order of execution.
        """
        injected = [
            (run.behind, _injected(n, run, outputs(run.key, run.count))) for n, run in enumerate(self._injected, 1)
        ]
        shown = [cell for behind, cell in injected if behind not in self._numbers]
        for number, cell in self._cells:
            shown.append(self._shown(number, cell, outputs))
            shown += [one for behind, one in injected if number and behind == number]
        return shown

    def _shown(
        self, number: int, cell: dict[str, Any], outputs: Callable[[str, int], list[dict[str, Any]]]
    ) -> dict[str, Any]:
        if not number:
            return cell
        run = self._runs.get(number)
        found = [] if run is None else outputs(run.key, run.count)
        return {**cell, **_executed(run, found, cell["metadata"])}


def _executed(run: _Run | None, outputs: list[dict[str, Any]], metadata: dict[str, Any]) -> dict[str, Any]:
    if run is None:
        return {"outputs": [], "execution_count": None}
    times = {"iopub.execute_input": iso(run.began)}
    if run.ended is not None:
        times["shell.execute_reply"] = iso(run.ended)
    return {"outputs": outputs, "execution_count": run.count, "metadata": {**metadata, "execution": times}}


def _injected(number: int, run: _Run, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    cell = {"id": f"{INJECTED}-{number}", "cell_type": "code", "source": run.source}
    return {**cell, **_executed(run, outputs, {"tags": [INJECTED]})}


def _numbered(cells: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """Return cells in the newest format, each with its number, 0 for one that is not code.

    Cells that an earlier run has injected are left out, as are the outputs of earlier runs.
    """
    numbers: list[int] = []
    found: list[dict[str, Any]] = []
    code = 0
    for cell in cells:
        kind, source = cell.get("cell_type"), cell.get("source")
        code += kind == "code"
        if kind not in _KINDS or INJECTED in _tags(cell):
            continue
        plain = {
            "id": cell.get("id") or (f"cell-{code}" if kind == "code" else f"text-{len(found)}"),
            "cell_type": kind,
            "metadata": _object(cell.get("metadata")),
            "source": "".join(map(str, source)) if isinstance(source, list) else str(source or ""),
        }
        if kind == "code":
            plain["metadata"] = {name: one for name, one in plain["metadata"].items() if name != "execution"}
            plain.update(outputs=[], execution_count=None)
        elif isinstance(attachments := cell.get("attachments"), dict):
            plain["attachments"] = attachments
        numbers.append(code if kind == "code" else 0)
        found.append(plain)
    return list(zip(numbers, map(notebook_cell, with_unique_ids(found)), strict=True))


def _tags(cell: Mapping[str, Any]) -> list[Any]:
    tags = _object(cell.get("metadata")).get("tags")
    return tags if isinstance(tags, list) else [tags]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
