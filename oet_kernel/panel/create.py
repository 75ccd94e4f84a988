"""Form for creating a procedure: script, and arguments of its ``init``."""

from typing import Any

from ipywidgets import HTML, Button, Checkbox, Dropdown, HBox, Layout, Text, VBox
from msgspec.structs import replace

from oet_kernel.client import ApiError, script_of
from oet_kernel.panel.doing import Doing
from oet_kernel.panel.fields import ArgumentForm
from oet_kernel.panel.rendering import note_html, title_html
from oet_kernel.panel.session import PanelSession

_NONE = ("(choose a script)", "")
_OPEN: dict[str, Any] = {"x-open": "arguments unknown"}
"""Schema of an unknown function."""


class CreateForm(VBox):
    """Form for the script to prepare, and its arguments.

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
        wide = Layout(width="auto", flex="1 1 auto", min_width="80px")
        self.script = Dropdown(options=[_NONE], tooltip="Scripts in the service's folders", layout=wide)
        self.path = Text(
            placeholder="or type a path or URI, and Enter",
            tooltip="A file that the service can read, file:///path.py or /path.py",
            continuous_update=False,
            layout=wide,
        )
        self.again = Button(icon="refresh", tooltip="List the scripts anew", layout=Layout(width="36px"))
        self.kernel = Text(
            placeholder="kernelspec, if the notebook's own is not installed",
            tooltip="A kernelspec of the service's machine",
            layout=Layout(width="auto", flex="1 1 auto", min_width="80px", display="none"),
        )
        self.own_folder = Checkbox(
            description="in its own folder",
            tooltip="Run in the script's folder instead of this notebook's (or the remote service's) folder",
            indent=False,
            layout=Layout(width="auto", display="none"),
        )
        self.note = HTML()
        self.arguments = ArgumentForm()
        self.create = Button(
            description="Create", icon="plus", button_style="primary", tooltip="Prepare this script", disabled=True
        )
        super().__init__(
            [
                HTML(title_html("New procedure")),
                HBox([self.script, self.again]),
                self.path,
                HBox([self.kernel, self.own_folder]),
                self.note,
                self.arguments,
                self.create,
            ]
        )
        self.add_class("oet-create")
        self.again.on_click(doing.doing(self.list_scripts))
        self.script.observe(doing.on_loop(self._chosen), "value")
        self.path.observe(doing.doing(self._describe), "value")
        self.create.on_click(doing.doing(self._create))

    async def list_scripts(self) -> None:
        """Show the scripts that the service lists now."""
        listing = await self._session.scripts()
        chosen = self.script.value
        names = _short([one.uri for one in listing.scripts])
        options = [(name, one.uri) for name, one in zip(names, listing.scripts, strict=True)]
        self.script.options = [_NONE, *options]
        if any(uri == chosen for _, uri in options):
            self.script.value = chosen
        self.note.value = note_html(listing.message or "")

    def _chosen(self) -> None:
        """Use the selected script instead of a typed one."""
        if self.script.value:
            if self.path.value:
                self.path.value = ""  # this also shows the script's arguments
            else:
                self._doing.begin(self._describe())

    async def _describe(self) -> None:
        """Show the arguments of the script."""
        if self.path.value and self.script.value:
            self.script.value = ""
        uri = self._uri
        self.create.disabled = not uri
        self.own_folder.layout.display = None if uri else "none"
        self.kernel.layout.display = None if uri.endswith(".ipynb") else "none"
        if not uri:
            self.arguments.show(None)
            self.note.value = ""
            return
        init: dict[str, Any] | None
        try:
            schema = await self._session.schema(uri)
        except ApiError as error:
            init, note = _OPEN, str(error)
        else:
            init, note = schema.init, schema.docstring or ""
            note = note.strip().partition("\n\n")[0]
            if init and "x-open" in init:
                note = f"{note} The arguments of init are unknown: {init['x-open']}."
        if uri == self._uri:
            self.arguments.show(init)
            self.note.value = note_html(note)

    async def _create(self) -> None:
        arguments = self.arguments.read()
        if arguments is None:
            self._doing.say("Some arguments are wrong.", trouble=True)
            return
        self.create.disabled = True
        try:
            kernel = self.kernel.value.strip() if self._uri.endswith(".ipynb") else ""
            script = replace(script_of(self._uri), kernel=kernel or None, own_folder=self.own_folder.value)
            made = await self._session.create(script, arguments)
        finally:
            self.create.disabled = False
        self._doing.say(f"Procedure {made.id} was created.")

    @property
    def _uri(self) -> str:
        return str(self.path.value.strip() or self.script.value)


def _short(uris: list[str]) -> list[str]:
    """Return the paths relative to their common folder."""
    folders = [uri.split("/")[:-1] for uri in uris]
    common = 0
    while folders and all(len(one) > common and one[common] == folders[0][common] for one in folders):
        common += 1
    return ["/".join(uri.split("/")[common:]) for uri in uris]
