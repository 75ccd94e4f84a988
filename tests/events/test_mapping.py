"""Each message of a kernel becomes the fact or the event that it stands for, and nothing else does."""

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.events.mapping import Announcement, Control, Interest, Record, interpret
from oet_kernel.kernel.checkpoints import PauseReport
from oet_kernel.procedure import CallFinished, CallStarted, Failed, KernelReady, LoadFinished, LoadStarted


def record(kind, content, call="main"):
    return Record(1, 5.0, kind, call, msgspec.Raw(json.dumps(content).encode()))


@pytest.mark.parametrize(
    ("kind", "content", "fact"),
    [
        ("oet_kernel", {"phase": "ready"}, KernelReady(5.0)),
        ("oet_call", {"call": "load", "phase": "started"}, LoadStarted(5.0)),
        ("oet_call", {"call": "load", "phase": "finished", "has_init": True}, LoadFinished(5.0, True)),
        ("oet_call", {"call": "init", "phase": "started"}, CallStarted(5.0, "init")),
        ("oet_call", {"call": "main", "phase": "finished"}, CallFinished(5.0, "main")),
        ("oet_call", {"call": "main", "phase": "failed", "stacktrace": "trace"}, Failed(5.0, "trace")),
        ("oet_call", {"call": "main", "phase": "dreamt"}, None),
        ("oet_call", {"call": "main", "phase": "failed", "stacktrace": "t", "quiet": True}, Failed(5.0, "t", True)),
        ("oet_subscribe", {"topic": "user"}, Interest("user")),
        ("oet_control", {"who": "alice", "taken": True}, Control("alice", True)),
        ("oet_pause", {"phase": "pausing", "answers": "a"}, PauseReport("pausing", answers="a")),
        ("oet_pause", {"phase": "paused", "checkpoint": "scan 1"}, PauseReport("paused", checkpoint="scan 1")),
        ("execute_input", {"code": "1", "execution_count": 1}, None),
        ("status", {"execution_state": "busy"}, None),
        ("comm_open", {}, None),
        ("comm_open", {"comm_id": "a", "data": None}, None),
        ("comm_msg", {"comm_id": "a", "data": {"method": "custom", "content": {}}}, None),
        ("comm_close", {"comm_id": "a", "data": {}}, None),
    ],
)
def test_message_becomes_what_it_stands_for(kind, content, fact):
    assert interpret(record(kind, content), 3) == fact


def test_user_event_goes_out_as_the_kernel_encoded_it():
    content = {"topic": "user.script.announce", "msg_src": "3", "msg": "hello", "n": 1.0}
    announcement = interpret(record("oet_event", content), 3)
    assert announcement == Announcement("user.script.announce", json.dumps(content).encode())


def test_output_carries_its_call_and_stream():
    announcement = interpret(record("stream", {"name": "stderr", "text": "x\n"}, "init"), 3)
    assert announcement.topic == "procedure.output.stream"
    assert json.loads(announcement.data) == {
        "msg_src": "3", "topic": "procedure.output.stream", "call": "init", "name": "stderr", "text": "x\n",
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "count"), [("display_data", {}), ("execute_result", {"execution_count": 7})])
def test_display_carries_its_mime_bundle_and_a_result_its_number(kind, count):
    content = {"data": {"text/plain": "x", "image/png": "..."}, "metadata": {"m": 1}, "transient": {}, **count}
    announcement = interpret(record(kind, content), 3)
    assert json.loads(announcement.data) == {
        "msg_src": "3", "topic": "procedure.output.display", "call": "main",
        "data": {"text/plain": "x", "image/png": "..."}, "metadata": {"m": 1}, **count,
    }  # fmt: skip


def test_display_that_can_be_updated_carries_its_id_and_an_update_says_that_it_is_one():
    content = {"data": {}, "metadata": {}, "transient": {"display_id": "a"}}
    shown, updated = (
        json.loads(interpret(record(kind, content), 3).data) for kind in ("display_data", "update_display_data")
    )
    assert (shown["display_id"], "update" in shown) == ("a", False)
    assert (updated["display_id"], updated["update"]) == ("a", True)


@pytest.mark.parametrize(
    ("given", "told"), [(72, "72"), (0, "0"), (1.5, "1.5"), (False, "false"), ([1], "[1]"), ({"a": 1}, '{"a":1}')]
)
def test_display_id_of_any_type_is_told_as_text(given, told):
    content = {"data": {}, "metadata": {}, "transient": {"display_id": given}}
    assert json.loads(interpret(record("display_data", content), 3).data)["display_id"] == told


@pytest.mark.parametrize("kind", ["comm_open", "comm_msg"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"data": {"state": {"value": 3}}}, {"state": {"value": 3}}),
        ({"data": {"state": {}, "buffer_paths": []}, "buffers": []}, {"state": {}}),
        (
            {"data": {"state": {}, "buffer_paths": [["value"], ["a", 0]]}, "buffers": ["YWJj", "eA=="]},
            {"state": {}, "buffers": [{"path": ["value"], "data": "YWJj"}, {"path": ["a", 0], "data": "eA=="}]},
        ),
    ],
)
def test_state_of_a_widget_is_told(kind, content, told):
    announcement = interpret(record(kind, {"comm_id": "m", **content}), 3)
    assert json.loads(announcement.data) == {
        "msg_src": "3", "topic": "procedure.output.widget", "call": "main", "model_id": "m", **told,
    }  # fmt: skip


@pytest.mark.parametrize("wait", [True, False])
def test_clearing_of_output_is_told(wait):
    announcement = interpret(record("clear_output", {"wait": wait}), 3)
    assert json.loads(announcement.data) == {
        "msg_src": "3", "topic": "procedure.output.clear", "call": "main", "wait": wait,
    }  # fmt: skip


JSON = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    st.sampled_from(["oet_event", "oet_call", "oet_subscribe", "stream", "display_data", "clear_output", "comm_msg"]),
    JSON,
)
def test_forged_content_is_interpreted_or_refused(kind, content):
    with suppress(msgspec.MsgspecError):
        interpret(record(kind, content), 3)


@pytest.mark.parametrize("call", ["load", "init", "main", "console"])
def test_error_that_is_shown_is_an_event_and_no_failure(call):
    content = {"ename": "ValueError", "evalue": "no", "traceback": ["a", "b"]}
    announcement = interpret(record("error", content, call), 3)
    assert json.loads(announcement.data) == {
        "msg_src": "3", "topic": "procedure.output.error", "call": call,
        "ename": "ValueError", "evalue": "no", "traceback": "a\nb",
    }  # fmt: skip
