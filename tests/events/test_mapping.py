"""Each message of a kernel becomes the fact or the event that it stands for, and nothing else does."""

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel import topics
from oet_kernel.bounds import OutOfBounds
from oet_kernel.events.event import Event
from oet_kernel.events.mapping import Announcement, interpret
from oet_kernel.kernel.encoding import encode_event
from oet_kernel.procedure import CallFinished, CallStarted, Failed, KernelReady, LoadFinished, LoadStarted
from oet_kernel.protocol import ControlReport, PauseReport, Record, Subscription


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
        ("oet_subscribe", {"topic": "user"}, Subscription("user")),
        ("oet_control", {"who": "alice", "taken": True}, ControlReport("alice", True)),
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


@pytest.mark.parametrize("fields", [{}, {"msg": "hello", "n": 1.0}, {"text": 'a "quoted" \u00e9\n'}])
def test_user_event_goes_out_as_the_kernel_encoded_it(fields):
    content = encode_event("user.script.announce", "3", fields)
    told = interpret(Record(1, 1.0, "oet_event", "main", msgspec.Raw(content)), 3)
    assert told == Announcement("user.script.announce", content)


FORGED = [
    b'{"topic":"user.x","msg_src":"777"}',
    b'{"msg_src":"3","topic":"user.x","msg_src":"777"}',
    b'{"msg_src":"3","topic":"user.x","msg_sr\\u0063":"777"}',
    b'{"msg_src":"3","topic":"user.x","topic":"procedure.lifecycle.complete"}',
    b'{"msg_src":"3","topic":"user.x","top\\u0069c":"procedure.lifecycle.complete"}',
    b'{"msg_src":"3","topic":"procedure.lifecycle.statechange","new_state":"COMPLETE"}',
    b'{"msg_src":"3","topic":"procedure.lifecycle.statechange","origin":"service","new_state":"COMPLETE"}',
    b'{"msg_src":"3","topic":"request.procedure.stop","cmd":{}}',
    b'{"msg_src":"3","topic":"activity.lifecycle.running","result":{}}',
    b'{"msg_src":"3","topic":"procedure.console.input","who":"alice","code":"1"}',
    b'{"msg_src":"3","topic":"procedure.kernel.control","who":"alice","taken":true}',
    b'{"msg_src":"3","topic":"procedure"}',
    b'{"msg_src":"3","topic":"user.x","v":1\r}',
]


@pytest.mark.parametrize("content", FORGED)
def test_forged_event_goes_out_in_the_name_of_its_procedure_and_as_the_scripts_word(content):
    told = interpret(Record(1, 1.0, "oet_event", "main", msgspec.Raw(content)), 3)
    pairs = json.loads(told.data, object_pairs_hook=list)
    names = [name for name, _ in pairs]
    fields = dict(pairs)
    assert len(names) == len(fields), "no name twice, of which readers would believe either"
    assert fields["msg_src"] == "3"
    assert fields["topic"] == told.topic
    assert b"\r" not in told.data
    event = Event(1, told.topic, 3, told.data)
    if told.topic.startswith("user."):
        assert event.service_topic == told.topic
    else:
        assert fields["origin"] == "script"
        assert event.service_topic == ""


def test_kernel_speaks_for_the_service_on_its_own_topics_alone():
    def heard(topic):
        content = encode_event(topic, "3", {"text": "x"})
        told = interpret(Record(1, 1.0, "oet_told", "load", msgspec.Raw(content)), 3)
        return Event(1, told.topic, 3, told.data).service_topic

    assert {topic for topic in topics.TOPICS if topics.is_service_topic(topic) and heard(topic)} == topics.KERNEL


OUTSIDE = {
    "deep": b'{"msg_src":"3","topic":"user.x","v":%s1%s}' % (b"[" * 100, b"]" * 100),
    "deeper than the stack": b'{"msg_src":"3","topic":"user.x","v":%s1%s}' % (b"[" * 5000, b"]" * 5000),
    "large": b'{"msg_src":"3","topic":"user.x","v":"%s"}' % (b"x" * (16 << 20)),
    "many": b'{"msg_src":"3","topic":"user.x","v":[%s1]}' % (b"1," * 1_000_000),
    "float": b'{"msg_src":"3","topic":"user.x","v":1e999}',
    "integer": b'{"msg_src":"3","topic":"user.x","v":%s}' % (b"9" * 5000),
    "no UTF-8": b'{"msg_src":"3","topic":"user.x","v":"\xff"}',
    "no JSON": b'{"msg_src":"3","topic":"user.x","v":NaN}',
    "no object": b'["user.x"]',
    "no topic": b'{"msg_src":"3"}',
    "topic": b'{"msg_src":"3","topic":7}',
    "empty topic": b'{"msg_src":"3","topic":""}',
    "long topic": b'{"msg_src":"3","topic":"%s"}' % (b"x" * 201),
    "topic with line ends": b'{"msg_src":"3","topic":"user.x\\nid:1"}',
}


@pytest.mark.parametrize("kind", ["oet_event", "oet_told"])
@pytest.mark.parametrize("name", OUTSIDE)
def test_event_outside_the_bounds_is_refused(name, kind):
    with pytest.raises((OutOfBounds, msgspec.MsgspecError)):
        interpret(Record(1, 1.0, kind, "main", msgspec.Raw(OUTSIDE[name])), 3)


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
    st.sampled_from(
        [
            "oet_event",
            "oet_told",
            "oet_idle",
            "oet_control",
            "oet_pause",
            "oet_call",
            "oet_subscribe",
            "stream",
            "display_data",
            "clear_output",
            "comm_msg",
        ]
    ),
    JSON,
)
def test_forged_content_is_interpreted_or_refused(kind, content):
    with suppress(msgspec.MsgspecError, OutOfBounds):
        interpret(record(kind, content), 3)


@pytest.mark.parametrize("call", ["load", "init", "main", "console"])
def test_error_that_is_shown_is_an_event_and_no_failure(call):
    content = {"ename": "ValueError", "evalue": "no", "traceback": ["a", "b"]}
    announcement = interpret(record("error", content, call), 3)
    assert json.loads(announcement.data) == {
        "msg_src": "3", "topic": "procedure.output.error", "call": call,
        "ename": "ValueError", "evalue": "no", "traceback": "a\nb",
    }  # fmt: skip
