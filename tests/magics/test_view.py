"""What is known about a procedure follows from its events, whatever a script publishes."""

import msgspec
import pytest

from oet_kernel.client import Event
from oet_kernel.formatting.documents import Document, State, Table
from oet_kernel.magics.rendering import card_html, card_text, document_html
from oet_kernel.magics.view import OUTPUT_LIMIT, View, refreshed, see
from oet_kernel.models import FileSystemScript, Pause, ProcedureHistory, ProcedureState, ProcedureSummary
from oet_kernel.printable import has_controls

S = ProcedureState
START = View(
    ProcedureSummary(
        id=4,
        script=FileSystemScript(script_uri="file:///scripts/my%20script.py"),
        script_args={},
        history=ProcedureHistory([(S.CREATING, 100.0)]),
        state=S.CREATING,
        uri="http://h/procedures/4",
    )
)


def entered(state):
    return Event("procedure.lifecycle.statechange", "4", {"new_state": state}, None)


def output(text):
    return Event("procedure.output.stream", "4", {"name": "stdout", "text": text}, None)


def after(*events, at=105.0):
    view = START
    for event in events:
        view = see(view, event, at)
    return view


def test_states_are_entered():
    view = after(entered("IDLE"), entered("RUNNING"))
    assert view.state is S.RUNNING
    assert [state.name for state, _ in view.summary.history.process_states] == ["CREATING", "IDLE", "RUNNING"]


@pytest.mark.parametrize("state", ["NONSENSE", None, 3, {"a": 1}])
def test_a_state_that_a_script_made_up_is_none(state):
    assert after(entered(state)) == START


@pytest.mark.parametrize(
    ("event", "progress"),
    [
        (Event("user.script.announce", "4", {"msg": "hello"}, None), "Script message: hello"),
        (Event("subarray.scan.started", "4", {"subarray_id": 2}, None), "Subarray 2: scan started"),
        (Event("procedure.environment.log", "4", {"text": "pip"}, None), "Environment of procedure 4: pip"),
        (Event("user.mine", "4", {"n": 1}, None), "user.mine: n=1"),
        (Event("procedure.lifecycle.created", "4", {"result": {}}, None), ""),
        (Event("request.procedure.stop", "4", {"cmd": {}}, None), ""),
        (output("a"), ""),
    ],
)
def test_progress_is_what_was_announced_last(event, progress):
    assert after(event).progress == progress


def test_output_is_joined_and_of_much_the_newest_is_kept():
    assert after(output("a"), output("b\n")).output == "ab\n"
    assert after(output("x" * OUTPUT_LIMIT), output("end")).output == "x" * (OUTPUT_LIMIT - 3) + "end"


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("", ""),
        ("a\nb\n\n", "b"),
        ("10%\r20%\r", "20%"),
        ("\n \n", ""),
        ("no end", "no end"),
        ("abc\b\bx", "axc"),
        ("a\x1b]0;title\x07b", "a\\x1b]0;title\\x07b"),
    ],
)
def test_the_last_line_is_the_last_that_says_something(text, last):
    assert after(output(text)).last_line == last


def test_the_time_is_that_of_the_run_and_stands_still_at_the_end():
    assert START.seconds(103.0) == 3.0
    running = after(entered("RUNNING"), at=105.0)
    assert running.seconds(107.5) == 2.5
    assert see(running, entered("COMPLETE"), 109.0).seconds(1000.0) == 4.0
    assert running.seconds(1.0) == 0.0, "clocks differ"
    assert after(entered("READY"), at=102.0).seconds(1000.0) == 2.0, "it waits for its start"


def test_what_the_service_says_replaces_what_was_seen():
    trouble = msgspec.structs.replace(after(entered("RUNNING"), output("kept")), trouble="away")
    history = ProcedureHistory([(S.CREATING, 1.0), (S.FAILED, 2.0)], "ValueError: x")
    view = refreshed(trouble, msgspec.structs.replace(START.summary, state=S.FAILED, history=history))
    assert (view.state, view.error, view.output, view.trouble) == (S.FAILED, "ValueError: x", "kept", None)


def test_the_card_says_all_and_is_safe_to_show():
    evil = "<script>alert(1)</script>"
    view = after(
        Event("user.script.announce", "4", {"msg": evil}, None),
        output(f"\x1b[31m{evil}\x1b[0m\n"),
        Event("procedure.lifecycle.stacktrace", "4", {"stacktrace": f"ValueError: {evil}"}, None),
        entered("FAILED"),
    )
    html, text = card_html(view, 105.0), card_text(view, 105.0)
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") == 3
    assert "\x1b" not in html + text
    for word in ("Procedure 4", "my script.py", "FAILED", "5.0 s"):
        assert word in html
        assert word in text
    assert text.count(evil) == 3


def test_the_card_shows_a_line_that_rewrites_itself_as_it_is_now():
    view = after(*(output(f"\rscan {number}/9") for number in range(10)))
    assert "scan 9/9" in card_html(view, 105.0)
    assert "scan 8/9" not in card_html(view, 105.0)


def test_the_card_shows_the_newest_picture_where_it_may():
    def shown(data):
        return Event("procedure.output.display", "4", {"data": {"image/png": data, "text/plain": "<Figure>"}}, None)

    view = after(shown("iVBO"), shown("iVBP"))
    assert "<img alt='&lt;Figure&gt;' src='data:image/png;base64,iVBP'>" in card_html(view, 105.0)
    assert "iVBO" not in card_html(view, 105.0)
    assert "<img" not in card_html(view, 105.0, picture=False)
    assert "iVBP" in card_html(see(view, shown("A" * 2_000_000), 106.0), 107.0), "one that is too large is not shown"


def test_text_of_a_script_controls_no_terminal():
    evil = "\x1b]52;c;x\x07\x9b2J\u202e"
    view = after(
        Event("user.script.announce", "4", {"msg": evil}, None),
        output(evil),
        Event("procedure.lifecycle.stacktrace", "4", {"stacktrace": f"ValueError: {evil}"}, None),
    )
    assert not has_controls(card_text(view, 105.0).replace("\n", ""))


def test_a_quote_in_a_path_does_not_leave_its_attribute():
    script = FileSystemScript(script_uri="file:///x' onmouseover='alert(1).py")
    view = View(msgspec.structs.replace(START.summary, script=script))
    assert "' onmouseover='" not in card_html(view, 0.0)


def test_a_document_is_a_table_whose_cells_are_text():
    html = document_html(Document([Table(["ID", "State"], [(1, State("READY")), ("<b>", None)]), "<more>"]))
    assert "<td style='text-align:left'>1</td>" in html
    assert ">READY</b>" in html
    assert "&lt;b&gt;" in html
    assert "&lt;more&gt;" in html
    assert "None" not in html


def test_a_pause_is_shown_behind_the_state_until_it_is_over():
    def about(name, **fields):
        return Event(f"procedure.lifecycle.{name}", "4", fields, None)

    asked = after(entered("RUNNING"), about("pausing", at="scan .*", who="alice"))
    assert asked.summary.standing == "RUNNING (pausing at scan .*)"
    waiting = see(asked, about("paused", checkpoint="<scan 1>"), 107.0)
    assert waiting.summary.pause == Pause(105.0, "scan .*", "alice", "<scan 1>", 107.0)
    assert "is RUNNING (paused at <scan 1>)" in card_text(waiting, 108.0)
    assert "RUNNING (paused at &lt;scan 1&gt;)" in card_html(waiting, 108.0)
    for over in (about("resumed", checkpoint="<scan 1>"), about("unpaused", why="main has ended"), entered("STOPPED")):
        assert see(waiting, over, 109.0).summary.pause is None
