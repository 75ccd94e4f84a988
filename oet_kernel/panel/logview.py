"""Widget of the log, with filters."""

from ipywidgets import HTML, Combobox, Dropdown, HBox, Layout, ToggleButton, VBox

from oet_kernel.panel.doing import Doing
from oet_kernel.panel.log import Filter, lines
from oet_kernel.panel.model import PanelModel
from oet_kernel.panel.rendering import log_html
from oet_kernel.panel.session import PanelSession

_LINES = 300
"""Maximum number of lines shown."""
_TOPICS = ("user", "procedure.output", "procedure.lifecycle", "scan", "subarray", "request")


class LogView(VBox):
    """Widget that shows log entries, the newest last.

    Parameters
    ----------
    session
        Session of the panel.
    doing
        Runner of the panel's callbacks.
    """

    def __init__(self, session: PanelSession, doing: Doing) -> None:
        self._session = session
        self.which = Dropdown(
            options=[("selected procedure", True), ("all procedures", False)],
            value=True,
            description="Log of",
            tooltip="Procedures whose events and output are shown",
            style={"description_width": "initial"},
            layout=Layout(width="230px"),
        )
        self.topics = Combobox(
            options=_TOPICS,
            placeholder="all topics",
            description="topics",
            tooltip="Topics or beginnings of topics, with commas between them",
            ensure_option=False,
            continuous_update=False,
            style={"description_width": "initial"},
            layout=Layout(width="210px"),
        )
        self.hold = ToggleButton(
            value=False,
            description="Hold",
            icon="pause",
            tooltip="Hold the shown lines, for reading",
            layout=Layout(width="80px"),
        )
        self.box = HTML(layout=Layout(width="auto"))
        super().__init__([HBox([self.which, self.topics, self.hold], layout=Layout(flex_flow="row wrap")), self.box])
        for widget in (self.which, self.topics, self.hold):
            widget.observe(doing.on_loop(lambda: self.show(session.model)), "value")

    def show(self, model: PanelModel) -> None:
        """Update the widget from a model."""
        if self.hold.value:
            return
        prefixes = tuple(filter(None, (word.strip() for word in self.topics.value.split(","))))
        pid = model.selected if self.which.value else None
        entries = model.log(Filter(pid, prefixes))
        self.box.value = log_html(lines(entries, _LINES), with_pid=pid is None)
