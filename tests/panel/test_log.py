"""The log is bounded, says events in words, and joins what a script writes in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.client import Event
from oet_kernel.panel import log
from oet_kernel.panel.log import Entry, Filter, Log, entry_of, lines, subject


def said(number, text="x", pid=1, topic="user.script.announce", stream=""):
    return Entry(number, 0.0, pid, topic, text, stream)


def written(*pieces, stream="stdout", pid=1):
    return [said(n, piece, pid, "procedure.output.stream", stream) for n, piece in enumerate(pieces, 1)]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event("user.script.announce", "3", {"msg": "hello"}, "5"), "Script message: hello"),
        (Event("procedure.lifecycle.statechange", "3", {"new_state": "READY"}, "5"), "Procedure 3 is READY"),
        (Event("procedure.lifecycle.stacktrace", "3", {"stacktrace": "a\nValueError: no\n"}, "5"), "ValueError: no"),
        (Event("procedure.output.stream", "3", {"name": "stderr", "text": "\x1b[31mred\x1b[0m\n"}, "5"), "red\n"),
        (Event("sky.colour", "3", {"colour": "blue"}, "5"), "sky.colour: colour=blue"),
    ],
)
def test_events_are_said_in_words(event, text):
    entry = entry_of(event, 1.0)
    assert (entry.text, entry.pid, entry.id) == (text, 3, 5)


def test_what_a_state_has_said_already_is_no_entry():
    assert (
        entry_of(Event("procedure.lifecycle.complete", "ScriptExecutionService", {"result": {"id": 3}}, "5"), 1.0)
        is None
    )


@pytest.mark.parametrize(
    "fields", [{}, {"text": None}, {"text": ["x"]}, {"new_state": {}}, {"stacktrace": 5}, {"cmd": 7}]
)
@pytest.mark.parametrize(
    "topic",
    ["procedure.output.stream", "procedure.lifecycle.statechange", "procedure.lifecycle.stacktrace", "request.x"],
)
def test_an_event_that_a_script_has_made_up_does_no_harm(topic, fields):
    entry_of(Event(topic, "3", fields, "not a number"), 1.0)


def test_the_time_is_that_of_the_event_where_it_has_one():
    assert entry_of(Event("a", "3", {}, "5", 7.0), 1.0).at == 7.0
    assert entry_of(Event("a", "3", {}, "5"), 1.0).at == 1.0


@pytest.mark.parametrize(
    ("event", "pid"),
    [
        (Event("user.x", "3", {}, "1"), 3),
        (Event("procedure.lifecycle.created", "ScriptExecutionService", {"result": {"id": 4}}, "1"), 4),
        (Event("request.procedure.stop", "Client", {"cmd": {"process_uid": 5}}, "1"), 5),
        (Event("activity.lifecycle.running", "ActivityService", {"result": {"id": 4}}, "1"), None),
        (Event("user.x", "²", {}, "1"), None),
    ],
)
def test_an_event_is_about_a_procedure(event, pid):
    assert subject(event) == pid


def test_the_log_keeps_the_newest_entries_only(monkeypatch):
    monkeypatch.setattr(log, "MOST_ENTRIES", 3)
    kept = Log().add(said(n) for n in range(10)).add([said(10)])
    assert [entry.id for entry in kept.entries] == [8, 9, 10]


@given(st.lists(st.integers(0, 400), max_size=60))
def test_the_log_never_holds_more_text_than_it_may(sizes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "MOST_TEXT", 1000)
        kept = Log()
        for number, size in enumerate(sizes):
            kept = kept.add([said(number, "x" * size)])
            assert kept.size == sum(len(entry.text) for entry in kept.entries) <= 1000
        assert not sizes or kept.last_id == len(sizes) - 1


def test_one_huge_entry_is_cut_to_its_newest_part():
    event = Event("procedure.output.stream", "3", {"text": "a" * log.MOST_TEXT + "end"}, "5")
    assert entry_of(event, 1.0).text == "a" * (log.LONGEST - 3) + "end"


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Filter(), [1, 2, 3]),
        (Filter(1), [1, 3]),
        (Filter(None, ("user",)), [1, 2]),
        (Filter(1, ("user", "procedure.output")), [1, 3]),
        (Filter(None, ("use",)), []),
    ],
)
def test_entries_are_filtered_by_procedure_and_topic(wanted, ids):
    entries = [said(1), said(2, pid=2), said(3, topic="procedure.output.stream", stream="stdout")]
    assert [entry.id for entry in entries if wanted.wants(entry)] == ids


@pytest.mark.parametrize(
    ("entries", "shown"),
    [
        (written("a\nb\n"), ["a", "b"]),
        (written("a", "b\n", "c"), ["ab", "c"]),
        (written("a\n\n", "b"), ["a", "", "b"]),
        (written("10%\r20%", "\r30%\r"), ["30%"]),
        ([*written("a"), said(2, "event"), *written("b\nc")], ["ab", "event", "c"]),
        ([*written("a"), *written("x\n", pid=2), *written("b\n")], ["ab", "x"]),
        ([*written("a"), *written("x", stream="stderr"), *written("b")], ["ab", "x"]),
        ([said(1, "two\nlines")], ["two", "lines"]),
        ([], []),
    ],
)
def test_lines_that_a_script_writes_in_pieces_are_joined(entries, shown):
    assert [line.text for line in lines(entries, 100)] == shown


@given(st.lists(st.text(alphabet="ab\n", min_size=1, max_size=6), max_size=12))
def test_the_pieces_make_the_lines_of_the_whole_text(pieces):
    assert [line.text for line in lines(written(*pieces), 1000)] == "".join(pieces).removesuffix("\n").split(
        "\n"
    ) or not pieces


def test_of_many_lines_the_newest_are_shown():
    assert [line.text for line in lines(written(*(f"{n}\n" for n in range(10))), 2)] == ["8", "9"]
