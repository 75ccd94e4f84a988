"""What scripts import works in a procedure, and outside of one."""

import asyncio
import logging
import subprocess
import sys

import pytest

from oet_kernel import api


@pytest.fixture
def out(monkeypatch):
    events = []
    monkeypatch.setattr(api, "_publish", lambda topic, fields: events.append((topic, fields)))
    return events


def test_event_goes_to_the_service(out):
    api.publish("user.script.announce", msg="hello", n=1)
    assert out == [("user.script.announce", {"msg": "hello", "n": 1})]


@pytest.mark.parametrize("topic", ["", ".", "a.", ".a", "a..b", "a b", "a\n", None, 3])
def test_topic_that_is_not_dotted_words_is_refused(out, topic):
    with pytest.raises(ValueError, match="words joined by dots"):
        api.publish(topic, msg="x")
    assert out == []


def test_field_may_be_called_topic(out):
    api.publish("a.b", **{"topic": 1})
    assert out == [("a.b", {"topic": 1})]


def test_event_is_logged_where_there_is_no_service(monkeypatch, caplog):
    monkeypatch.setattr(api, "_publish", None)
    with caplog.at_level(logging.INFO):
        api.publish("user.script.announce", msg="hello")
    assert "user.script.announce {'msg': 'hello'}" in caplog.text


def test_import_pulls_in_nothing_heavy():
    code = "import sys, oet_kernel.api; print([m for m in ('tornado', 'zmq', 'httpx', 'msgspec') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_checkpoint_is_passed_where_there_is_no_service(monkeypatch):
    monkeypatch.setattr(api, "_checkpoints", None)
    assert api.checkpoint("scan 1") is None
    assert asyncio.run(api.async_checkpoint("scan 1")) is None


@pytest.mark.parametrize("name", ["", "two\nlines", "\x1b[31mred", "\ud800", None, 3])
def test_checkpoint_is_named_by_one_line_of_text(name):
    for passed in (api.checkpoint, lambda name: asyncio.run(api.async_checkpoint(name))):
        with pytest.raises(ValueError, match="one line of text"):
            passed(name)
