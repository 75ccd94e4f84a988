"""Widgets for the fields of a form."""

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
    """Form for the arguments of a function."""

    children: tuple[Widget, ...]

    def __init__(self) -> None:
        super().__init__()
        self.fields: tuple[Field, ...] = ()
        self.inputs: dict[str, ValueWidget] = {}
        self._complaints: dict[str, HTML] = {}

    def show(self, schema: Mapping[str, Any] | None) -> None:
        """Show the fields for the arguments of a function.

        Parameters
        ----------
        schema
            JSON Schema of the arguments by name; None for no function, and no fields.
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
        """Return the arguments; None if some are not valid, with messages at their fields."""
        filled = fill(self.fields, {name: widget.value for name, widget in self.inputs.items()})
        for name, shown in self._complaints.items():
            shown.value = message_html(filled.complaints.get(name, ""), trouble=True)
        return None if filled.complaints else filled.arguments

    def _left(self, field: Field, change: Mapping[str, Any]) -> None:
        """Show the integer that will be sent, when the field is left."""
        shown, note = left(field, change["new"])
        if shown != change["new"]:
            self.inputs[field.name].value = shown
            self._complaints[field.name].value = message_html(note, trouble=True)

    def _row(self, field: Field) -> VBox:
        hint = HTML(note_html(" ".join(field.description.split())))
        return VBox([self.inputs[field.name], hint, self._complaints[field.name]])


def make_input(field: Field) -> ValueWidget:
    """Create the input widget of a field.

    Parameters
    ----------
    field
        Field of the form.
    """
    usual: dict[str, Any] = {
        "tooltip": field.hint,
        "description": field.label,
        "style": {"description_width": "130px"},
        "layout": Layout(width="auto", min_width="80px"),
    }
    match field.kind:
        case Kind.CHOICE:
            # by number, since None means no selection to a Dropdown
            labels = [(label, number) for number, (label, _) in enumerate(field.choices)]
            return Dropdown(options=labels, value=field.first_choice, **usual)
        case Kind.FLAG:
            return Checkbox(value=field.default, **usual)
        case kind:
            # numbers are typed as text: a browser's number field shows 2.7 for 2, and the mouse wheel changes it
            usual["value"] = field.default_text if field.default is not UNSET and field.default is not None else ""
            usual["placeholder"] = "required" if field.required else "none" if field.nullable else field.default_text
            if kind is Kind.JSON:
                return Textarea(rows=2, **usual)
            return Text(continuous_update=kind is not Kind.INTEGER, **usual)
