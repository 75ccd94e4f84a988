"""Browser side of a panel: keeps keys and focus in it, and shows clicks that wait for a busy kernel."""

from html import escape
from importlib.resources import files

from ipywidgets import HTML


class Keys(HTML):
    """Widget that loads the program ``keys.js`` into the page, and shows the click that waits for the kernel.

    Widgets of ipywidgets do not handle keys. HTML inserted into a page runs a program through the error handler of a
    picture that cannot be loaded; if the page forbids that, the panel works without it.
    """

    def __init__(self) -> None:
        program = files(__package__).joinpath("keys.js").read_text("utf-8")
        picture = f'<img hidden alt="" src="data:," onerror="{escape(program)}">'
        super().__init__(f'{picture}<div class="oet-note" role="status"></div>')
