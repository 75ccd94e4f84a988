"""What a procedure says stands in a cell as one would see it: lines as they are at last, pictures as pictures."""

import pytest

from oet_kernel.client import Event
from oet_kernel.magics.pictures import picture_of
from oet_kernel.magics.printer import NotebookPrinter

PNG = "iVBORw0KGgo="


class Shell:
    """Keeps what is displayed."""

    def __init__(self):
        self.display_pub = self
        self.shown = []

    def publish(self, data, *, transient, update):
        self.shown.append((data, transient, update))


def said(text, source="4", name="stdout"):
    return Event("procedure.output.stream", source, {"name": name, "text": text}, "1")


def displayed(data, **fields):
    return Event("procedure.output.display", "4", {"data": data, "metadata": {}, **fields}, "1")


def printed(capsys, *events, as_json=False):
    printer = NotebookPrinter(Shell(), as_json)
    for event in events:
        printer.event(event)
    printer.close()
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["\rscan 0/9", "\rscan 1/9", "\rscan 9/9", "\n"], "scan 9/9\n"),
        (["10%\r", "20%\r", "done\n"], "done\n"),
        (["a", "b", "c\nd"], "abc\nd\n"),
        (["waiting |", "\b/", "\b-", "\n"], "waiting -\n"),
        (["a\r\n", "b\n"], "a\r\nb\n"),
        (["never finished\r"], "never finished\n"),
        ([f"\r{n}" for n in range(5000)], "4999\n"),
        ([""], ""),
    ],
)
def test_line_that_rewrites_itself_is_printed_once_as_it_is_at_last(capsys, pieces, shown):
    after = Event("user.script.announce", "4", {"msg": "hello"}, "2")
    out = printed(capsys, *map(said, pieces))
    assert out in (shown, shown.removesuffix("\n"))
    assert printed(capsys, *map(said, pieces), after).count("hello") == 1


def test_streams_and_procedures_do_not_mix(capsys):
    out = printed(
        capsys, said("a"), said("b", source="5"), said("c", name="stderr"), said("A\n"), said("B\n", source="5")
    )
    assert out == "aA\nbB\n"


def test_events_as_json_are_not_held_back(capsys):
    assert printed(capsys, said("\r1"), said("\r2"), as_json=True).count("\n") == 2


@pytest.mark.parametrize("mime", ["image/png", "image/jpeg", "image/gif", "image/webp"])
def test_picture_is_shown_as_one(mime):
    shell = Shell()
    NotebookPrinter(shell, False).event(displayed({mime: PNG, "text/plain": "<Figure>", "text/html": "<b>x</b>"}))
    assert shell.shown == [({"text/plain": "<Figure>", mime: PNG}, {}, False)]


def test_picture_that_changes_takes_the_place_of_the_one_before():
    shell = Shell()
    printer = NotebookPrinter(shell, False)
    printer.event(displayed({"image/png": PNG}, display_id="x"))
    printer.event(displayed({"image/png": PNG}, display_id="x", update=True))
    assert [(transient, update) for _, transient, update in shell.shown] == [
        ({"display_id": "4-x"}, False),
        ({"display_id": "4-x"}, True),
    ]


def test_svg_runs_nothing_in_the_reader_s_notebook():
    picture = picture_of({"data": {"image/svg+xml": "<svg><script>x</script></svg>", "text/plain": "'<script>"}})
    (html,) = [one for mime, one in picture.bundle.items() if mime == "text/html"]
    assert html.startswith("<img alt='&#x27;&lt;script&gt;' src='data:image/svg+xml;base64,")
    assert "<script" not in html
    assert "image/svg+xml" not in picture.bundle


@pytest.mark.parametrize(
    "data",
    [
        {"text/html": "<script>x</script>", "text/plain": "x"},
        {"application/javascript": "x", "text/plain": "x"},
        {"image/png": "x' onerror='alert(1)"},
        {"image/png": ["a"]},
        {},
        None,
        3,
    ],
)
def test_what_is_no_picture_is_printed(capsys, data):
    shell = Shell()
    NotebookPrinter(shell, False).event(displayed(data))
    assert shell.shown == []
    assert picture_of({"data": data}) is None
