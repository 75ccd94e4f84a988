"""List of procedures, one row each."""

from ipywidgets import HTML, Button, HBox, Layout, VBox

from oet_kernel.panel.closing import close_all
from oet_kernel.panel.doing import Doing
from oet_kernel.panel.model import PanelModel, Row
from oet_kernel.panel.rendering import note_html, row_html, state_html, title_html
from oet_kernel.panel.session import PanelSession


class ProcedureRow(HBox):
    """Row of one procedure; its button selects it."""

    def __init__(self) -> None:
        self.select = Button(layout=Layout(width="60px", flex="0 0 auto"))
        self.state = HTML(layout=Layout(width="95px", flex="0 0 auto"))
        self.about = HTML(layout=Layout(flex="1 1 auto", min_width="0"))
        self.about.add_class("oet-about")
        super().__init__([self.select, self.state, self.about], layout=Layout(align_items="center", flex="0 0 auto"))

    def show(self, row: Row, *, selected: bool, tabbable: bool) -> None:
        """Update the row from a procedure.

        Parameters
        ----------
        row
            Procedure of the row.
            selected
            Whether it is the selected procedure.
        tabbable
            Whether the Tab key reaches it; arrow keys lead from it to the other rows.
        """
        self.select.tabbable = tabbable
        self.select.description = f"#{row.id}"
        self.select.tooltip = f"Select procedure {row.id}"
        self.select.button_style = "info" if selected else ""
        self.state.value = state_html(row.state)
        self.about.value = row_html(row)


class ProcedureList(VBox):
    """List of the procedures that the service lists, the newest first.

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
        self.rows: dict[int, ProcedureRow] = {}
        self.note = HTML()
        self.box = VBox(layout=Layout(max_height="210px", overflow="auto"))
        self.box.add_class("oet-rows")
        super().__init__([HTML(title_html("Procedures")), self.note, self.box])

    def show(self, model: PanelModel) -> None:
        """Update the list from a model."""
        gone = [self.rows.pop(pid) for pid in list(self.rows) if pid not in model.rows]
        entry = model.selected if model.selected in model.rows else max(model.rows, default=None)
        for pid, row in model.rows.items():
            if pid not in self.rows:
                self.rows[pid] = self._row(pid)
            self.rows[pid].show(row, selected=pid == model.selected, tabbable=pid == entry)
        children = tuple(self.rows[pid] for pid in sorted(self.rows, reverse=True))
        if children != self.box.children:
            self.box.children = children
        self.note.value = note_html("" if children else "No procedures.")
        for widget in gone:
            close_all(widget)

    def _row(self, pid: int) -> ProcedureRow:
        made = ProcedureRow()
        made.select.on_click(self._doing.on_loop(lambda: self._session.select(pid)))
        return made
