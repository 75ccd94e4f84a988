"""The outputs of a notebook's cells, updated as in a running notebook.

Consecutive streams of the same name are one output; a display can be updated by its id; cleared output is removed. All
cells together have a limited space (see `oet_kernel.records.space`); output beyond it is only counted.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from oet_kernel.formatting.terminal_text import StreamText, Text
from oet_kernel.records.allowed import mime_bundle, output_metadata
from oet_kernel.records.space import COST, Space

_PLAIN = "text/plain"
_VALUE, _SHORT_VALUE = 4096, 64
"""Characters of an exception's text that are kept besides its traceback: usually, and where room is short."""


class _Stream:
    content = 0

    def __init__(self, name: str) -> None:
        self.name = name
        self._text = StreamText()

    @property
    def text(self) -> int:
        return len(self._text)

    @property
    def left_out(self) -> int:
        return self._text.left_out

    def write(self, text: str) -> None:
        self._text.write(text)

    def cut(self, size: int) -> None:
        self._text.cut(size)

    def strip(self) -> None:
        """No-op."""

    def json(self, notice: Callable[[int], str], count: int | None) -> dict[str, Any]:
        return {"output_type": "stream", "name": self.name, "text": self._text.shown(notice)}


class _Display:
    def __init__(self, data: dict[str, Any], metadata: dict[str, Any], display_id: str | None, result: bool) -> None:
        self.display_id = display_id
        self._result = result
        """Whether the display is the value of the cell's last line."""
        self.change(data, metadata)

    def change(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Replace the content."""
        self._data = mime_bundle(data)
        self._metadata = output_metadata(metadata, self._data)
        plain = self._data.pop(_PLAIN, None)
        self._plain = None if plain is None else Text(plain)
        sizes = (len(one) if isinstance(one, str) else len(msgspec.json.encode(one)) for one in self._data.values())
        self.content = sum(sizes) + len(msgspec.json.encode(self._metadata))
        self._stripped = 0

    @property
    def text(self) -> int:
        return 0 if self._plain is None else len(self._plain)

    @property
    def left_out(self) -> int:
        return self._stripped + (0 if self._plain is None else self._plain.left_out)

    def cut(self, size: int) -> None:
        if self._plain is not None:
            self._plain.cut(size)

    def strip(self) -> None:
        self._stripped += self.content
        self._data, self._metadata, self.content = {}, {}, 0

    def json(self, notice: Callable[[int], str], count: int | None) -> dict[str, Any]:
        data = dict(self._data)
        if self._plain is not None or self._stripped:
            plain = "" if self._plain is None else self._plain.shown(notice)
            data[_PLAIN] = plain + (notice(self._stripped) if self._stripped else "")
        shown = {"data": data, "metadata": self._metadata}
        if self._result:
            return {"output_type": "execute_result", "execution_count": count, **shown}
        return {"output_type": "display_data", **shown}


class _Error:
    def __init__(self, name: str, value: str, traceback: str) -> None:
        self._name, self._value, self._traceback = Text(name), Text(value), Text(traceback)
        self._keep(_VALUE)

    @property
    def content(self) -> int:
        return len(self._name) + len(self._value)

    @property
    def text(self) -> int:
        return len(self._traceback)

    @property
    def left_out(self) -> int:
        return self._traceback.left_out

    def cut(self, size: int) -> None:
        self._traceback.cut(size)

    def strip(self) -> None:
        self._keep(_SHORT_VALUE)

    def _keep(self, size: int) -> None:
        self._name.cut(size)
        self._value.cut(size)

    def json(self, notice: Callable[[int], str], count: int | None) -> dict[str, Any]:
        return {
            "output_type": "error",
            "ename": self._name.shown(notice),
            "evalue": self._value.shown(notice),
            "traceback": self._traceback.shown(notice).split("\n"),
        }


_Output = _Stream | _Display | _Error


class Outputs:
    """The outputs of one cell.

    Parameters
    ----------
    space
        Space that all cells of the record share.
    displays
        Displays of all cells that can be updated, by id; updated by this object.
    """

    def __init__(self, space: Space, displays: dict[str, dict[_Display, None]]) -> None:
        self._space = space
        self._displays = displays
        self._first: list[_Output] = []
        self._last: list[_Output] = []
        """Outputs behind those that were left out; empty while none was."""
        self._left_out = 0
        """Number of characters of outputs that were not kept."""
        self._clear_before_next = False
        space.cells.append(self)

    def __bool__(self) -> bool:
        return bool(self._first)

    @property
    def outputs(self) -> list[_Output]:
        """Outputs that are kept, in order."""
        return self._first + self._last

    def write(self, name: str, text: str) -> None:
        """Append text to a stream.

        Parameters
        ----------
        name
            ``stdout`` or ``stderr``.
        text
            Written text.
        """
        if not text:
            return
        self._clear_if_due()
        newest = (self._last or self._first or (None,))[-1]
        if isinstance(newest, _Stream) and newest.name == name:
            before = newest.text
            newest.write(text)
            self._space.change(newest.text - before)
        else:
            stream = _Stream(name)
            stream.write(text)
            self._add(stream)

    def show(
        self, data: dict[str, Any], metadata: dict[str, Any], display_id: str | None, *, result: bool = False
    ) -> None:
        """Add a display.

        Parameters
        ----------
        data
            MIME bundle.
        metadata
            Metadata of the bundle.
        display_id
            Id for later updates; None for none.
        result
            Whether the display is the value of the cell's last line.
        """
        self._clear_if_due()
        self.update(data, metadata, display_id)  # as nbclient does: all displays with the same id show the same
        display = _Display(data, metadata, display_id, result)
        if display_id is not None:
            self._displays.setdefault(display_id, {})[display] = None
        self._add(display)

    def update(self, data: dict[str, Any], metadata: dict[str, Any], display_id: str | None) -> None:
        """Replace the content of all displays with an id, in any cell; no-op for an unknown id."""
        for display in list(self._displays.get(display_id or "", ())):
            if display not in self._displays.get(display_id or "", ()):
                continue  # left out meanwhile, to make room for another display's new content
            before = display.text + display.content
            display.change(data, metadata)
            self._space.change(display.text + display.content - before)

    def fail(self, name: str, value: str, traceback: str) -> None:
        """Add an error.

        Parameters
        ----------
        name, value
            Name and text of the exception.
        traceback
            Lines of the traceback.
        """
        self._clear_if_due()
        self._add(_Error(name, value, traceback))

    def clear(self, *, wait: bool) -> None:
        """Remove all outputs: now, or with `wait` just before the next output."""
        self._clear_before_next = wait
        if not wait:
            self._drop()

    def thin(self, count: int) -> None:
        """Keep the first and the last outputs.

        Parameters
        ----------
        count
            Largest number of outputs that are kept.
        """
        outputs = self.outputs
        if len(outputs) <= count:
            return
        behind = min(count // 2, len(self._last)) if self._last else count // 2
        front = min(count - behind, len(self._first))
        end = len(outputs) - (count - front)
        for one in outputs[front:end]:
            self._left_out += one.text + one.content + one.left_out
            self._forget(one)
        self._first, self._last = outputs[:front], outputs[end:]

    def json(self, notice: Callable[[int], str], count: int | None = None) -> list[dict[str, Any]]:
        """Return the outputs in the notebook's form.

        Parameters
        ----------
        notice
            Returns the text in place of that many omitted characters.
        count
            Number of the cell in order of execution; None for none.
        """
        shown = [one.json(notice, count) for one in self._first]
        if self._left_out:
            shown.append({"output_type": "stream", "name": "stderr", "text": notice(self._left_out)})
        return shown + [one.json(notice, count) for one in self._last]

    def _add(self, output: _Output) -> None:
        (self._last or self._first).append(output)
        self._space.change(COST + output.text + output.content)

    def _clear_if_due(self) -> None:
        if self._clear_before_next:
            self._clear_before_next = False
            self._drop()

    def _drop(self) -> None:
        outputs = self.outputs
        for one in outputs:
            self._forget(one)
        self._first, self._last, self._left_out = [], [], 0
        self._space.change(-sum(COST + one.text + one.content for one in outputs))

    def _forget(self, output: _Output) -> None:
        """Unregister a dropped display, so that it is not updated any more."""
        if isinstance(output, _Display) and output.display_id is not None:
            found = self._displays[output.display_id]
            del found[output]
            if not found:
                del self._displays[output.display_id]
