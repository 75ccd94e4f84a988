"""Shown: a result that stands in the output of its cell, and changes there; `Told`: an answer that does not change."""

from typing import Any
from uuid import uuid4

import click
from IPython.core.interactiveshell import InteractiveShell

from oet_kernel.cli.results import Answer
from oet_kernel.magics.rendering import document_html


class Shown:
    """A result of a magic, shown once in each cell whose value it is.

    A magic shows it at once, since it may stand anywhere in its cell, or be assigned; when it is the value of the
    same cell too, it is not shown again.

    Parameters
    ----------
    shell
        The shell of the notebook, or of a terminal, where what is shown does not change.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self.changes = hasattr(shell, "kernel")
        """Whether what is shown can change afterwards."""
        self._displays: list[str] = []
        self._shown_in: int | None = None

    def show(self) -> None:
        """Show it in the cell that runs."""
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
        """Show what has changed, wherever this is shown."""
        if self.changes:
            for display_id in tuple(self._displays):
                self._publish(display_id, update=True)

    def _publish(self, display_id: str, *, update: bool) -> None:
        transient = {"display_id": display_id}
        self._shell.display_pub.publish(self._repr_mimebundle_(), transient=transient, update=update)


class Told(Shown):
    """An answer of the service.

    Parameters
    ----------
    shell
        Where it is shown.
    answer
        What a command has come to.
    """

    def __init__(self, shell: InteractiveShell, answer: Answer) -> None:
        super().__init__(shell)
        self._answer = answer

    @property
    def value(self) -> Any:
        """The records that were asked for."""
        return self._answer.value

    def __repr__(self) -> str:
        return click.unstyle(str(self._answer.document))

    def _html(self) -> str:
        return document_html(self._answer.document)
