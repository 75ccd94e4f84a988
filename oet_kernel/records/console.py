"""What attached clients have typed into the kernel, as a record shows it."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from oet_kernel.records.html import code, moment
from oet_kernel.records.outputs import Outputs
from oet_kernel.records.parts import code_cell, markdown_cell
from oet_kernel.records.space import Space

CONSOLE_CELLS = 500
"""Cells typed by attached clients that a record shows: the first ones."""


class _Typed(Struct):
    """What somebody has typed into the kernel."""

    at: float
    who: str
    code: str
    outputs: Outputs


class Console:
    """Collects cells that were typed, each with its outputs.

    Parameters
    ----------
    space
        What their code takes room of.
    outputs
        Creates the outputs of a cell.
    """

    def __init__(self, space: Space, outputs: Callable[[], Outputs]) -> None:
        self._space = space
        self._create = outputs
        self._typed: list[_Typed] = []
        self._untold = 0
        """Cells that were typed and are not shown."""

    @property
    def outputs(self) -> Outputs | None:
        """The outputs of the newest cell; None while nothing was typed."""
        return self._typed[-1].outputs if self._typed else None

    def type(self, at: float, fields: dict[str, Any]) -> None:
        """Add what was typed: a cell, or an answer to what the newest one has asked.

        Parameters
        ----------
        at
            Unix seconds.
        fields
            Of the event.
        """
        typed = str(fields.get("code", ""))
        if "prompt" in fields and self._typed:  # an answer, to a debugger for one
            self._typed[-1].outputs.write("stdout", f"{fields['prompt']}{typed}\n")
        elif len(self._typed) < CONSOLE_CELLS and self._space.take(len(typed)):
            self._typed.append(_Typed(at, str(fields.get("who")), typed, self._create()))
        else:
            self._untold += 1

    def cells(self, notice: Callable[[int], str]) -> list[dict[str, Any]]:
        """Return the cells, which stand beside the calls and are none of them.

        Parameters
        ----------
        notice
            What to say where that many characters of output were left out.
        """
        if not self._typed:
            return []
        cells = [markdown_cell("console", "## Console\n\nTyped into the kernel by hand; no part of the script.")]
        for number, typed in enumerate(self._typed, 1):
            name = f"console-{number}"
            cells.append(markdown_cell(f"{name}-by", f"{moment(typed.at)}, {code(typed.who)}:"))
            metadata = {"oet": {"call": "console", "who": typed.who}}
            cells.append(code_cell(name, typed.code, None, typed.outputs.json(notice), metadata))
        if self._untold:
            cells.append(markdown_cell("console-more", f"{self._untold} more cells were typed; all are in the events."))
        return cells
