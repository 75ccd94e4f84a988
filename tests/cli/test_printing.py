"""A script's output is printed as it was written; everything else on lines of its own."""

import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oet_kernel.cli.printing import Printer
from oet_kernel.client import Event
from oet_kernel.formatting.colours import coloured

ANNOUNCED = Event("user.script.announce", "1", {"msg": "hello"}, "7")


def output(text, name="stdout", source="1"):
    return Event("procedure.output.stream", source, {"call": "main", "name": name, "text": text}, None)


def printed(capsys, *events, as_json=False, marks=False):
    capsys.readouterr()
    printer = Printer(as_json, marks=marks)
    for event in events:
        if isinstance(event, str):
            printer.line(event, err=True)
        else:
            printer.event(event)
    return capsys.readouterr()


@pytest.mark.parametrize(
    ("events", "out"),
    [
        ([output("a\n")], "a\n"),
        ([output("hel"), output("lo\n")], "hello\n"),
        ([output("\n"), output("a\n\n")], "\na\n\n"),
        ([output("10%\r"), output("20%\r")], "10%\r20%\r"),
        ([output("a"), ANNOUNCED], "a\n- Script message: hello\n"),
        ([output("a\n"), ANNOUNCED], "a\n- Script message: hello\n"),
        ([output("a"), output(""), ANNOUNCED], "a\n- Script message: hello\n"),
        ([output("a"), output("b\n", source="2")], "a\nb\n"),
        ([ANNOUNCED, Event("procedure.lifecycle.statechange", "1", {"new_state": "READY"}, None)],
         "- Script message: hello\n"),
    ],
)  # fmt: skip
def test_other_lines_begin_on_a_line_of_their_own(capsys, events, out):
    assert printed(capsys, *events) == (out, "")


@pytest.mark.parametrize(
    ("events", "printed_out", "printed_err"),
    [
        ([output("a\nb\n")], "[1] a\n[1] b\n", ""),
        ([output("hel"), output("lo\n"), output("x\n", source="2")], "[1] hello\n[2] x\n", ""),
        ([output("a"), output("b", source="2"), output("c\n")], "[1] a\n[2] b\n[1] c\n", ""),
        ([output("a"), output("e\n", "stderr"), output("b\n")], "[1] a\n[1] b\n", "[1] e\n"),
        ([ANNOUNCED], "[1] - Script message: hello\n", ""),
        ([output("a"), output(""), ANNOUNCED], "[1] a\n[1] - Script message: hello\n", ""),
        ([Event("request.procedure.stop", "FlaskWorker", {"cmd": {"process_uid": 2}}, "8")],
         "- User request: stop procedure #2 with no abort\n", ""),
        ([Event("procedure.lifecycle.statechange", "3", {"new_state": state}, None) for state in ("IDLE", "READY")],
         "[3] - Procedure 3 ready for execution\n", ""),
    ],
)  # fmt: skip
def test_lines_of_several_procedures_say_whose_they_are(capsys, events, printed_out, printed_err):
    assert printed(capsys, *events, marks=True) == (printed_out, printed_err)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("12"), st.text("ab\n"))))
def test_every_line_has_one_mark_however_the_output_of_two_was_cut(capsys, pieces):
    out = printed(capsys, *(output(text, source=source) for source, text in pieces), marks=True).out
    lines = out.splitlines()
    assert all(line[:4] in ("[1] ", "[2] ") and "[" not in line[4:] for line in lines)
    for source in "12":
        said = "".join(text for one, text in pieces if one == source)
        assert "".join(line[4:] for line in lines if line[1] == source) == said.replace("\n", "")


def test_what_goes_elsewhere_does_not_end_a_line_in_a_file(capsys):
    assert printed(capsys, output("a"), "[COMPLETE]", output("b")) == ("ab", "[COMPLETE]\n")


def test_what_goes_elsewhere_ends_a_line_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert printed(capsys, output("a"), "[COMPLETE]").out == "a\n"


def test_standard_error_of_a_script_goes_to_standard_error(capsys):
    assert printed(capsys, output("a\n", "stderr")) == ("", "a\n")


def test_json_is_one_object_a_line(capsys):
    out, err = printed(capsys, output("a\nb"), ANNOUNCED, as_json=True)
    assert [json.loads(line)["topic"] for line in out.splitlines()] == ["procedure.output.stream", ANNOUNCED.topic]
    assert json.loads(out.splitlines()[1]) == {"topic": ANNOUNCED.topic, "msg_src": "1", "msg": "hello"}
    assert err == ""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r"))))
def test_output_is_the_same_however_it_was_cut(capsys, chunks):
    assert printed(capsys, *map(output, chunks)).out == "".join(chunks)


def test_state_that_needs_no_attention_has_no_colour():
    assert coloured("IDLE") == "IDLE"
    assert coloured("RUNNING 2") != "RUNNING 2"
    assert "RUNNING 2" in coloured("RUNNING 2")
