"""The description of the events is valid, complete, and true of the events that go out."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from jsonschema import Draft7Validator
from jsonschema.validators import validator_for

from oet_kernel import topics
from oet_kernel.events.mapping import interpret
from oet_kernel.events.sse import Decoder
from oet_kernel.models import USER, Connection
from oet_kernel.protocol import Record
from oet_kernel.server.handlers.about import document
from oet_kernel.topics import TOPICS
from oet_kernel.topics.notices import NOTICES
from tests.conftest import DEADLINE, serve
from tests.guests import attached
from tests.ipynb import TEXT, notebook

OF_ASYNCAPI = Path(__file__).parents[2] / "recorded" / "asyncapi-3.0.0.json"

TELESCOPE = {topic: record for topic, record in TOPICS.items() if not topics.is_service_topic(topic)}
VALUES = {"sb_id": "sbi-1", "subarray_id": 1, "scan_id": 2, "error": "no signal", "msg": "hello"}
OBSERVE = f"""
import sys
from oet_kernel.api import checkpoint, publish
def init(**kwargs): print("prepared", file=sys.stderr)
def main(wait=False):
    for topic, names in {[(topic, record.__struct_fields__[1:]) for topic, record in TELESCOPE.items()]!r}:
        publish(topic, **{{name: {VALUES!r}[name] for name in names}})
    checkpoint("scan 1")
    return {{"beams": [1, 2]}}
"""
FAIL = "def init(**kwargs): pass\ndef main(): raise ValueError('no beam')\n"
CELLS = notebook(
    (TEXT, "# A scan"), ("parameters", "beam = 1"), ("raises-exception", "1 / 0"), ("", "print(beam)"), ("", "1 / 0")
)
LAST = topics.ACTIVITY_LIST
"""Topic of the last event of the run."""


def events():
    return document("asyncapi.yaml")


def closed(schema):
    """Return a schema that admits no field that it does not describe."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"additionalProperties": False} if "properties" in schema and schema.get("type") == "object" else {}
    return {**more, **{name: closed(value) for name, value in schema.items()}}


def faults(event):
    """Return the errors of an event on a topic of the catalogue, by the schema of its message."""
    (message,) = [one for one in events()["components"]["messages"].values() if one["name"] == event["topic"]]
    schema = {"allOf": [message["payload"]], "components": closed({"schemas": events()["components"]["schemas"]})}
    errors = Draft7Validator(schema).iter_errors(event)
    return [f"{event['topic']}: {error.json_path}: {error.message}" for error in errors]


def test_description_is_valid_asyncapi_3_0():
    schema = json.loads(OF_ASYNCAPI.read_text())
    assert events()["asyncapi"] == "3.0.0"
    assert [error.message for error in validator_for(schema)(schema).iter_errors(events())] == []


def test_schemas_of_the_description_are_valid_and_refer_to_what_is_there():
    def references(value):
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            value = list(value.values())
        if isinstance(value, list):
            for one in value:
                yield from references(one)

    for reference in references(events()):
        found = events()
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
    for schema in events()["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)


def test_description_has_every_topic_and_notice_and_no_other():
    described = {one["name"] for one in events()["components"]["messages"].values()}
    assert described == {*TOPICS, *(notice.event for notice in NOTICES), "other"}
    assert set(events()["channels"]["stream"]["messages"]) == set(events()["components"]["messages"])


def test_every_field_of_every_record_is_described():
    schemas = events()["components"]["schemas"] | document("openapi.yaml")["components"]["schemas"]
    fields = {
        f"{name}.{field}": schema
        for name, one in schemas.items()
        if not name.startswith("One")
        for field, schema in one.get("properties", {}).items()
    }
    assert [name for name, schema in fields.items() if not {"description", "const"} & schema.keys()] == []


def test_description_is_served_with_the_root_it_was_asked_at(server):
    described = server.http.get("/asyncapi.json").json()
    url = urlsplit(server.url)
    service = described["servers"]["service"]
    assert (service["protocol"], service["pathname"]) == (url.scheme, url.path)
    assert service["host"] == f"{server.http.base_url.host}:{url.port}"
    assert described["channels"] == events()["channels"]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("stream", {"name": "stdout", "text": "x\n"}),
        ("display_data", {"data": {"text/plain": "x"}, "metadata": {}}),
        ("display_data", {"data": {"text/plain": "x"}, "metadata": {}, "transient": {"display_id": "a"}}),
        ("update_display_data", {"data": {"text/plain": "x"}, "metadata": {}, "transient": {"display_id": 7}}),
        ("execute_result", {"data": {"text/plain": "x"}, "metadata": {}, "execution_count": 3}),
        ("execute_result", {"data": {"text/plain": "x"}, "metadata": {}}),
        ("clear_output", {"wait": True}),
        ("error", {"ename": "ValueError", "evalue": "x", "traceback": ["a", "b"]}),
        ("comm_open", {"comm_id": "a", "data": {"state": {"value": 1}}}),
        ("comm_msg", {"comm_id": "a", "data": {"state": {}, "buffer_paths": [["image", 0]]}, "buffers": ["AAAA"]}),
    ],
)
@pytest.mark.parametrize("call", ["main", None])
def test_output_of_a_kernel_is_as_described(kind, content, call):
    told = interpret(Record(1, 5.0, kind, call, msgspec.Raw(json.dumps(content).encode())), 3)
    assert faults(json.loads(told.data)) == []


@pytest.mark.parametrize(
    "event",
    [
        {"topic": topics.STATECHANGE, "msg_src": "1", "new_state": "PAUSED"},
        {"topic": topics.STATECHANGE, "msg_src": "1"},
        {"topic": topics.STATECHANGE, "msg_src": "1", "new_state": "READY", "old_state": "IDLE"},
        {"topic": topics.CELL_FINISHED, "msg_src": "1", "call": 1, "id": "a", "number": 1, "count": 1, "tags": []},
        {"topic": topics.CREATED, "msg_src": "1", "request_id": 1.0, "result": {"id": 1}},
    ],
)
def test_event_of_another_form_is_not_as_described(event):
    assert faults(event)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """All events of a night: runs, a pause, a failure, an aborting stop, a notebook, a console, an activity, lists."""
    folder = tmp_path_factory.mktemp("night")
    abort, archive, script = folder / "abort.py", folder / "archive", folder / "observe.py"
    abort.write_text("def main(): print('aborting')\n")
    script.write_text("def main(sb_json, sbi_id): pass\n")
    archive.mkdir()
    block = {"sbd_id": "sbd-1", "activities": {"observe": {"kind": "filesystem", "path": str(script)}}}
    (archive / "sbd-1.json").write_text(json.dumps(block))
    options = (f"--abort-script={abort}", f"--archive={archive}", "--OetApp.announce_lists=True")
    with serve(folder / "server", *options) as server:
        observed = server.create(OBSERVE, subarray_id=1)
        server.until(observed, "READY")
        server.http.post(f"/procedures/{observed}/pause", json={"at": "scan *"})
        run(server, observed)
        wait_for(server, topics.PAUSED)
        server.http.post(f"/procedures/{observed}/resume", headers={USER: "alice"})
        server.until(observed)

        failed = server.create(FAIL, subarray_id=2)
        server.until(failed, "READY")
        server.http.post(f"/procedures/{failed}/pause")
        run(server, failed)
        server.until(failed)

        stopped = server.create("def init(**kwargs): pass\ndef main(): pass\n", subarray_id=3)
        server.until(stopped, "READY")
        path = f"/procedures/{stopped}/kernel"
        connection = server.http.put(path, json={"control": True}, headers={USER: "alice"}).json()["kernel"][
            "connection"
        ]
        with attached(Connection(**connection)) as guest:
            guest.execute("input('beam? ')", lambda prompt: "7")
        server.http.put(path, json={"control": False})
        server.http.put(f"/procedures/{stopped}", json={"state": "STOPPED", "abort": True})

        book = folder / "scan.ipynb"
        book.write_text(CELLS)
        init = {"kwargs": {"beam": 2}}
        body = {"script": {"script_type": "filesystem", "script_uri": book.as_uri()}, "script_args": {"init": init}}
        noted = int(server.http.post("/procedures", json=body).json()["procedure"]["id"])
        server.until(noted, "READY")
        run(server, noted)
        server.until(noted)

        asked = server.http.post("/activities", json={"sbd_id": "sbd-1", "activity_name": "observe"})
        server.until(asked.json()["activity"]["procedure_id"])
        server.http.get("/procedures")
        server.http.get("/activities")
        yield wait_for(server, LAST)


def run(server, pid):
    server.http.put(f"/procedures/{pid}", json={"state": "RUNNING"})


def wait_for(server, topic):
    """Return all events up to the first on a topic."""
    decoder, seen = Decoder(), []
    timeout = httpx.Timeout(DEADLINE)
    with server.http.stream("GET", "/stream", params={"after": 0}, timeout=timeout) as stream:
        for chunk in stream.iter_bytes():
            for message in decoder.feed(chunk):
                seen.append(json.loads(message.data))
                if seen[-1]["topic"] == topic:
                    return seen
    raise AssertionError(f"no {topic} in {seen}")


def test_events_of_a_night_are_as_described(published):
    assert [fault for event in published for fault in faults(event)] == []


def test_events_of_a_night_are_on_nearly_all_topics(published):
    """Rich output and widgets are checked as they are mapped from a kernel's messages; an environment's log is not."""
    silent = set(TOPICS) - {event["topic"] for event in published}
    assert {topic for topic in silent if not topic.startswith("procedure.output.")} == {topics.ENVIRONMENT_LOG}
