"""The catalogue of topics is the contract's."""

import pytest

from oet_kernel.topics import TOPICS, under

CONTRACT = """
request.procedure.create * | cmd
request.procedure.start * | cmd
request.procedure.stop * | cmd
request.procedure.list * | pids
request.activity.run * | cmd
request.activity.list * | activity_ids
procedure.lifecycle.statechange | new_state
procedure.lifecycle.stacktrace | stacktrace
procedure.lifecycle.created * | result
procedure.lifecycle.started * | result
procedure.lifecycle.complete * | result
procedure.lifecycle.failed * | result
procedure.lifecycle.stopped * | result
procedure.pool.list * | result
activity.lifecycle.running * | result
activity.pool.list * | result
user.script.announce | msg
sb.lifecycle.allocated | sb_id
sb.lifecycle.observation.started | sb_id
sb.lifecycle.observation.finished.succeeded | sb_id
sb.lifecycle.observation.finished.failed | sb_id
subarray.resources.allocated | subarray_id
subarray.resources.deallocated | subarray_id
subarray.configured | subarray_id
subarray.scan.started | subarray_id
subarray.scan.finished | subarray_id
subarray.fault | subarray_id, error
scan.lifecycle.configure.started | sb_id, scan_id
scan.lifecycle.configure.complete | sb_id, scan_id
scan.lifecycle.configure.failed | sb_id, scan_id
scan.lifecycle.start | sb_id
scan.lifecycle.end.succeeded | sb_id, scan_id
scan.lifecycle.end.failed | sb_id, scan_id
"""
"""The table of the wire contract; topics with a star also carry request_id."""


@pytest.mark.parametrize("row", CONTRACT.strip().splitlines())
def test_topic_of_the_contract_has_its_fields(row):
    topic, _, fields = row.partition(" | ")
    request_id = {"request_id"} if topic.endswith(" *") else set()
    record = TOPICS[topic.removesuffix(" *")]
    assert set(record.__struct_fields__) == {"msg_src"} | request_id | set(fields.split(", "))


@pytest.mark.parametrize(
    ("topic", "prefix", "inside"),
    [
        ("procedure.lifecycle.created", "procedure.lifecycle", True),
        ("procedure.lifecycle.created", "procedure.lifecycle.created", True),
        ("procedure.lifecycle.created", "procedure.life", False),
        ("procedure.lifecycle.created", "request", False),
        ("procedure.lifecycle.created", "all", True),
        ("procedure.lifecycle.created", "", True),
        ("user", "user.script", False),
    ],
)
def test_topics_lie_under_whole_words(topic, prefix, inside):
    assert under(topic, prefix) is inside
