"""ControlPanel: overview and control of procedures."""

from pathlib import Path

from ipywidgets import HTML, Button, HBox, Layout, Tab, VBox

from oet_kernel.panel.closing import close_all
from oet_kernel.panel.create import CreateForm
from oet_kernel.panel.details import Details
from oet_kernel.panel.doing import Doing
from oet_kernel.panel.history import History
from oet_kernel.panel.keys import Keys
from oet_kernel.panel.logview import LogView
from oet_kernel.panel.model import Link
from oet_kernel.panel.procedures import ProcedureList
from oet_kernel.panel.rendering import STYLE, connection_html
from oet_kernel.panel.session import PanelSession

_FRAME = 0.1
"""Minimum number of seconds between two updates."""


class ControlPanel(VBox):
    """Panel that shows the procedures of a service live, and creates, starts, pauses and stops them.

    Its data come from the service's event stream. Buttons respond while no cell of the notebook runs; clicks during a
    running cell wait until it ends, while ``oet stop`` in a terminal works at any time.

    Parameters
    ----------
    url
        API root; without it ``OET_URL``, or the service of this user on this machine, of which there must be one.
    token
        Token of the service; without it ``OET_TOKEN``, or that in the discovery file of the service on this machine.
    ca
        PEM file of the authority that issued the service's certificate; None for the same default as of the clients.

    Raises
    ------
    RuntimeError
        When no event loop runs, as outside of notebooks and coroutines.
    ClientError
        When no service is named, and several run on this machine.
    """

    def __init__(self, url: str | None = None, token: str | None = None, *, ca: str | Path | None = None) -> None:
        self.doing = Doing()
        self.session = PanelSession(url, token, ca, self._changed)
        self._to_be_drawn = False
        self.connection = HTML()
        self.reconnect = Button(description="Connect", icon="plug", tooltip="Try to reach the service again")
        self.procedures = ProcedureList(self.session, self.doing)
        self.create = CreateForm(self.session, self.doing)
        self.details = Details(self.session, self.doing)
        self.logview = LogView(self.session, self.doing)
        self.history = History(self.session, self.doing)
        left = VBox([self.procedures, self.create], layout=Layout(flex="2 1 360px", min_width="0", margin="0 16px 0 0"))
        said = Tab([self.logview, self.history], titles=("Log", "History"), layout=Layout(margin="10px 0 0 0"))
        right = VBox([self.details, said], layout=Layout(flex="3 1 420px", min_width="0"))
        super().__init__(
            [
                HTML(STYLE),
                HBox([self.connection, self.reconnect], layout=Layout(align_items="center")),
                self.doing.message,
                Keys(),
                HBox([left, right], layout=Layout(flex_flow="row wrap")),
            ]
        )
        self.add_class("oet-panel")
        self.reconnect.on_click(self.doing.on_loop(self._connect))
        self._connect()
        self._draw()

    def close(self) -> None:
        """Close the panel, and stop listening; procedures go on."""
        self.doing.end(self.session.close)
        for child in self.children:
            close_all(child)
        super().close()

    def _connect(self) -> None:
        self.doing.begin(self._listen())

    async def _listen(self) -> None:
        self.doing.begin(self.create.list_scripts())
        await self.session.listen()

    def _changed(self) -> None:
        if not self._to_be_drawn:
            self._to_be_drawn = True
            self.doing.later(_FRAME, self._draw)

    def _draw(self) -> None:
        self._to_be_drawn = False
        model = self.session.model
        self.connection.value = connection_html(model.connection, self.session.url)
        self.reconnect.layout.display = None if model.connection.link is Link.ENDED else "none"
        self.procedures.show(model)
        self.details.show(model)
        self.logview.show(model)
