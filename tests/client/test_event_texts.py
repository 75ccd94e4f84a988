"""Events print one line each, in the words that users know."""

import pytest

from oet_kernel.client import Event
from oet_kernel.client.event_texts import Preparations, concerns, describe, marked, owner
from oet_kernel.topics import TOPICS

SUMMARY = {
    "id": 4,
    "script": {"script_type": "filesystem", "script_uri": "file:///x.py"},
    "script_args": {"init": {"args": [], "kwargs": {"subarray_id": 3}}},
}
STOP = {"process_uid": 2, "run_abort": False}
CREATE = {"script": SUMMARY["script"], "init_args": {"args": [], "kwargs": {"subarray_id": 1}}}


def event(topic, **fields):
    return Event(topic, "4", fields, None)


@pytest.mark.parametrize(
    ("topic", "fields", "text"),
    [
        ("user.script.announce", {"msg": "hello"}, "- Script message: hello"),
        ("subarray.scan.started", {"subarray_id": 1}, "- Subarray 1: scan started"),
        ("request.procedure.create", {"cmd": CREATE}, "- User request: prepare file:///x.py for execution on subarray 1"),  # noqa: E501
        ("request.procedure.start", {"cmd": {"process_uid": 1}}, "- User request: start execution of process #1"),
        ("request.procedure.stop", {"cmd": STOP | {"run_abort": True}}, "- User request: stop procedure #2 with abort"),
        ("request.procedure.stop", {"cmd": STOP}, "- User request: stop procedure #2 with no abort"),
        ("request.procedure.list", {"pids": None}, "- User request to list all the procedures is received"),
        ("procedure.pool.list", {"result": []}, "- Enumerating current procedures and status"),
        ("procedure.lifecycle.created", {"result": SUMMARY}, "- Procedure 4 (file:///x.py) created for subarray 3"),
        ("procedure.lifecycle.started", {"result": SUMMARY}, "- Procedure 4 (file:///x.py) started execution on subarray 3"),  # noqa: E501
        ("procedure.lifecycle.started", {"result": SUMMARY | {"state": "INITIALISING"}}, "- Procedure 4 (file:///x.py) initialising on subarray 3"),  # noqa: E501
        ("procedure.lifecycle.stopped", {"result": [SUMMARY]}, "- Procedure 4 (file:///x.py) execution stopped on subarray 3"),  # noqa: E501
        ("procedure.lifecycle.statechange", {"new_state": "READY"}, None),
        ("request.procedure.pause", {"cmd": {"process_uid": 2, "at": None}}, "- User request: pause procedure #2"),
        ("request.procedure.pause", {"cmd": {"process_uid": 2, "at": "b"}}, "- User request: pause procedure #2 at b"),
        ("request.procedure.resume", {"cmd": {"process_uid": 2}}, "- User request: resume procedure #2"),
        ("procedure.lifecycle.pausing", {"at": None}, "- Procedure 4 will pause at its next checkpoint"),
        ("procedure.lifecycle.pausing", {"at": "scan *"}, "- Procedure 4 will pause at scan *"),
        ("procedure.lifecycle.paused", {"checkpoint": "scan 1"}, "- Procedure 4 is paused at scan 1"),
        ("procedure.lifecycle.resumed", {"checkpoint": "scan 1"}, "- Procedure 4 resumed from scan 1"),
        ("procedure.lifecycle.resumed", {"checkpoint": "b", "who": "bob"}, "- Procedure 4 resumed from b (asked by bob)"),  # noqa: E501
        ("procedure.lifecycle.resumed", {"checkpoint": None}, "- Procedure 4 resumed"),
        ("procedure.lifecycle.unpaused", {"why": "main has ended"}, "- Procedure 4 is no longer paused: main has ended"),  # noqa: E501
        ("procedure.output.display", {"data": {"text/plain": "<Figure>"}}, "- Display: <Figure>"),
        ("procedure.cell.started", {"number": 3, "count": 10, "source": None}, "- [cell 3/10]"),
        ("procedure.cell.started", {"number": 3, "count": 10, "source": "n = 1"}, "- [cell 3/10], arguments"),
        ("procedure.cell.failed", {"number": 3, "count": 10, "stacktrace": "x\nValueError: y\n"}, "- [cell 3/10] failed: ValueError: y"),  # noqa: E501
        ("procedure.cell.finished", {"number": 3, "count": 10}, None),
        ("my.own", {"a": 1, "b": "x"}, "- my.own: a=1, b=x"),
        ("user.script.announce", {"other": 1}, "- user.script.announce: {'other': 1}"),
    ],
)  # fmt: skip
def test_event_in_words(topic, fields, text):
    assert describe(event(topic, **fields)) == text


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_of_the_catalogue_can_be_printed_whatever_it_holds(topic):
    for value in ("x", 1, None, {}, [], SUMMARY, [SUMMARY]):
        fields = [field for field in TOPICS[topic].__struct_fields__ if field != "msg_src"]
        describe(event(topic, **dict.fromkeys(fields, value)))
    describe(event(topic))


@pytest.mark.parametrize(
    ("fields", "about"),
    [({"result": SUMMARY}, True), ({"result": [SUMMARY]}, True), ({"result": []}, False), ({"result": "x"}, False)],
)
def test_event_is_known_to_be_about_a_procedure(fields, about):
    assert concerns(Event("t", "SESWorker", fields, None), 4) is about
    assert concerns(Event("t", "4", {}, None), 4)


READY = "- Procedure 4 ready for execution"


@pytest.mark.parametrize(
    ("states", "texts"),
    [
        (["CREATING", "IDLE", "LOADING", "IDLE", "INITIALISING", "READY"], [None] * 5 + [READY]),
        (["IDLE", "READY", "RUNNING", "READY", "COMPLETE"], [None, READY, None, None, None]),
        (["LOADING", "FAILED", "READY"], [None] * 3),
        (["RUNNING", "READY", "COMPLETE"], [None] * 3),
        (["READY"], [None]),
        ([None, 7, "BETTER"], [None] * 3),
    ],
)
def test_procedure_is_called_ready_at_the_end_of_its_preparation_alone(states, texts):
    preparations = Preparations()
    heard = [event("procedure.lifecycle.statechange", new_state=state) for state in states]
    assert [preparations.describe(one) for one in heard] == texts


def test_script_that_says_that_it_is_ready_is_not_believed():
    preparations = Preparations()
    told = {"new_state": "LOADING", "origin": "script"}
    assert preparations.describe(event("procedure.lifecycle.statechange", **told)) is None
    assert preparations.describe(event("procedure.lifecycle.statechange", new_state="READY")) is None


@pytest.mark.parametrize(
    ("text", "begins", "out"),
    [
        ("", False, ""),
        ("a", True, "[4] a"),
        ("a\n", True, "[4] a\n"),
        ("b\nc", False, "b\n[4] c"),
        ("\n\n", True, "[4] \n[4] \n"),
    ],
)
def test_each_line_of_a_procedure_has_its_mark(text, begins, out):
    assert marked(text, owner(event("t")), begins) == out
    assert owner(Event("t", "SESWorker", {}, None)) == ""


@pytest.mark.parametrize("calls", [{}, {"init": {}}, {"init": {"kwargs": None}}, {"init": {"args": [1]}}])
def test_calls_without_keywords_name_no_subarray(calls):
    assert describe(event("procedure.lifecycle.created", result=SUMMARY | {"script_args": calls})).endswith(
        "created for subarray unspecified"
    )
