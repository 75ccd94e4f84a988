"""The outputs of a notebook's cells, kept as a notebook keeps them while it runs.

Streams of one name that follow on each other are one output; a display can be updated by its id; cleared output is
gone. All cells together take a limited space; what does not fit is counted, not kept.
"""

from collections.abc import Callable
from io import StringIO
from typing import Any

import msgspec

from oet_kernel.record.allowed import mime_bundle, output_metadata

_COST = 256
"""Bytes that an output takes besides its content, about."""


class Space:
    """How much room the outputs of a record have left.

    Parameters
    ----------
    limit
        Characters of output in all.
    """

    def __init__(self, limit: int) -> None:
        self.left = limit
        """Characters that may yet be kept."""

    def take(self, size: int) -> bool:
        """Take room, if there is that much."""
        if size > self.left:
            return False
        self.left -= size
        return True

    def give(self, size: int) -> None:
        """Give room back."""
        self.left += size


class _Stream:
    def __init__(self, name: str) -> None:
        self.name = name
        self.text = StringIO(newline="")  # line ends stay as they were written
        self.size = _COST

    def json(self) -> dict[str, Any]:
        return {"output_type": "stream", "name": self.name, "text": self.text.getvalue()}


class _Display:
    def __init__(self, data: dict[str, Any], metadata: dict[str, Any], size: int) -> None:
        self.data, self.metadata, self.size = data, metadata, size

    def json(self) -> dict[str, Any]:
        return {"output_type": "display_data", "data": self.data, "metadata": self.metadata}


class _Error:
    size = 0

    def __init__(self, name: str, value: str, traceback: list[str]) -> None:
        self.name, self.value, self.traceback = name, value, traceback

    def json(self) -> dict[str, Any]:
        return {"output_type": "error", "ename": self.name, "evalue": self.value, "traceback": self.traceback}


class Outputs:
    """The outputs of one cell.

    Parameters
    ----------
    space
        What it shares with the other cells.
    displays
        The displays that can be updated, by id, of all cells.
    """

    def __init__(self, space: Space, displays: dict[str, list[_Display]]) -> None:
        self._space = space
        self._displays = displays
        self._outputs: list[_Stream | _Display | _Error] = []
        self._clear_before_next = False
        self.left_out = 0
        """Characters of output that were not kept."""

    def __bool__(self) -> bool:
        return bool(self._outputs or self.left_out)

    def write(self, name: str, text: str) -> None:
        """Add to a stream.

        Parameters
        ----------
        name
            ``stdout`` or ``stderr``.
        text
            What was written.
        """
        if not text:
            return
        self._clear_if_due()
        last = self._outputs[-1] if self._outputs else None
        if self.left_out:
            kept = 0
        elif isinstance(last, _Stream) and last.name == name:
            kept = min(len(text), self._space.left)
        else:
            kept = min(len(text), max(self._space.left - _COST, 0))
            if kept:
                self._space.take(_COST)
                last = _Stream(name)
                self._outputs.append(last)
        if kept and isinstance(last, _Stream):
            self._space.take(kept)
            last.size += kept
            last.text.write(text[:kept])
        self.left_out += len(text) - kept

    def show(self, data: dict[str, Any], metadata: dict[str, Any], display_id: str | None) -> None:
        """Add a display.

        Parameters
        ----------
        data
            MIME bundle.
        metadata
            Its metadata.
        display_id
            By what it can be updated later.
        """
        self._clear_if_due()
        self.update(data, metadata, display_id)  # as nbclient does: all that are shown under an id show the same
        display = _display(data, metadata)
        if self.left_out or not self._space.take(display.size):
            self.left_out += display.size
            return
        self._outputs.append(display)
        if display_id is not None:
            self._displays.setdefault(display_id, []).append(display)

    def update(self, data: dict[str, Any], metadata: dict[str, Any], display_id: str | None) -> None:
        """Change what a display shows, in whatever cell it is; of a display that is not there nothing is known."""
        for display in self._displays.get(display_id or "", ()):
            fresh = _display(data, metadata)
            self._space.give(display.size)
            if self._space.take(fresh.size):
                display.data, display.metadata, display.size = fresh.data, fresh.metadata, fresh.size
            else:
                self._space.take(display.size)
                self.left_out += fresh.size

    def fail(self, name: str, value: str, traceback: list[str]) -> None:
        """Add an error; there is always room for one."""
        self._clear_if_due()
        self._outputs.append(_Error(name, value, traceback))

    def clear(self, *, wait: bool) -> None:
        """Drop what there is: now, or as soon as there is something new."""
        self._clear_before_next = wait
        if not wait:
            self._drop()

    def json(self, cut: Callable[[int], str]) -> list[dict[str, Any]]:
        """Give the outputs as a notebook holds them.

        Parameters
        ----------
        cut
            What to say where that many characters were left out.
        """
        outputs = [output.json() for output in self._outputs]
        if self.left_out:
            notice = {"output_type": "stream", "name": "stderr", "text": cut(self.left_out)}
            # the error, if any, stays last
            at = next((i for i, one in enumerate(self._outputs) if isinstance(one, _Error)), len(outputs))
            outputs.insert(at, notice)
        return outputs

    def _clear_if_due(self) -> None:
        if self._clear_before_next:
            self._clear_before_next = False
            self._drop()

    def _drop(self) -> None:
        gone = {id(output) for output in self._outputs}
        self._space.give(sum(output.size for output in self._outputs))
        self._outputs.clear()
        self.left_out = 0
        for display_id, displays in list(self._displays.items()):
            kept = [display for display in displays if id(display) not in gone]
            if kept:
                self._displays[display_id] = kept
            else:
                del self._displays[display_id]


def _display(data: dict[str, Any], metadata: dict[str, Any]) -> _Display:
    clean = mime_bundle(data)
    metadata = output_metadata(metadata, clean)
    size = sum(len(one) if isinstance(one, str) else len(msgspec.json.encode(one)) for one in clean.values())
    return _Display(clean, metadata, _COST + size + len(msgspec.json.encode(metadata)))
