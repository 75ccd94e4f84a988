"""Details of the selected procedure: its data, arguments of its ``main``, and buttons."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ipywidgets import HTML, Button, HBox, Layout, VBox

from oet_kernel.client import ApiError
from oet_kernel.panel.doing import Doing
from oet_kernel.panel.fields import ArgumentForm
from oet_kernel.panel.model import Link, PanelModel, Row
from oet_kernel.panel.rendering import details_html, title_html
from oet_kernel.panel.session import PanelSession


class Details(VBox):
    """Widget that shows and controls the selected procedure.

    Parameters
    ----------
    session
        Session of the panel.
    doing
        Runner of the panel's callbacks.
    """

    def __init__(self, session: PanelSession, doing: Doing) -> None:
        self._session = session
        self._doing = doing
        self._row: Row | None = None
        self._asked: int | None = None
        """Id of the procedure whose ``main`` the form is for; None if there is none."""
        self._starting: set[int] = set()
        """Ids of procedures with an unanswered start, which get no second one."""
        self._pausing: set[int] = set()
        """Ids of procedures with an unanswered pause or resume."""
        self._stopping: set[int] = set()
        """Ids of procedures with an unanswered stop."""
        self._here = False
        self.about = HTML()
        self.arguments = ArgumentForm()
        self.start = Button(icon="play", button_style="success", disabled=True)
        self.pause = Button(icon="pause", disabled=True)
        self.resume = Button(icon="forward", disabled=True)
        self.stop = Button(icon="stop", button_style="danger", disabled=True)
        self.stop_only = Button(icon="stop", disabled=True)
        buttons = HBox(
            [self.start, self.pause, self.resume, self.stop, self.stop_only], layout=Layout(flex_flow="row wrap")
        )
        super().__init__([HTML(title_html("Selected")), self.about, self.arguments, buttons])
        self.add_class("oet-details")
        self.start.on_click(doing.doing(self._start))
        self.pause.on_click(doing.doing(self._pause))
        self.resume.on_click(doing.doing(self._resume))
        self.stop.on_click(doing.doing(self._stop))
        self.stop_only.on_click(doing.doing(self._stop_only))
        self._label("")

    def show(self, model: PanelModel) -> None:
        """Update the widget from a model."""
        row = model.shown
        self._row = row
        self._here = model.connection.link is Link.HERE
        self.about.value = details_html(row)
        self._label(f" {row.id}" if row is not None else "")
        self._enable()
        startable = row.id if row is not None and row.startable else None
        if startable != self._asked:
            self._asked = startable
            self.arguments.show(None)
            if row is not None and startable is not None:
                self._doing.begin(self._ask(row))

    def _label(self, which: str) -> None:
        self.start.description, self.start.tooltip = f"Start{which}", f"Call main of procedure{which}"
        self.pause.description = f"Pause{which}"
        self.pause.tooltip = f"Pause procedure{which} at its next checkpoint"
        self.resume.description, self.resume.tooltip = f"Resume{which}", f"Resume procedure{which}"
        self.stop.description = f"Stop{which}"
        self.stop.tooltip = f"Stop procedure{which}, then run the abort script on its subarray"
        self.stop_only.description = f"Stop{which}, no abort"
        self.stop_only.tooltip = f"Stop procedure{which} without the abort script"
        self.stop_only.layout.width = "auto"

    def _enable(self) -> None:
        row = self._row
        self.start.disabled = row is None or not row.startable or not self._here or row.id in self._starting
        busy = row is None or not self._here or row.id in self._pausing
        self.pause.disabled = busy or row is None or not row.pausable
        self.resume.disabled = busy or row is None or row.summary.pause is None
        # a stop is always tried, whatever the known state of the connection
        self.stop.disabled = self.stop_only.disabled = row is None or row.state.inactive or row.id in self._stopping

    async def _ask(self, row: Row) -> None:
        """Show the form for the arguments of ``main``."""
        schema: dict[str, Any] | None
        try:
            schema = (await self._session.schema(row.summary.script.script_uri)).main
        except ApiError as error:
            schema = {"x-open": str(error)}
        if self._asked == row.id:
            self.arguments.show(schema)

    async def _start(self) -> None:
        row = self._row
        if row is None or not row.startable:
            return
        arguments = self.arguments.read()
        if arguments is None:
            self._doing.say("Some arguments are wrong.", trouble=True)
            return
        with self._under_way(row.id, self._starting):
            await self._session.start(row.id, arguments)
        self._doing.say(f"Procedure {row.id} was started.")

    async def _pause(self) -> None:
        row = self._row
        if row is None or not row.pausable:
            return
        with self._under_way(row.id, self._pausing):
            await self._session.pause(row.id)
        self._doing.say(f"Procedure {row.id} will pause at its next checkpoint.")

    async def _resume(self) -> None:
        row = self._row
        if row is None or row.summary.pause is None:
            return
        with self._under_way(row.id, self._pausing):
            await self._session.resume(row.id)
        self._doing.say(f"Procedure {row.id} is resumed.")

    async def _stop(self) -> None:
        await self._end(abort=True)

    async def _stop_only(self) -> None:
        await self._end(abort=False)

    async def _end(self, *, abort: bool) -> None:
        row = self._row
        if row is None or row.state.inactive:
            return
        with self._under_way(row.id, self._stopping):
            self._doing.say(f"Procedure {row.id} is being stopped.")
            self._doing.say(await self._session.stop(row.id, abort=abort))

    @contextmanager
    def _under_way(self, pid: int, commands: set[int]) -> Iterator[None]:
        """Disable a procedure's button while its command is unanswered."""
        commands.add(pid)
        self._enable()
        try:
            yield
        finally:
            commands.discard(pid)
            self._enable()
