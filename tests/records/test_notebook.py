"""A record is a valid notebook that shows what happened, whatever was said."""

import base64
import json

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbconvert.exporters import HTMLExporter, ScriptExporter

from oet_kernel import topics
from oet_kernel.events.event import Event
from oet_kernel.models import GitArgs, GitScript, ProcedureInput, ProcedureState
from oet_kernel.records import About, Recorder, build
from oet_kernel.records.page import to_html
from oet_kernel.records.parts import encode
from tests.records.conftest import SCRIPT, Script, outputs_of, summary_in

ABOUT = About(service="oet-kernel 1", events="http://test/procedures/3/events")
GOOD = ("CREATING", "IDLE", "LOADING", "IDLE", "INITIALISING", "READY", "RUNNING", "READY", "COMPLETE")
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()


def record(said, *states, about=ABOUT, **given):
    notebook = build(summary_in(*(states or GOOD), **given), said.events, about)
    nbformat.validate(notebook)
    return notebook


def test_run_has_a_cell_for_the_script_and_one_for_each_call(script):
    script.enter("CREATING", "IDLE", "LOADING")
    script.load()
    script.enter("IDLE", "INITIALISING", "READY", "RUNNING", "READY", "COMPLETE")
    cells = record(script).cells
    assert [(one.cell_type, one.id) for one in cells] == [
        ("markdown", "heading"), ("code", "load"), ("code", "init"), ("code", "main"),
        ("markdown", "events"), ("markdown", "states"),
    ]  # fmt: skip
    code = [one for one in cells if one.cell_type == "code"]
    assert [one.source for one in code] == [SCRIPT, "init(subarray_id=1)", "await main(2)"]
    assert [one.execution_count for one in code] == [1, 2, 3]


def test_heading_tells_what_was_run_by_whom_where_and_how_it_ended(script):
    script.load()
    about = About(service="oet-kernel 1")
    heading = record(script, "CREATING", "FAILED", about=about, stacktrace="Traceback:\nValueError: no <b>").cells[0]
    for told in ("observe.py", "FAILED", "init(subarray_id=1)", "main(2)", "ab" * 32, "c" * 40, "dish7", "astro",
                 "3.11.7", "ipykernel 7.4.0", "helpers (no version)", "oet-kernel 1", "after 1.000 s",
                 "2020-09-13 12:26:40.000 UTC", "ValueError: no &lt;b&gt;"):  # fmt: skip
        assert told in heading.source


def test_repository_is_told_without_its_password(script):
    git = GitScript(
        script_uri="git://a/b.py", git_args=GitArgs(git_repo="https://me:secret@example.org/r.git", git_branch="main")
    )
    notebook = record(script, script=git)
    assert "https://***@example.org/r.git" in notebook.cells[0].source
    assert "secret" not in nbformat.writes(notebook)


def test_outputs_stand_in_their_cells_in_order_and_adjacent_text_is_joined(script):
    script.write("load\n", call="load")
    script.write("init\n", call="init")
    for name in ("stdout", "stdout", "stderr", "stdout"):
        script.write(f"{name} ✓ \x1b[31mred\x1b[0m\r\n", name)
    script.show({"image/png": PNG, "text/plain": "<Figure>"})
    script.write("after\n")
    notebook = record(script)
    assert [one.text for one in outputs_of(notebook, "load")] == ["load\n"]
    assert [one.text for one in outputs_of(notebook, "init")] == ["init\n"]
    line = "{} ✓ \x1b[31mred\x1b[0m\r\n"
    assert [dict(one) for one in outputs_of(notebook, "main")] == [
        {"output_type": "stream", "name": "stdout", "text": line.format("stdout") * 2},
        {"output_type": "stream", "name": "stderr", "text": line.format("stderr")},
        {"output_type": "stream", "name": "stdout", "text": line.format("stdout")},
        {"output_type": "display_data", "data": {"image/png": PNG, "text/plain": "<Figure>"}, "metadata": {}},
        {"output_type": "stream", "name": "stdout", "text": "after\n"},
    ]


def test_log_of_the_environment_stands_in_front_of_the_loading(script):
    script.say(topics.ENVIRONMENT_LOG, text="Collecting numpy")
    script.write("loaded\n", call="load")
    (output,) = outputs_of(record(script), "load")
    assert output.text == "Collecting numpy\nloaded\n"


@pytest.mark.parametrize(
    ("states", "cell"),
    [
        (("CREATING", "FAILED"), "load"),
        (("CREATING", "IDLE", "LOADING", "FAILED"), "load"),
        (("CREATING", "IDLE", "LOADING", "IDLE", "INITIALISING", "FAILED"), "init"),
        (("CREATING", "IDLE", "LOADING", "IDLE", "READY", "RUNNING", "FAILED"), "main"),
    ],
)
def test_error_is_the_last_output_of_the_call_that_raised_it(script, states, cell):
    trace = 'Traceback (most recent call last):\n  File "observe.py", line 1\nmy.ValueError: bad: value\n'
    script.enter(*states)
    script.say(topics.STACKTRACE, stacktrace=trace)
    notebook = record(script, *states, stacktrace=trace)
    error = outputs_of(notebook, cell)[-1]
    assert (error.output_type, error.ename, error.evalue) == ("error", "ValueError", "bad: value")
    assert "\n".join(error.traceback) == trace.rstrip()


def test_stop_interrupts_the_call_that_was_running(script):
    script.enter("CREATING", "IDLE", "LOADING", "IDLE", "READY", "RUNNING")
    script.write("working\n")
    script.enter("STOPPED")
    script.write("last words\n")
    outputs = outputs_of(record(script, "CREATING", "RUNNING", "STOPPED"), "main")
    assert [one.output_type for one in outputs] == ["stream", "error", "stream"]
    assert (outputs[1].ename, outputs[1].evalue) == ("Stopped", "on request")


def test_stop_while_nothing_ran_is_no_error_of_any_cell(script):
    script.enter("CREATING", "IDLE", "LOADING", "IDLE", "READY", "STOPPED")
    notebook = record(script, "CREATING", "READY", "STOPPED", script_args={"init": ProcedureInput()})
    assert [one.id for one in notebook.cells] == ["heading", "load", "events", "states"]
    assert outputs_of(notebook, "load") == []


def test_what_is_said_after_the_end_is_in_the_record(script):
    script.enter("RUNNING", "READY", "COMPLETE")
    script.write("at exit\n")
    script.say("user.script.announce", msg="goodbye")
    notebook = record(script)
    assert outputs_of(notebook, "main")[0].text == "at exit\n"
    assert "goodbye" in notebook.cells[-2].source


def test_output_beyond_the_limit_is_cut_and_the_record_says_where_all_of_it_is(script):
    recorder = Recorder(limit=10_000)
    for _ in range(1000):
        script.write("x" * 99 + "\n")
    script.show({"text/plain": "late"})
    script.enter("RUNNING")
    script.say(topics.STACKTRACE, stacktrace="ValueError: at the end")
    for event in script.events:
        recorder.add(event)
    notebook = recorder.notebook(summary_in(*GOOD), ABOUT)
    nbformat.validate(notebook)
    kept, late, error = outputs_of(notebook, "main")
    assert 5_000 < len(kept.text) <= 10_000
    (notice,) = [line for line in kept.text.split("\n") if line.strip("x")]
    assert "http://test/procedures/3/events" in notice
    assert late.data == {"text/plain": "late"}
    assert error.ename == "ValueError"


def test_events_that_come_twice_count_once(script):
    script.write("a\n")
    script.write("b\n")
    assert outputs_of(build(summary_in(*GOOD), [*script.events, *script.events], ABOUT), "main")[0].text == "a\nb\n"


def test_first_word_on_the_script_counts_since_no_script_has_run_before_it(script):
    script.load()
    script.load(source="forged = True\n")
    assert record(script).cells[1].source == SCRIPT


def test_script_that_is_not_there_or_too_long_is_told_of(script):
    assert "not loaded" in record(script).cells[1].source
    script.load(source=None)
    assert "too long" in record(script).cells[1].source


def test_cells_tell_when_they_ran_as_jupyterlab_does(script):
    timing = record(script).cells[1].metadata.execution
    assert timing == {
        "iopub.execute_input": "2020-09-13T12:26:42.000Z",
        "shell.execute_reply": "2020-09-13T12:26:43.000Z",
    }


def test_programs_find_the_summary_in_the_metadata(script):
    script.write("x")
    oet = record(script).metadata.oet
    assert (oet.procedure.id, oet.procedure.state, oet.last_event) == (3, "COMPLETE", 1)


def test_same_run_gives_the_same_bytes(script):
    script.load()
    script.write("x")

    def once():
        recorder = Recorder()
        for event in script.events:
            recorder.add(event)
        return encode(recorder.content(summary_in(*GOOD), ABOUT))

    assert once() == once()


def test_file_is_read_by_nbformat_as_it_was_written(script):
    script.load()
    script.write("é\u2028\x00 \ufffe")
    recorder = Recorder()
    for event in script.events:
        recorder.add(event)
    content = recorder.content(summary_in(*GOOD), ABOUT)
    read = nbformat.reads(encode(content).decode(), as_version=nbformat.NO_CONVERT)
    nbformat.validate(read)
    assert json.loads(json.dumps(read)) == json.loads(json.dumps(content))


def test_record_converts_to_a_page_that_shows_it(script):
    script.load()
    script.write("plain \x1b[31mred\x1b[0m ✓\n")
    script.show({"image/png": PNG, "text/plain": "<Figure>"})
    script.say("user.script.announce", msg="<b>bold</b>")
    script.enter("RUNNING")
    script.say(topics.STACKTRACE, stacktrace="Traceback (most recent call last):\nValueError: <i>x</i>")
    page = to_html(nbformat.writes(record(script)).encode(), "Procedure 3").decode()
    assert f"data:image/png;base64,{PNG}" in page
    assert 'class="ansi-red-fg">red</span> ✓' in page
    assert "<b>bold</b>" not in page
    assert "<i>x</i>" not in page
    assert "&lt;i&gt;x&lt;/i&gt;" in page
    assert "<td>Script</td>" in page
    assert "<title>Procedure 3</title>" in page


def test_record_converts_to_a_script_that_makes_the_same_calls(script):
    script.enter(*GOOD)
    script.load()
    text, _ = ScriptExporter().from_notebook_node(record(script))
    assert "init(subarray_id=1)" in text
    assert "await main(2)" in text
    compile(text, "record", "exec", flags=0x2000)  # a notebook's cells may await (ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


# --- whatever is said

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
MIME = st.sampled_from(["text/plain", "text/html", "image/png", "application/json", "application/vnd.x+json", "", "x"])
CALL = st.sampled_from(["load", "init", "main", None, "else"]) | JSON
DISPLAY_ID = st.sampled_from(["a", "b"])
WELL_FORMED = st.one_of(
    st.tuples(
        st.just(topics.OUTPUT_STREAM),
        st.fixed_dictionaries({"call": CALL, "name": st.sampled_from(["stdout", "stderr"]), "text": TEXT}),
    ),
    st.tuples(
        st.just(topics.OUTPUT_DISPLAY),
        st.fixed_dictionaries(
            {"call": CALL, "data": st.dictionaries(MIME, JSON), "metadata": st.dictionaries(TEXT, JSON)},
            optional={"display_id": DISPLAY_ID, "update": st.booleans()},
        ),
    ),
    st.tuples(st.just(topics.OUTPUT_CLEAR), st.fixed_dictionaries({"call": CALL, "wait": st.booleans()})),
    st.tuples(st.just(topics.STATECHANGE), st.fixed_dictionaries({"new_state": st.sampled_from(list(ProcedureState))})),
    st.tuples(st.just(topics.STACKTRACE), st.fixed_dictionaries({"stacktrace": TEXT})),
    st.tuples(st.just("user.x"), st.dictionaries(TEXT, JSON)),
)
ANYTHING = st.tuples(
    st.sampled_from([*topics.TOPICS, "user.x", ""]),
    st.dictionaries(
        st.sampled_from(["call", "name", "text", "data", "metadata", "wait", "display_id", "update", "new_state",
                         "stacktrace", "source", "packages", "python", "commit", "sha256", "number", "id", "model_id",
                         "state", "buffers", "execution_count", "code", "who", "prompt", "ename", "evalue", "traceback",
                         "type", "value"]),
        JSON,
    ),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(WELL_FORMED | ANYTHING, max_size=25), st.integers(0, 3000), st.sampled_from(GOOD))
def test_whatever_is_said_the_record_is_a_valid_notebook(said, limit, state):
    script = Script()
    for topic, fields in said:
        script.say(topic, **{k: v for k, v in fields.items() if k not in ("topic", "self")})
    recorder = Recorder(limit)
    for event in script.events:
        recorder.add(event)
    notebook = recorder.notebook(summary_in(state), ABOUT)
    nbformat.validate(notebook)
    nbformat.validate(nbformat.reads(encode(dict(notebook)).decode(), as_version=nbformat.NO_CONVERT))


@given(st.binary(max_size=30), st.sampled_from([*topics.TOPICS, "user.x"]))
def test_event_that_cannot_be_read_spoils_nothing(data, topic):
    recorder = Recorder()
    recorder.add(Event(1, topic, 3, data, 0.0))
    nbformat.validate(recorder.notebook(summary_in(*GOOD), ABOUT))


def test_page_of_an_odd_record_can_be_made():
    script = Script()
    script.write("\x00\x1b[999m\x1b[38;5;1m\r\x08</pre>")
    script.show({"text/html": "<p>html</p>", "text/latex": "$x$"})
    script.say("user.x", **{"</code>": "\x00\x1b\n\n<table>"})
    page, _ = HTMLExporter().from_notebook_node(build(summary_in(*GOOD), script.events, ABOUT))
    assert "<p>html</p>" in page
