"""Archive view: all procedures that ever were, by page."""

from collections.abc import AsyncIterator

from ipywidgets import HTML, Button, Dropdown, HBox, Layout, Text, VBox

from oet_kernel.models import ProcedureState, ProcedureSummary
from oet_kernel.panel.closing import close_all
from oet_kernel.panel.doing import Doing
from oet_kernel.panel.rendering import found_html, note_html
from oet_kernel.panel.session import PanelSession

_PAGE = 15
_STATES = [("any state", ""), *((state.name, state.name) for state in ProcedureState)]


class History(VBox):
    """Search for procedures, listed or not; results can be selected.

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
        self._found: AsyncIterator[ProcedureSummary] | None = None
        narrow = {"style": {"description_width": "initial"}, "layout": Layout(width="190px")}
        button = Layout(width="80px")
        self.script = Text(
            placeholder="any script", description="script", tooltip="A part of the script's URI", **narrow
        )
        self.state = Dropdown(options=_STATES, description="state", **narrow)
        self.look = Button(
            description="Look", icon="search", tooltip="List the newest procedures that match", layout=button
        )
        self.more = Button(description="More", tooltip="List older procedures too", disabled=True, layout=button)
        self.rows = VBox(layout=Layout(max_height="230px", overflow="auto"))
        self.rows.add_class("oet-rows")
        self._note = HTML()
        search = HBox([self.script, self.state, self.look, self.more], layout=Layout(flex_flow="row wrap"))
        super().__init__([search, self.rows, self._note])
        self.look.on_click(doing.doing(self._look))
        self.more.on_click(doing.doing(self._more))

    async def _look(self) -> None:
        old, self.rows.children = self.rows.children, ()
        for row in old:
            close_all(row)
        self._found = self._session.archive(self.script.value.strip(), ProcedureState.__members__.get(self.state.value))
        await self._more()

    async def _more(self) -> None:
        found = self._found
        if found is None:
            return
        self.more.disabled = True  # only one search may read on at a time
        page: list[ProcedureSummary] = []
        async for one in found:
            page.append(one)
            if len(page) == _PAGE:
                break
        if found is not self._found:
            return  # another search has been started meanwhile
        first = not self.rows.children
        rows = [self._row(summary, tabbable=first and not number) for number, summary in enumerate(page)]
        self.rows.children = (*self.rows.children, *rows)
        self.more.disabled = len(page) < _PAGE
        self._note.value = note_html("" if self.rows.children else "No procedures match.")

    def _row(self, summary: ProcedureSummary, *, tabbable: bool) -> HBox:
        """Return the row of a procedure; the Tab key reaches the first row, arrow keys the others from there."""
        select = Button(
            description=f"#{summary.id}",
            tooltip=f"Select procedure {summary.id}",
            tabbable=tabbable,
            layout=Layout(width="60px", flex="0 0 auto"),
        )
        select.on_click(self._doing.on_loop(lambda: self._session.select(summary.id, summary)))
        return HBox([select, HTML(found_html(summary))], layout=Layout(align_items="center", flex="0 0 auto"))
