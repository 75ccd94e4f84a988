"""No regular expression on the text of others takes more than time linear in it."""

import inspect
from contextlib import suppress

import pytest

from oet_kernel.api import _TOPIC
from oet_kernel.bounds import check_topic
from oet_kernel.events.sse import Decoder
from oet_kernel.kernel.notebooks.foreign_kernel import _ANSI
from oet_kernel.kernel.records import _AT
from oet_kernel.printable import has_controls, printable
from oet_kernel.records.allowed import _JSON_MIME, _OWN_ID
from oet_kernel.records.page import _PIECE
from oet_kernel.records.tracebacks import raised
from oet_kernel.scripts.git import _NOT_IN_A_NAME
from oet_kernel.scripts.notebook import _CALL
from oet_kernel.scripts.notebook_schema import _type_of
from oet_kernel.scripts.signature.docstrings import _text, described
from oet_kernel.scripts.signature.schema import _UNIT
from oet_kernel.scripts.tools import _ERROR
from oet_kernel.server.handlers.decoding import say_where
from tests.growth import assert_linear

FUNCTIONS = {
    "a topic of a script": _TOPIC.fullmatch,
    "a topic": check_topic.__wrapped__,
    "a stream": lambda text: Decoder().feed(text),
    "a message of msgspec": say_where,
    "the same in a kernel": _AT.match,
    "colours of another kernel": lambda text: _ANSI.sub("", text),
    "calls in a cell": lambda text: list(_CALL.finditer(text)),
    "text of others on a line": has_controls,
    "text of others on a terminal": printable,
    "a mime type": lambda text: _JSON_MIME.fullmatch(f"application/{text}"),
    "the id of a cell": _OWN_ID.fullmatch,
    "coloured text": _PIECE.findall,
    "a traceback": raised,
    "a docstring": lambda text: described(inspect.cleandoc(text), ["x"]),
    "the description of an argument": _text,
    "a name in git": _NOT_IN_A_NAME.search,
    "a comment behind a parameter": _type_of,
    "a unit": _UNIT.findall,
    "errors of a tool": _ERROR.search,
}
UNITS = ["a", " ", "\n", "a.", "-a", "+", "\r", "\x1b[", "[1", "- at `", "# type: ", ":param x: "]
FRAMES = ["{}", "a{}!", "# type: a{}b", "S\n\n:param x: a{}b"]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_time_grows_with_length_alone(name, frame):
    def call(text):
        with suppress(ValueError):
            FUNCTIONS[name](text)

    for unit in UNITS:
        assert_linear(call, lambda length, unit=unit: frame.format(unit * (length // len(unit))))
