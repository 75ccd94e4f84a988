"""Parts of pages that are generated from the code: the options of the service, the events, the fields of records."""

from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from docutils import nodes
from docutils.parsers.rst import Directive

from oet_kernel import topics
from oet_kernel.client.event_texts import TEXTS
from oet_kernel.server.app import OetApp
from oet_kernel.topics.notices import NOTICES


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
    """Every topic of the catalogue: its meaning, its fields, and its text for people."""

    def run(self) -> list[nodes.Node]:
        """Make a section for each topic from its record."""
        return [self.section(topic, record) for topic, record in sorted(topics.TOPICS.items())]

    def section(self, topic: str, record: type[msgspec.Struct]) -> nodes.section:
        """Make the section of a topic."""
        made = nodes.section(ids=[nodes.make_id(topic)], names=[topic])
        made += nodes.title("", "", nodes.literal(text=topic))
        made += nodes.paragraph(text=summary(record))
        if topic in TEXTS:
            made += nodes.paragraph("", "Shown as: ", nodes.literal(text=TEXTS[topic]))
        rows = [(field.name, field.type, field.description) for field in described(record) if field.name != "msg_src"]
        made += table(("field", "type", "meaning"), rows, (0, 1))
        return made


class Notices(Directive):
    """Every notice of the service about a stream."""

    def run(self) -> list[nodes.Node]:
        """Make the table from the notices."""
        rows = [
            (notice.event, ", ".join(field.name for field in described(notice)), summary(notice)) for notice in NOTICES
        ]
        return [table(("name", "fields", "meaning"), rows, (0, 1))]


class DescribedField(msgspec.Struct, frozen=True):
    """Field of a record, as readers see it."""

    name: str
    type: str
    description: str


def described(record: type[msgspec.Struct]) -> list[DescribedField]:
    """Return the fields of a record, with the descriptions of their types."""
    hints = get_type_hints(record, include_extras=True)
    made = []
    for field in msgspec.structs.fields(record):
        notes = [note.description for note in getattr(hints[field.name], "__metadata__", ()) if note.description]
        made.append(DescribedField(field.name, type_name(hints[field.name]), " ".join(notes[-1:])))
    return made


def type_name(hint: Any) -> str:
    """Return the name of a type, without descriptions and without the modules of this project."""
    if get_origin(hint) is Annotated:
        return type_name(get_args(hint)[0])
    arguments = [one for one in get_args(hint) if one is not msgspec.UnsetType]
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        return " | ".join(type_name(one) for one in arguments)
    if get_origin(hint) is Literal:
        return " | ".join(map(repr, arguments))
    name = "None" if hint is type(None) else str(getattr(hint, "__name__", hint))
    return f"{name}[{', '.join(map(type_name, arguments))}]" if arguments else name


def summary(record: type) -> str:
    """Return the first sentence of a record's docstring, as plain text."""
    return str(record.__doc__).splitlines()[0].replace("`", "")


def describe_fields(app: Any, what: str, name: str, record: Any, options: Any, lines: list[str]) -> None:
    """Add the fields of a record to its docstring, for napoleon."""
    if what == "class" and isinstance(record, type) and issubclass(record, msgspec.Struct) and described(record):
        lines += ["", "Attributes", "----------"]
        for field in described(record):
            lines += [f"{field.name} : {field.type}", f"    {field.description.replace('`', '``')}"]


def forget_parameters(app: Any, what: str, name: str, record: Any, *_: Any) -> None:
    """Keep the types of a record's parameters out of the page: its fields tell them."""
    if what == "class" and isinstance(record, type) and issubclass(record, msgspec.Struct):
        app.env.temp_data.get("annotations", {}).pop(name, None)


def setup(app: Any) -> dict[str, bool]:
    """Register the directives with Sphinx."""
    app.add_directive("oet-options", Options)
    app.add_directive("oet-events", Events)
    app.add_directive("oet-notices", Notices)
    app.connect("autodoc-process-docstring", describe_fields, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", forget_parameters, priority=600)  # after autodoc has noted them
    return {"parallel_read_safe": True}
