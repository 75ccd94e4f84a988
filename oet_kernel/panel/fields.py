"""The fields of a form as widgets."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from ipywidgets import (
    HTML,
    Checkbox,
    Dropdown,
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
from oet_kernel.panel.form import Field, Kind, fields_of, fill, left
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
        for field in self.fields:
            if field.kind is Kind.INTEGER:
                self.inputs[field.name].observe(partial(self._left, field), "value")
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

    def _left(self, field: Field, change: Mapping[str, Any]) -> None:
        """Show the integer that is sent."""
        shown, note = left(field, change["new"])
        if shown != change["new"]:
            self.inputs[field.name].value = shown
            self._complaints[field.name].value = message_html(note, trouble=True)

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
        case kind:
            # numbers are typed: a number field of the browser shows 2.7 where 2 is sent, and the mouse wheel changes it
            usual["value"] = field.default_text if field.default is not UNSET and field.default is not None else ""
            usual["placeholder"] = "required" if field.required else "none" if field.nullable else field.default_text
            if kind is Kind.JSON:
                return Textarea(rows=2, **usual)
            return Text(continuous_update=kind is not Kind.INTEGER, **usual)
