"""The cells of a notebook that was run, as its record shows them; pure."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from oet_kernel.notebook import INJECTED, PARAMETERS
from oet_kernel.record.markup import iso

_INJECTIONS = 2
"""How often arguments are injected, at most: for ``init`` and for ``main``."""
_KINDS = ("code", "markdown", "raw")
_OWN_IDS = frozenset({"heading", "load", "init", "main", "events", "states"})


class _Run(Struct):
    """What became of a cell."""

    key: str
    """Name of its outputs."""
    count: int
    """How many were run before it, and it."""
    began: float
    ended: float | None = None
    source: str = ""
    """Of one that the notebook does not have: arguments that were injected."""


class CellBook:
    """Takes note of which cells are run.

    Parameters
    ----------
    notebook
        The notebook's file, without outputs; what is no notebook has no cells.
    """

    def __init__(self, notebook: str) -> None:
        try:
            content = msgspec.json.decode(notebook, type=dict[str, Any])
        except msgspec.MsgspecError:
            content = {}
        self.metadata: dict[str, Any] = _object(content.get("metadata"))
        """The notebook's own."""
        self._cells = _numbered([one for one in content.get("cells") or () if isinstance(one, dict)])
        self._ids = {str(cell["id"]) for cell in self._cells if cell["cell_type"] == "code"}
        self._runs: dict[str, _Run] = {}
        self._injected: list[_Run] = []
        self._newest: dict[str, _Run] = {}
        """The cell that was run last, by call."""
        self.failed: str | None = None
        """The stack trace of the cell that has failed; None while none has."""

    @property
    def sources(self) -> list[str]:
        """The texts of the code cells."""
        return [str(cell["source"]) for cell in self._cells if cell["cell_type"] == "code"]

    def began(self, fields: Mapping[str, Any], at: float) -> None:
        """Take note that a cell has begun; one that the notebook does not have is left out."""
        name, count = str(fields.get("id")), len(self._runs) + len(self._injected) + 1
        if name == INJECTED and len(self._injected) < _INJECTIONS:
            run = _Run(f"injected {len(self._injected)}", count, at, source=str(fields.get("source")))
            self._injected.append(run)
        elif name in self._ids:
            run = self._runs.setdefault(name, _Run(f"cell {name}", count, at))
        else:
            return
        self._newest[str(fields.get("call"))] = run

    def ended(self, fields: Mapping[str, Any], at: float) -> str | None:
        """Take note that a cell has ended; give the stack trace of one that has failed."""
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
        """Name the outputs that belong to a call now: those of the cell that it has run last, if any."""
        run = self._newest.get(call)
        return call if run is None else run.key

    def content(self, outputs: Callable[[str], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Give the notebook's cells, with those that were injected.

        Parameters
        ----------
        outputs
            Gives outputs by their name.
        """
        injected = [_injected(n, run, outputs(run.key)) for n, run in enumerate(self._injected, 1)]
        at = next((n for n, cell in enumerate(self._cells, 1) if PARAMETERS in _tags(cell)), 0)
        shown = [self._shown(cell, outputs) for cell in self._cells]
        return [*shown[:at], *injected, *shown[at:]]

    def _shown(self, cell: dict[str, Any], outputs: Callable[[str], list[dict[str, Any]]]) -> dict[str, Any]:
        if cell["cell_type"] != "code":
            return cell
        run = self._runs.get(cell["id"])
        found = [] if run is None else outputs(run.key)
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


def _numbered(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give cells in the newest form of notebooks, each with an id, those that an earlier run has injected left out.

    The ids are those that the kernel tells, but where these are the record's own.
    """
    found: list[dict[str, Any]] = []
    code = 0
    for cell in cells:
        code += cell.get("cell_type") == "code"
        source = cell.get("source")
        plain = {
            "id": cell.get("id") or (f"cell-{code}" if cell.get("cell_type") == "code" else f"text-{len(found)}"),
            "cell_type": cell.get("cell_type"),
            "metadata": _object(cell.get("metadata")),
            "source": "".join(map(str, source)) if isinstance(source, list) else str(source or ""),
        }
        if isinstance(attachments := cell.get("attachments"), dict):
            plain["attachments"] = attachments
        if plain["cell_type"] in _KINDS and INJECTED not in _tags(plain):
            found.append(plain)
    return found


def with_unique_ids(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rename cells of a notebook whose ids a record has for cells of its own."""
    return [{**cell, "id": f"{cell['id']}-cell"} if cell["id"] in _OWN_IDS else cell for cell in cells]


def _tags(cell: Mapping[str, Any]) -> list[str]:
    tags = cell["metadata"].get("tags")
    return tags if isinstance(tags, list) else []


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
