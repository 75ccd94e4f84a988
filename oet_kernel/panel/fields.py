"""The fields of a form as widgets."""

from collections.abc import Mapping
from typing import Any

from ipywidgets import (
    HTML,
    Checkbox,
    Dropdown,
    FloatText,
    IntText,
    Layout,
    Text,
    Textarea,
    ValueWidget,
    VBox,
    Widget,
)
from msgspec import UNSET

from oet_kernel.models import ProcedureInput
from oet_kernel.panel.closing import close_all
from oet_kernel.panel.form import Field, Kind, fields_of, fill
from oet_kernel.panel.rendering import message_html, note_html


class ArgumentForm(VBox):
    """Asks for the arguments of a function."""

    children: tuple[Widget, ...]

    def __init__(self) -> None:
        super().__init__()
        self.fields: tuple[Field, ...] = ()
        self.inputs: dict[str, ValueWidget] = {}
        self._complaints: dict[str, HTML] = {}

    def show(self, schema: Mapping[str, Any] | None) -> None:
        """Ask for what a function takes.

        Parameters
        ----------
        schema
            JSON Schema of its arguments by name; None where there is no such function, and nothing to ask.
        """
        self.fields = fields_of(schema)
        self.inputs = {field.name: make_input(field) for field in self.fields}
        self._complaints = {field.name: HTML() for field in self.fields}
        old = self.children
        self.children = tuple(self._row(field) for field in self.fields)
        for widget in old:
            close_all(widget)

    def read(self) -> ProcedureInput | None:
        """Give the arguments; None when some are wrong, which then is said at their fields."""
        filled = fill(self.fields, {name: widget.value for name, widget in self.inputs.items()})
        for name, shown in self._complaints.items():
            shown.value = message_html(filled.complaints.get(name, ""), trouble=True)
        return None if filled.complaints else filled.arguments

    def _row(self, field: Field) -> VBox:
        hint = HTML(note_html(" ".join(field.description.split())))
        return VBox([self.inputs[field.name], hint, self._complaints[field.name]])


def make_input(field: Field) -> ValueWidget:
    """Make the widget that a field is filled into.

    Parameters
    ----------
    field
        What is asked for.
    """
    usual: dict[str, Any] = {
        "tooltip": field.hint,
        "description": field.label,
        "style": {"description_width": "130px"},
        "layout": Layout(width="auto", min_width="80px"),
    }
    match field.kind:
        case Kind.CHOICE:
            # by number, since a Dropdown takes None for nothing chosen
            labels = [(label, number) for number, (label, _) in enumerate(field.choices)]
            return Dropdown(options=labels, value=field.first_choice, **usual)
        case Kind.FLAG:
            return Checkbox(value=field.default, **usual)
        case Kind.INTEGER if _is_number(field.default) and not field.nullable:
            return IntText(value=field.default, **usual)
        case Kind.NUMBER if _is_number(field.default) and not field.nullable:
            return FloatText(value=field.default, **usual)
        case kind:
            # a number that has no default has to be typed: what a number field shows by itself would be sent
            usual["value"] = field.default_text if field.default is not UNSET and field.default is not None else ""
            usual["placeholder"] = "required" if field.required else "none" if field.nullable else field.default_text
            return Textarea(rows=2, **usual) if kind is Kind.JSON else Text(**usual)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
