"""Printing: JSON documents, states in their colours, and events without breaking a script's lines."""

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
"""Characters that control a terminal or turn the direction of writing, and that JSON leaves as they are."""


def say(text: str, *, err: bool = False) -> None:
    """Print a text, whose control characters are escaped: whatever it quotes controls no terminal.

    Parameters
    ----------
    text
        One line or several; colours stay.
    err
        On standard error.
    """
    click.echo(printable(text), err=err)


def print_json(value: Any) -> None:
    """Print one JSON document on one line; control characters are escaped as JSON escapes them."""
    text = msgspec.json.encode(value).decode()
    # bytes: JSON is UTF-8 whatever the locale says
    click.echo(_UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode())


class Printer:
    """Prints events and what is said between them.

    A script's output goes out exactly as it was written, however the kernel has cut it; to a terminal, without what
    controls it. Whatever else is printed begins on a line of its own.

    Parameters
    ----------
    as_json
        Print each event as a JSON object on a line, and nothing else on standard output.
    marks
        Put the id of its procedure before each line, ``[3] ``, and keep the lines of several apart.
    """

    def __init__(self, as_json: bool, *, marks: bool = False) -> None:
        self.as_json = as_json
        self._marks = marks
        self._preparations = Preparations()
        self._unfinished: tuple[str, bool] | None = None
        """Whose line has no end yet, and whether it is on standard error."""
        self._texts: dict[tuple[str, bool], OutputText] = {}
        """What scripts write to a terminal, by procedure and stream."""

    def event(self, event: Event) -> None:
        """Print an event, if it says anything to who reads it."""
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
        """Print a line that is not the script's."""
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
        """Take back the colours that a script has left on, which would hide or colour what is not its own."""
        for (_, err), text in self._texts.items():
            if text.coloured:
                text.coloured = False
                click.echo("\x1b[0m", nl=False, err=err)

    def _seen(self) -> bool:
        """Tell whether the unfinished line is on a terminal, where the next line would go on in it."""
        assert self._unfinished is not None
        return (sys.stderr if self._unfinished[1] else sys.stdout).isatty()

    def _finish(self) -> None:
        assert self._unfinished is not None
        click.echo(err=self._unfinished[1])
        self._unfinished = None


def say_readings(given: ProcedureInput, summary: ProcedureSummary, function: FunctionName) -> None:
    """Print on standard error what `readings` says of a call."""
    for line in readings(given, summary.script_args.get(function)):
        say(f"[{line}]", err=True)
