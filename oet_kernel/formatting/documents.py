"""Documents: output of commands as tables and paragraphs, shown as text on a terminal and as HTML in a notebook."""

from collections.abc import Sequence

from msgspec import Struct
from tabulate import tabulate

from oet_kernel.formatting.colours import coloured
from oet_kernel.printable import printable


class State(Struct, frozen=True):
    """Cell with the name of a state; a number may follow, ``RUNNING 2``."""

    name: str

    def __str__(self) -> str:
        return coloured(self.name)


class Table(Struct, frozen=True):
    """Table of rows under headers."""

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]

    def __str__(self) -> str:
        # numbers in a name or a path are text, and must not be aligned or rewritten
        columns = range(len(self.headers))
        text = [column for column in columns if not all(isinstance(row[column], int) for row in self.rows)]
        rows = [[str(cell) if isinstance(cell, State) else cell for cell in row] for row in self.rows]
        return str(tabulate(rows, headers=self.headers, tablefmt="simple", disable_numparse=text))


class Document(Struct, frozen=True):
    """Sequence of tables and paragraphs."""

    parts: Sequence[Table | str]
    gap: str = "\n\n"
    """Separator between two parts of the text."""

    def __str__(self) -> str:
        return printable(self.gap.join(map(str, self.parts)))
