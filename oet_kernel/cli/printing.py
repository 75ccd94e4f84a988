"""Printing of JSON documents, states in colour, and events without breaking a script's lines."""

import re
import sys
from typing import Any

import click
import msgspec

from oet_kernel.client import Event
from oet_kernel.client.event_texts import Preparations, describe, marked, owner
from oet_kernel.formatting.literals import readings
from oet_kernel.models import FunctionName, ProcedureInput, ProcedureSummary
from oet_kernel.printable import OutputText, printable
from oet_kernel.topics import OUTPUT_STREAM

_UNPRINTABLE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that control a terminal or change the direction of writing, and that JSON does not escape."""


def say(text: str, *, err: bool = False) -> None:
    """Print a text with control characters escaped, so that quoted text cannot control the terminal.

    Parameters
    ----------
    text
        One line or several; colours are kept.
    err
        Whether to print on standard error.
    """
    click.echo(printable(text), err=err)


def print_json(value: Any) -> None:
    """Print one JSON document on one line, with control characters escaped as in JSON."""
    text = msgspec.json.encode(value).decode()
    # bytes: JSON is UTF-8 in any locale
    click.echo(_UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode())


class Printer:
    """Printer of events, and of lines between them.

    A script's output is printed exactly as written, however the kernel has cut it; on a terminal, with control
    characters escaped. All other text begins on a new line.

    Parameters
    ----------
    as_json
        Whether to print each event as a JSON object on a line, and nothing else on standard output.
    marks
        Whether to begin each line with the id of its procedure, ``[3] ``, and to keep the lines of several apart.
    """

    def __init__(self, as_json: bool, *, marks: bool = False) -> None:
        self.as_json = as_json
        self._marks = marks
        self._preparations = Preparations()
        self._unfinished: tuple[str, bool] | None = None
        """Source of the unfinished line, and whether it is on standard error; None if there is none."""
        self._texts: dict[tuple[str, bool], OutputText] = {}
        """Scripts' output to a terminal, by procedure and stream."""

    def event(self, event: Event) -> None:
        """Print an event, if it has a text for users."""
        if event.is_notice:
            self.line(str(describe(event)), err=True)
        elif self.as_json:
            time = {} if event.at is None else {"time": event.at}
            print_json({"topic": event.topic, "msg_src": event.msg_src, **time, **event.fields})
        elif event.service_topic == OUTPUT_STREAM:
            self._output(event, event.fields.get("name") == "stderr", str(event.fields.get("text", "")))
        elif (text := self._preparations.describe(event) or describe(event)) is not None:
            self.line(owner(event) + text if self._marks else text)

    def line(self, text: str, err: bool = False) -> None:
        """Print a line that is not a script's output."""
        if self._unfinished is not None and (self._unfinished[1] is err or self._seen()):
            self._finish()
        self._end_colours()
        say(text, err=err)

    def _output(self, event: Event, err: bool, text: str) -> None:
        source = event.msg_src
        if self._unfinished is not None:
            other_source, other_stream = self._unfinished[0] != source, self._unfinished[1] is not err
            if other_source or (self._marks and other_stream):
                self._finish()
        mark = owner(event) if self._marks else ""
        shown = text
        if (sys.stderr if err else sys.stdout).isatty():
            shown = self._texts.setdefault((source, err), OutputText(mark)).take(text)
        if not shown:
            return
        click.echo(marked(shown, mark, self._unfinished is None), nl=False, err=err)
        self._unfinished = None if text.endswith("\n") else (source, err)

    def _end_colours(self) -> None:
        """Reset colours that a script has left on, which would hide or colour other text."""
        for (_, err), text in self._texts.items():
            if text.coloured:
                text.coloured = False
                click.echo("\x1b[0m", nl=False, err=err)

    def _seen(self) -> bool:
        """Return whether the unfinished line is on a terminal, where the next text would continue it."""
        assert self._unfinished is not None
        return (sys.stderr if self._unfinished[1] else sys.stdout).isatty()

    def _finish(self) -> None:
        assert self._unfinished is not None
        click.echo(err=self._unfinished[1])
        self._unfinished = None


def say_readings(given: ProcedureInput, summary: ProcedureSummary, function: FunctionName) -> None:
    """Print the warnings of `readings` about a call on standard error."""
    for line in readings(given, summary.script_args.get(function)):
        say(f"[{line}]", err=True)
