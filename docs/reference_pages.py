"""Directives for the pages that are generated from the code: the options of the service, and the events."""

from collections.abc import Iterable
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from oet_kernel import topics
from oet_kernel.client.event_texts import TEXTS
from oet_kernel.server.app import OetApp


def table(head: Iterable[str], rows: Iterable[Iterable[str]], code: Iterable[int] = ()) -> nodes.table:
    """Create a table of texts; the columns with these numbers are code."""
    head, rows = list(head), [list(row) for row in rows]
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]

    def row(cells: Iterable[str], code: Iterable[int] = ()) -> nodes.row:
        made = nodes.row()
        for number, cell in enumerate(cells):
            text = nodes.literal(text=cell) if number in code else nodes.Text(cell)
            made += nodes.entry("", nodes.paragraph("", "", text))
        return made

    group += nodes.thead("", row(head))
    group += nodes.tbody("", *(row(one, code) for one in rows))
    return nodes.table("", group)


class Options(Directive):
    """Every option of the service, with its default and its help."""

    def run(self) -> list[nodes.Node]:
        """Make the table from the traits."""
        names = {target[0] if isinstance(target, tuple) else target: name for name, target in OetApp.aliases.items()}
        rows = []
        for name, trait in sorted(OetApp.class_own_traits(config=True).items()):
            short = names.get(f"OetApp.{name}")
            option = f"--OetApp.{name}" + (f", --{short}" if short else "")
            rows.append((option, trait.default_value_repr(), " ".join(trait.help.split())))
        return [table(("option", "default", "meaning"), rows, (0, 1))]


class Events(Directive):
    """Every topic of the catalogue, with its fields and what it says to a person."""

    def run(self) -> list[nodes.Node]:
        """Make the table from the catalogue."""
        rows = [(topic, ", ".join(fields), TEXTS.get(topic, "")) for topic, fields in sorted(topics.TOPICS.items())]
        return [table(("topic", "fields besides topic and msg_src", "says"), rows, (0, 1))]


def setup(app: Any) -> dict[str, bool]:
    """Register the directives with Sphinx."""
    app.add_directive("oet-options", Options)
    app.add_directive("oet-events", Events)
    return {"parallel_read_safe": True}
