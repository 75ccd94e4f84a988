"""What a panel does in the browser: keys and the focus stay in it, and a click shows while the kernel is busy."""

from html import escape
from importlib.resources import files

from ipywidgets import HTML


class Keys(HTML):
    """Brings the program ``keys.js`` into the page, and shows the click that waits for the kernel.

    Widgets of ipywidgets know nothing of keys. HTML that is put into a page runs a program where a picture of it
    cannot be loaded; where a page forbids that, the panel works without it.
    """

    def __init__(self) -> None:
        program = files(__package__).joinpath("keys.js").read_text("utf-8")
        picture = f'<img hidden alt="" src="data:," onerror="{escape(program)}">'
        super().__init__(f'{picture}<div class="oet-note" role="status"></div>')
