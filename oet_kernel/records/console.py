"""Cells for the code that attached clients have typed into the kernel."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from oet_kernel.formatting.times import moment
from oet_kernel.records.html import code
from oet_kernel.records.outputs import Outputs
from oet_kernel.records.parts import code_cell, markdown_cell
from oet_kernel.records.space import Space

CONSOLE_CELLS = 500
"""Largest number of typed cells in a record: the first ones."""


class _Typed(Struct):
    """Code that a client has typed into the kernel."""

    at: float
    who: str
    code: str
    outputs: Outputs


class Console:
    """Collects cells that were typed, each with its outputs.

    Parameters
    ----------
    space
        Space from which room for the code is reserved.
    outputs
        Creates the outputs of a cell.
    """

    def __init__(self, space: Space, outputs: Callable[[], Outputs]) -> None:
        self._space = space
        self._create = outputs
        self._typed: list[_Typed] = []
        self._untold = 0
        """Number of typed cells that are not shown."""

    @property
    def outputs(self) -> Outputs | None:
        """Outputs of the newest cell; None while there is none."""
        return self._typed[-1].outputs if self._typed else None

    def type(self, at: float, fields: dict[str, Any]) -> None:
        """Add typed code as a cell, or an answer to a prompt to the outputs of the newest cell.

        Parameters
        ----------
        at
            Time of the event, in Unix seconds.
        fields
            Fields of the event.
        """
        typed = str(fields.get("code", ""))
        if "prompt" in fields and self._typed:  # an answer, to a debugger for one
            self._typed[-1].outputs.write("stdout", f"{fields['prompt']}{typed}\n")
        elif len(self._typed) < CONSOLE_CELLS and self._space.take(len(typed)):
            self._typed.append(_Typed(at, str(fields.get("who")), typed, self._create()))
        else:
            self._untold += 1

    def cells(self, notice: Callable[[int], str]) -> list[dict[str, Any]]:
        """Return the cells, which follow those of the calls.

        Parameters
        ----------
        notice
            Returns the text in place of that many omitted characters of output.
        """
        if not self._typed:
            return []
        cells = [markdown_cell("console", "## Console\n\nTyped into the kernel by hand; not part of the script.")]
        for number, typed in enumerate(self._typed, 1):
            name = f"console-{number}"
            cells.append(markdown_cell(f"{name}-by", f"{moment(typed.at, 3)}, {code(typed.who)}:"))
            metadata = {"oet": {"call": "console", "who": typed.who}}
            cells.append(code_cell(name, typed.code, None, typed.outputs.json(notice), metadata))
        if self._untold:
            cells.append(markdown_cell("console-more", f"{self._untold} more cells were typed; all are in the events."))
        return cells
