"""State of the widgets that a procedure has shown, which notebooks store to show them again."""

from typing import Any

import msgspec

WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
_NAME, _MODULE, _VERSION = "_model_name", "_model_module", "_model_module_version"


class Widgets:
    """Collects the state of widgets, as nbclient does.

    Parameters
    ----------
    limit
        Total number of characters of state that are kept; a widget without room is left out.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._states: dict[str, dict[str, Any]] = {}
        self._buffers: dict[str, dict[bytes, dict[str, Any]]] = {}
        """Binary values of each widget, by their encoded path."""
        self._sizes: dict[str, int] = {}

    def change(self, fields: dict[str, Any]) -> None:
        """Update the state of a widget: its first event holds all of it, later ones the changes.

        Parameters
        ----------
        fields
            Fields of the event.
        """
        model, state, buffers = fields.get("model_id"), fields.get("state"), fields.get("buffers")
        if not isinstance(model, str) or not isinstance(state, dict):
            return
        if model not in self._states and _NAME not in state:
            return  # left out before
        known, binary = self._states.setdefault(model, {}), self._buffers.setdefault(model, {})
        known.update(state)
        for one in buffers if isinstance(buffers, list) else ():
            if isinstance(one, dict) and isinstance(one.get("path"), list) and isinstance(one.get("data"), str):
                binary[msgspec.json.encode(one["path"])] = {
                    "encoding": "base64",
                    "path": one["path"],
                    "data": one["data"],
                }
        size = len(msgspec.json.encode(known)) + sum(len(path) + len(one["data"]) for path, one in binary.items())
        self._left += self._sizes.get(model, 0) - size
        self._sizes[model] = size
        if self._left < 0:
            self._left += self._sizes.pop(model)
            del self._states[model], self._buffers[model]

    def metadata(self) -> dict[str, Any]:
        """Return the notebook's metadata about widgets; empty where there are none."""
        if not self._states:
            return {}
        shown = {model: self._shown(model, state) for model, state in self._states.items()}
        return {"widgets": {WIDGET_STATE: {"version_major": 2, "version_minor": 0, "state": shown}}}

    def _shown(self, model: str, state: dict[str, Any]) -> dict[str, Any]:
        about = {
            "model_name": state.get(_NAME),
            "model_module": state.get(_MODULE),
            "model_module_version": state.get(_VERSION),
            "state": state,
        }
        if self._buffers[model]:
            about["buffers"] = list(self._buffers[model].values())
        return about
