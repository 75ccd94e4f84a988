"""Printing: JSON documents, states in their colours, and events without breaking a script's lines."""

import sys
from typing import Any

import click
import msgspec

from oet_kernel.cli.texts import describe
from oet_kernel.client import Event
from oet_kernel.printable import printable
from oet_kernel.topics import OUTPUT_STREAM

_COLOURS = {
    "READY": "cyan",
    "PREPARED": "cyan",
    "RUNNING": "blue",
    "COMPLETE": "green",
    "STOPPED": "yellow",
    "FAILED": "red",
    "UNKNOWN": "red",
}


def coloured(state: str) -> str:
    """Colour the name of a state, which click takes back where the output is no terminal.

    Parameters
    ----------
    state
        Its name; a number may follow, ``RUNNING 2``.
    """
    colour = _COLOURS.get(state.partition(" ")[0])
    return click.style(state, fg=colour) if colour else state


def print_json(value: Any) -> None:
    """Print one JSON document on one line."""
    click.echo(msgspec.json.encode(value))


class Printer:
    """Prints events and what is said between them.

    A script's output goes out exactly as it was written, however the kernel has cut it. Whatever else is printed begins
    on a line of its own.

    Parameters
    ----------
    as_json
        Print each event as a JSON object on a line, and nothing else on standard output.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._unfinished: tuple[str, bool] | None = None
        """Whose line has no end yet, and whether it is on standard error."""

    def event(self, event: Event) -> None:
        """Print an event, if it says anything to who reads it."""
        if event.is_notice:
            self.line(str(describe(event)), err=True)
        elif self.as_json:
            time = {} if event.at is None else {"time": event.at}
            print_json({"topic": event.topic, "msg_src": event.msg_src, **time, **event.fields})
        elif event.service_topic == OUTPUT_STREAM:
            self._output(event.msg_src, event.fields.get("name") == "stderr", str(event.fields.get("text", "")))
        elif (text := describe(event)) is not None:
            self.line(text)

    def line(self, text: str, err: bool = False) -> None:
        """Print a line that is not the script's."""
        if self._unfinished is not None and (self._unfinished[1] is err or self._seen()):
            self._finish()
        click.echo(printable(text), err=err)

    def _output(self, source: str, err: bool, text: str) -> None:
        if self._unfinished is not None and self._unfinished[0] != source:
            self._finish()
        click.echo(text, nl=False, err=err)
        if text:
            self._unfinished = None if text.endswith("\n") else (source, err)

    def _seen(self) -> bool:
        """Tell whether the unfinished line is on a terminal, where the next line would go on in it."""
        assert self._unfinished is not None
        return (sys.stderr if self._unfinished[1] else sys.stdout).isatty()

    def _finish(self) -> None:
        assert self._unfinished is not None
        click.echo(err=self._unfinished[1])
        self._unfinished = None
