"""`Shown`: result that is updated in the output of its cell; `Told`: answer that does not change."""

from typing import Any
from uuid import uuid4

import click
from IPython.core.interactiveshell import InteractiveShell

from oet_kernel.cli.results import Answer
from oet_kernel.magics.rendering import document_html


class Shown:
    """Result of a magic, shown once in each cell whose value it is.

    A magic shows it at once, since the magic may be anywhere in its cell, or be assigned; if the result is also the
    value of the same cell, it is not shown again.

    Parameters
    ----------
    shell
        Shell of the notebook, or of a terminal, where results are not updated.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self.changes = hasattr(shell, "kernel")
        """True if displays can be updated."""
        self._displays: list[str] = []
        self._shown_in: int | None = None

    def show(self) -> None:
        """Show the result in the running cell."""
        self._ipython_display_()
        self._shown_in = self._shell.execution_count

    def _html(self) -> str:
        raise NotImplementedError

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._html()}

    def _ipython_display_(self) -> None:
        if self._shown_in == self._shell.execution_count:
            self._shown_in = None
            return
        display_id = uuid4().hex
        self._publish(display_id, update=False)
        self._displays.append(display_id)

    def _refresh(self) -> None:
        """Update all displays of the result."""
        if self.changes:
            for display_id in tuple(self._displays):
                self._publish(display_id, update=True)

    def _publish(self, display_id: str, *, update: bool) -> None:
        transient = {"display_id": display_id}
        self._shell.display_pub.publish(self._repr_mimebundle_(), transient=transient, update=update)


class Told(Shown):
    """Answer of the service.

    Parameters
    ----------
    shell
        Shell in which it is shown.
    answer
        Result of a command.
    """

    def __init__(self, shell: InteractiveShell, answer: Answer) -> None:
        super().__init__(shell)
        self._answer = answer

    @property
    def value(self) -> Any:
        """Requested records."""
        return self._answer.value

    def __repr__(self) -> str:
        return click.unstyle(str(self._answer.document))

    def _html(self) -> str:
        return document_html(self._answer.document)
