"""The record of a procedure as a notebook: a heading, a cell for each call, user events, states; pure.

The notebook can be read, converted and run again: its first code cell is the script, the next ones are the calls. The
record of a notebook is the notebook itself, with the outputs of its cells.
"""

import ast
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from oet_kernel import topics
from oet_kernel.events.event import Event
from oet_kernel.formatting.python_call import call
from oet_kernel.models import ProcedureInput, ProcedureState, ProcedureSummary
from oet_kernel.records.allowed import DEPTH, shallow
from oet_kernel.records.announced import Announced
from oet_kernel.records.cells import CellBook
from oet_kernel.records.console import Console
from oet_kernel.records.header import About, heading, public, states_table
from oet_kernel.records.html import iso
from oet_kernel.records.outputs import Outputs
from oet_kernel.records.parts import code_cell, markdown_cell
from oet_kernel.records.space import Space
from oet_kernel.records.tracebacks import raised
from oet_kernel.records.widgets import Widgets
from oet_kernel.scripts.notebook import SUFFIX
from oet_kernel.scripts.python_source import parse_python

if TYPE_CHECKING:
    from nbformat import NotebookNode

OUTPUT_LIMIT = 8 << 20
"""Default limit of a record's output in characters."""

_WIDGETS = 4
"""Divisor of the limit for the state of widgets, which is kept besides."""

_Notice = Callable[[int], str]
"""Returns the text in place of that many omitted characters of output."""

_S = ProcedureState
_BEGUN = {_S.LOADING: "load", _S.INITIALISING: "init", _S.RUNNING: "main"}
"""Names of the calls, by the state with which they begin."""
_fields = msgspec.json.Decoder(dict[str, Any])


class Recorder:
    """Builds a record event by event.

    The size of a record is bounded: output beyond a limit is only counted, and of very many user events the first and
    the newest are kept.

    Parameters
    ----------
    limit
        Number of characters of output that are kept.
    """

    def __init__(self, limit: int = OUTPUT_LIMIT) -> None:
        self.seq = 0
        """Number of the newest event that was added; 0 for none."""
        self._space = Space(limit)
        self._displays: dict[str, Any] = {}
        self._cells: dict[str, Outputs] = {}
        self._current = "load"
        self._state: ProcedureState | None = None
        self._script: dict[str, Any] = {}
        self._book: CellBook | None = None
        """Cells of the notebook that was run; None for a script."""
        self._environment: dict[str, Any] = {}
        self._announced = Announced()
        self._widgets = Widgets(limit // _WIDGETS)
        self._console = Console(self._space, self._outputs)
        self._cell("load")

    def add(self, event: Event) -> None:
        """Add the next event of the procedure; no-op for an event that was added before."""
        if event.seq <= self.seq:
            return
        self.seq = event.seq
        try:
            fields = _fields.decode(event.data)
        except (msgspec.MsgspecError, RecursionError):  # kept as text, since it was published
            fields = {"unreadable": event.data.decode("utf-8", "replace")}
        if event.data.count(b"[") + event.data.count(b"{") > DEPTH:
            fields = shallow(fields)
        match event.service_topic:
            case topics.OUTPUT_STREAM:
                name = "stderr" if fields.get("name") == "stderr" else "stdout"
                self._cell(fields.get("call")).write(name, str(fields.get("text", "")))
            case topics.OUTPUT_DISPLAY:
                self._show(fields)
            case topics.OUTPUT_WIDGET:
                self._widgets.change(fields)
            case topics.OUTPUT_CLEAR:
                self._cell(fields.get("call")).clear(wait=bool(fields.get("wait")))
            case topics.OUTPUT_ERROR:
                name, value, trace = (str(fields.get(name, "")) for name in ("ename", "evalue", "traceback"))
                self._cell(fields.get("call")).fail(name, value, trace)
            case topics.CONSOLE_INPUT:
                self._console.type(event.at, fields)
            case topics.ENVIRONMENT_LOG:
                self._cell("load").write("stdout", str(fields.get("text", "")).rstrip("\n") + "\n")
            case topics.STATECHANGE:
                self._enter(fields.get("new_state"))
            case topics.STACKTRACE:
                self._fail(str(fields.get("stacktrace") or "failed"))
            case topics.SCRIPT_RETURNED:
                self._give(fields)
            case topics.SCRIPT_LOADED:
                self._load(fields)
            case topics.CELL_STARTED if self._book is not None:
                self._book.began(fields, event.at)
            case topics.CELL_FINISHED | topics.CELL_FAILED if self._book is not None:
                self._end_cell(self._book, fields, event.at)
            case topics.ENVIRONMENT_DESCRIBED:
                self._environment = self._environment or fields
            case topic if topic in topics.PAUSES or not topics.is_service_topic(topic):
                self._announced.add(event.at, event.topic, fields)

    def notebook(self, summary: ProcedureSummary, about: About) -> "NotebookNode":
        """Return the current record as a notebook.

        Parameters
        ----------
        summary
            Summary of the procedure.
        about
            Facts that are not in the events.

        Returns
        -------
        NotebookNode
            Valid nbformat 4.5.
        """
        from nbformat import from_dict  # takes long to import, and the service must start fast

        return from_dict(self.content(summary, about))

    def content(self, summary: ProcedureSummary, about: About) -> dict[str, Any]:
        """Return the current record as plain values."""
        summary = replace(summary, script=public(summary.script))

        def notice(size: int) -> str:
            return f"\n[{size} characters of output are left out here; the complete output is in {about.events}]\n"

        cells = [
            markdown_cell("heading", heading(summary, self._script, self._environment, about)),
            *(self._script_cells(summary, notice) if self._book is None else self._book_cells(self._book, notice)),
            *self._call_cells(summary, notice),
            *self._console.cells(notice),
            markdown_cell("events", self._announced.markdown(about.events)),
            markdown_cell("states", states_table(summary)),
        ]
        own = self._python() if self._book is None else self._book.metadata
        oet = {"procedure": shallow(msgspec.to_builtins(summary)), "last_event": self.seq}
        return {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {**own, **self._widgets.metadata(), "oet": oet},
            "cells": cells,
        }

    def _python(self) -> dict[str, Any]:
        python = self._environment.get("python")
        return {
            "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"},
            "language_info": {"name": "python", **({"version": python} if isinstance(python, str) else {})},
        }

    def _script_cells(self, summary: ProcedureSummary, notice: _Notice) -> list[dict[str, Any]]:
        return [self._call_cell("load", 1, self._source(), summary, notice)]

    def _book_cells(self, book: CellBook, notice: _Notice) -> list[dict[str, Any]]:
        """Return the notebook's cells, after a cell for the output from before the first of them."""
        before = self._shown("load", notice)
        cells = [code_cell("load", "# Before the first cell", None, before, {})] if before else []
        return cells + book.content(lambda name, count: self._shown(name, notice, count))

    def _call_cells(self, summary: ProcedureSummary, notice: _Notice) -> list[dict[str, Any]]:
        """Return a cell for each call; for a notebook run cell by cell, only for outputs that its cells do not show."""
        sources = [self._text("source") or ""] if self._book is None else self._book.sources
        awaited = set().union(*map(_coroutines, sources))
        cells: list[dict[str, Any]] = []
        for name in ("init", "main"):
            asked = summary.script_args.get(name)
            called = name in self._cells or (name == "main" and asked is not None)
            if called if not self._script.get("by_cell") else self._cells.get(name):
                text = call(name, asked or ProcedureInput(), awaited=name in awaited)
                if self._script.get("plain") is True:
                    text = f"# The file above, run as __main__ with this command line:\n# {text}"
                cells.append(self._call_cell(name, 2 + len(cells), text, summary, notice))
        return cells

    def _call_cell(
        self, name: str, count: int, source: str, summary: ProcedureSummary, notice: _Notice
    ) -> dict[str, Any]:
        metadata = {"oet": {"call": name}, **_timing(name, summary)}
        return code_cell(name, source, count, self._shown(name, notice, count), metadata)

    def _shown(self, name: str, notice: _Notice, count: int | None = None) -> list[dict[str, Any]]:
        return self._cells[name].json(notice, count) if name in self._cells else []

    def _source(self) -> str:
        source = self._text("source")
        if source is not None:
            return source
        if self._script:
            return "# The script is too long for this record; its hash is in the table above."
        return "# The script was not loaded."

    def _text(self, name: str) -> str | None:
        value = self._script.get(name)
        return value if isinstance(value, str) else None

    # --- what events do

    def _cell(self, name: Any) -> Outputs:
        """Return the outputs of a call; for an unknown name, those of the current call."""
        if name == "console" and (typed := self._console.outputs) is not None:
            return typed
        if name not in ("load", "init", "main"):
            name = self._current
        name = name if self._book is None else self._book.outputs_of(name)
        if name not in self._cells:
            self._cells[name] = self._outputs()
        return self._cells[name]

    def _outputs(self) -> Outputs:
        return Outputs(self._space, self._displays)

    def _load(self, fields: dict[str, Any]) -> None:
        if self._script:
            return  # only the first one is surely from the kernel: no script has run before it
        self._script = fields
        source = self._text("source")
        if source is not None and str(fields.get("path")).endswith(SUFFIX):
            self._book = CellBook(source)

    def _end_cell(self, book: CellBook, fields: dict[str, Any], at: float) -> None:
        stacktrace = book.ended(fields, at)
        if stacktrace is not None:
            self._cell(fields.get("call")).fail(*raised(stacktrace), stacktrace.rstrip())

    def _show(self, fields: dict[str, Any]) -> None:
        cell = self._cell(fields.get("call"))
        data, metadata, display_id = fields.get("data"), fields.get("metadata"), fields.get("display_id")
        data = data if isinstance(data, dict) else {"text/plain": str(data)}
        metadata = metadata if isinstance(metadata, dict) else {}
        display_id = display_id if isinstance(display_id, str) else None
        if fields.get("update") is True:
            cell.update(data, metadata, display_id)
        else:
            cell.show(data, metadata, display_id, result="execution_count" in fields)

    def _give(self, fields: dict[str, Any]) -> None:
        """Show the value that ``main`` returned, as Jupyter shows the value of a cell's last line."""
        text = fields.get("text")
        shown = text if isinstance(text, str) else msgspec.json.encode(fields.get("value")).decode()
        self._cell("main").show(
            {"text/plain": shown}, {"oet": {"returned": str(fields.get("type"))}}, None, result=True
        )

    def _enter(self, name: Any) -> None:
        if not isinstance(name, str) or name not in _S.__members__:
            return
        before, self._state = self._state, ProcedureState(name)
        if self._state in _BEGUN:
            self._current = _BEGUN[self._state]
            self._cell(self._current)
        elif self._state is _S.STOPPED and before in _BEGUN and self._failed_cell is None:
            self._cell(None).fail("Stopped", "on request", "Stopped on request")

    @property
    def _failed_cell(self) -> str | None:
        """Stack trace that the failed cell shows already; None for none."""
        return None if self._book is None else self._book.failed

    def _fail(self, stacktrace: str) -> None:
        if stacktrace == self._failed_cell:
            return
        name, value = raised(stacktrace)
        self._cell(None).fail(name, value, stacktrace.rstrip())


def build(summary: ProcedureSummary, events: Iterable[Event], about: About) -> "NotebookNode":
    """Create the record of a procedure.

    Parameters
    ----------
    summary
        Summary of the procedure.
    events
        All events of the procedure, in order.
    about
        Facts that are not in the events.
    """
    recorder = Recorder()
    for event in events:
        recorder.add(event)
    return recorder.notebook(summary, about)


def _timing(name: str, summary: ProcedureSummary) -> dict[str, Any]:
    """Return a cell's metadata with its times of start and end, in JupyterLab's form."""
    states = summary.history.process_states
    for at, (state, begun) in enumerate(states):
        if _BEGUN.get(state) == name:
            times = {"iopub.execute_input": iso(begun)}
            if at + 1 < len(states):
                times["shell.execute_reply"] = iso(states[at + 1][1])
            return {"execution": times}
    return {}


def _coroutines(source: str) -> set[str]:
    """Return the names of the coroutine functions that a script defines."""
    try:
        tree = parse_python(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)}
