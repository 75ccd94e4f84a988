"""The wire contract of server-sent events, with real kernels: what clients of the original rely on."""

import json

import pytest

from tests.conftest import Listener, serve, until
from tests.wire import FOREVER, NOTHING, SPEAK, start, stop


def test_stream_answers_at_once_with_an_empty_line_and_has_no_event_names(server):
    with Listener(server) as listener:
        assert b"200 OK" in listener.head
        assert b"text/event-stream" in listener.head
        body = listener.body or listener.socket.recv(1)
        assert body[:1] == b"\n"
        listener.body = body[1:]
        pid = server.create(NOTHING)
        frame = next(listener.frames())
        assert frame.split("\n")[0].startswith('data:{"msg_src":')
        assert frame.split("\n")[1].startswith("id:")
        assert "event:" not in frame
    server.until(pid, "READY")
    stop(server, pid)


def test_events_of_a_life_carry_their_source_topic_and_the_request_they_answer(server):
    with Listener(server) as listener:
        events = listener.events()
        pid = server.create(
            "from pubsub import pub\nimport threading\ndef init(**k): pass\ndef main(**k):\n"
            "    pub.sendMessage('user.script.announce', msg_src=threading.current_thread().name, msg='hello')\n",
            subarray_id=45,
        )
        seen = until(events, pid, "READY")
        start(server, pid)
        seen += until(events, pid, "COMPLETE")
        seen.append(next(event for event in events if event["topic"] == "procedure.lifecycle.complete"))
    by_topic = {}
    for event in seen:
        by_topic.setdefault(event["topic"], []).append(event)
    assert [event["new_state"] for event in by_topic["procedure.lifecycle.statechange"]] == [
        "CREATING", "IDLE", "LOADING", "IDLE", "INITIALISING", "READY", "RUNNING", "READY", "COMPLETE",
    ]  # fmt: skip
    assert by_topic["user.script.announce"] == [{"msg_src": str(pid), "topic": "user.script.announce", "msg": "hello"}]
    (create,), (created,) = by_topic["request.procedure.create"], by_topic["procedure.lifecycle.created"]
    assert create["cmd"]["init_args"] == {"args": [], "kwargs": {"subarray_id": 45}}
    assert create["cmd"]["script"]["script_type"] == "filesystem"
    assert created["request_id"] == create["request_id"]
    assert created["result"]["id"] == pid
    assert created["result"]["script_args"] == {"init": {"args": [], "kwargs": {"subarray_id": 45}}}
    (begin,), started = by_topic["request.procedure.start"], by_topic["procedure.lifecycle.started"]
    assert begin["cmd"] == {
        "process_uid": pid, "fn_name": "main", "run_args": {"args": [], "kwargs": {}}, "force_start": False,
    }  # fmt: skip
    assert [event["request_id"] for event in started] == [create["request_id"], begin["request_id"]]
    assert by_topic["procedure.lifecycle.complete"][0]["result"]["state"] == "COMPLETE"
    assert "request.procedure.list" not in by_topic, "a poll is not everybody's traffic"


def test_failure_is_told_with_its_stack_trace(server):
    with Listener(server) as listener:
        events = listener.events()
        pid = server.create("raise ValueError('at import')\ndef main(): pass\n")
        until(events, pid, "FAILED")
        trace, failed = next(events), next(events)
    assert (trace["topic"], trace["msg_src"]) == ("procedure.lifecycle.stacktrace", str(pid))
    assert "ValueError: at import" in trace["stacktrace"]
    assert (failed["topic"], failed["result"]["state"]) == ("procedure.lifecycle.failed", "FAILED")


@pytest.mark.parametrize(
    ("path", "asked", "answered", "field"),
    [
        ("/procedures", "request.procedure.list", "procedure.pool.list", "pids"),
        ("/activities", "request.activity.list", "activity.pool.list", "activity_ids"),
    ],
)
def test_lists_are_events_where_that_is_configured(tmp_path, path, asked, answered, field):
    with serve(tmp_path, "--OetApp.announce_lists=True") as server, Listener(server) as listener:
        server.http.get(path)
        events = listener.events()
        request, answer = next(events), next(events)
    assert (request["topic"], request[field]) == (asked, None)
    assert (answer["topic"], answer["result"]) == (answered, [])
    assert request["request_id"] == answer["request_id"]


def test_stop_without_abort_is_told_with_the_request_it_answers(server):
    with Listener(server) as listener:
        events = listener.events()
        pid = server.create(FOREVER, subarray_id=47)
        until(events, pid, "READY")
        stop(server, pid)
        seen = [*until(events, pid, "STOPPED"), next(events)]
    (request,) = [event for event in seen if event["topic"] == "request.procedure.stop"]
    (stopped,) = [event for event in seen if event["topic"] == "procedure.lifecycle.stopped"]
    assert request["cmd"] == {"process_uid": pid, "run_abort": False}
    assert stopped["request_id"] == request["request_id"]
    assert (stopped["result"]["id"], stopped["result"]["state"]) == (pid, "STOPPED")


def test_output_and_displays_are_events_with_call_and_stream_or_mime_bundle(server):
    with Listener(server) as listener:
        events = listener.events()
        pid = server.create(
            "import sys\nfrom IPython.display import display, HTML\n"
            "def init(): print('from init')\n"
            "def main():\n    print('from main', file=sys.stderr)\n    display(HTML('<b>x</b>'))\n"
        )
        seen = until(events, pid, "READY")
        start(server, pid)
        seen += until(events, pid, "COMPLETE")
    assert [event for event in seen if event["topic"] == "procedure.output.stream"] == [
        {
            "msg_src": str(pid),
            "topic": "procedure.output.stream",
            "call": "init",
            "name": "stdout",
            "text": "from init\n",
        },
        {
            "msg_src": str(pid),
            "topic": "procedure.output.stream",
            "call": "main",
            "name": "stderr",
            "text": "from main\n",
        },
    ]
    (shown,) = [event for event in seen if event["topic"] == "procedure.output.display"]
    assert (shown["msg_src"], shown["call"], shown["data"]["text/html"]) == (str(pid), "main", "<b>x</b>")


TOPIC_FIELDS = {
    "user.script.announce": {"msg": "x"},
    "sb.lifecycle.allocated": {"sb_id": "sb"},
    "sb.lifecycle.observation.started": {"sb_id": "sb"},
    "sb.lifecycle.observation.finished.succeeded": {"sb_id": "sb"},
    "sb.lifecycle.observation.finished.failed": {"sb_id": "sb"},
    "subarray.resources.allocated": {"subarray_id": 1},
    "subarray.resources.deallocated": {"subarray_id": 1},
    "subarray.configured": {"subarray_id": 1},
    "subarray.scan.started": {"subarray_id": 1},
    "subarray.scan.finished": {"subarray_id": 1},
    "subarray.fault": {"subarray_id": 1, "error": "x"},
    "scan.lifecycle.configure.started": {"sb_id": "sb", "scan_id": 1},
    "scan.lifecycle.configure.complete": {"sb_id": "sb", "scan_id": 1},
    "scan.lifecycle.configure.failed": {"sb_id": "sb", "scan_id": 1},
    "scan.lifecycle.start": {"sb_id": "sb"},
    "scan.lifecycle.end.succeeded": {"sb_id": "sb", "scan_id": 1},
    "scan.lifecycle.end.failed": {"sb_id": "sb", "scan_id": 1},
    "a.topic.of.its.own": {"x": [1, {"y": None}]},
}


def test_every_topic_that_a_script_publishes_goes_out_as_it_is_with_the_procedure_as_its_source(server):
    with Listener(server) as listener:
        events = listener.events()
        pid = server.create(
            "import json\nfrom pubsub import pub\n"
            f"EVENTS = json.loads('''{json.dumps(TOPIC_FIELDS)}''')\n"
            "def main():\n    for topic, fields in EVENTS.items():\n"
            "        pub.sendMessage(topic, msg_src='somebody-else', **fields)\n"
            "        pub.sendMessage(topic, **fields)\n"
        )
        until(events, pid, "READY")
        start(server, pid)
        seen = until(events, pid, "COMPLETE")
    told = [event for event in seen if event["topic"] in TOPIC_FIELDS]
    expected = [{"msg_src": str(pid), "topic": topic, **fields} for topic, fields in TOPIC_FIELDS.items()]
    assert told == [event for event in expected for _ in range(2)]


def test_what_others_publish_reaches_a_scripts_own_listeners_and_does_not_loop(server):
    with Listener(server) as listener:
        events = listener.events()
        hearer = server.create(
            "from pubsub import pub\nimport threading\nheard = threading.Event()\n"
            "def listen(msg_src, msg):\n    print('heard', msg, 'from', msg_src)\n    heard.set()\n"
            "def init(**k): pub.subscribe(listen, 'user.script.announce')\ndef main(**k): heard.wait(20)\n",
            subarray_id=46,
        )
        until(events, hearer, "READY")
        start(server, hearer)
        until(events, hearer, "RUNNING")
        speaker = server.create(f"{SPEAK}{NOTHING}")
        seen = until(events, hearer, "COMPLETE")
    assert f"heard hi from {speaker}\n" in [event.get("text") for event in seen]
    assert len([event for event in seen if event["topic"] == "user.script.announce"]) == 1
    server.until(speaker, "READY")
    stop(server, speaker)
