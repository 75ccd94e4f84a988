"""PyPubSub in scripts: whatever is sent goes out once, whatever others publish arrives, nothing loops."""

import json
import subprocess
import sys
from textwrap import dedent

import pytest

PRELUDE = """
import json, sys
from oet_kernel.kernel.pubsub_bridge import PubSubBridge
out, topics, heard = [], [], []
bridge = PubSubBridge(lambda topic, fields: out.append([topic, fields]), topics.append)
bridge.install("7")
assert "pubsub" not in sys.modules
from pubsub import pub
"""


def run(script: str) -> dict:
    """Run a script in a process of its own, since PyPubSub keeps global state; what went out and what was heard."""
    code = PRELUDE + dedent(script) + "\nprint(json.dumps({'out': out, 'heard': heard, 'topics': topics}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "send",
    [
        'pub.sendMessage("user.script.announce", msg="x")',
        'pub.sendMessage("user.script.announce", msg_src="7", msg="x")',
        'pub.sendMessage("user.script.announce", msg_src="somebody-else", msg="x")',
        'from pubsub.pub import sendMessage; sendMessage("user.script.announce", msg="x")',
        'pub.sendMessage(("user", "script", "announce"), msg="x")',
        (
            'import threading; t = threading.Thread(target=lambda: pub.sendMessage("user.script.announce", msg="x"))\n'
            "t.start(); t.join()"
        ),
    ],
)
def test_message_goes_out_once_whatever_its_source(send):
    assert run(send)["out"] == [["user.script.announce", {"msg": "x"}]]


def test_same_topic_may_be_sent_with_different_fields():
    script = """
    pub.sendMessage("mine.own", a=1)
    pub.sendMessage("mine.own", msg_src="x", a=1, b=2)
    pub.sendMessage("mine.own")
    pub.subscribe(lambda a: heard.append(a), "mine.own")
    def listener(a): heard.append(a)
    pub.subscribe(listener, "mine.own")
    pub.sendMessage("mine.own", a=3, b=4)
    pub.sendMessage("mine.own", c=5)
    pub.sendMessage("user.script.announce", extra=1)
    """
    done = run(script)
    assert [fields for _, fields in done["out"]] == [
        {"a": 1}, {"a": 1, "b": 2}, {}, {"a": 3, "b": 4}, {"c": 5}, {"extra": 1},
    ]  # fmt: skip
    assert done["heard"] == [3, None]


@pytest.mark.parametrize(
    ("listener", "topic", "heard"),
    [
        ("def listener(msg_src, msg): heard.append([msg_src, msg])", "user.script.announce", [["7", "x"]]),
        ("def listener(msg, msg_src=None): heard.append([msg_src, msg])", "user.script.announce", [["7", "x"]]),
        ("def listener(**kwargs): heard.append(kwargs)", "user.script.announce", [{"msg_src": "7", "msg": "x"}]),
        (
            "def listener(topic=pub.AUTO_TOPIC, **kwargs): heard.append([topic.getName(), kwargs])",
            "user.script",
            [["user.script.announce", {"msg_src": "7", "msg": "x"}]],
        ),
        (
            "def listener(topic=pub.AUTO_TOPIC, **kwargs): heard.append(topic.getName())",
            "pub.ALL_TOPICS",
            ["user.script.announce"],
        ),
    ],
)
def test_script_hears_itself_and_others_as_with_pypubsub_alone(listener, topic, heard):
    name = topic if topic.startswith("pub.") else repr(topic)
    own = run(f'{listener}\npub.subscribe(listener, {name})\npub.sendMessage("user.script.announce", msg="x")')
    assert own["heard"] == heard
    assert own["topics"] == ["all" if topic == "pub.ALL_TOPICS" else topic]
    foreign = run(
        f"{listener}\npub.subscribe(listener, {name})\n"
        'bridge.deliver("user.script.announce", {"msg": "x", "msg_src": "7"})'
    )
    assert foreign["heard"] == heard
    assert foreign["out"] == [], "what others publish must not go out again"


def test_unsubscribed_listener_hears_nothing():
    done = run(
        """
        def listener(msg_src, msg): heard.append(msg)
        pub.subscribe(listener, "user.script.announce")
        pub.unsubscribe(listener, "user.script.announce")
        pub.sendMessage("user.script.announce", msg="x")
        """
    )
    assert done["heard"] == []


def test_listener_that_raises_stops_neither_the_event_nor_the_kernel():
    done = run(
        """
        def listener(msg_src, msg): raise RuntimeError("in the listener")
        pub.subscribe(listener, "user.script.announce")
        bridge.deliver("user.script.announce", {"msg": "x", "msg_src": "1"})
        try:
            pub.sendMessage("user.script.announce", msg="x")
        except RuntimeError:
            heard.append("raised in the sender")
        """
    )
    assert done["out"] == [["user.script.announce", {"msg": "x"}]]
    assert done["heard"] == ["raised in the sender"]


def test_nothing_is_delivered_to_a_script_that_does_not_use_pypubsub():
    code = (
        PRELUDE.replace("from pubsub import pub", "") + 'bridge.deliver("a.b", {}); assert "pubsub" not in sys.modules'
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pypubsub_that_is_imported_already_is_bridged_too():
    code = PRELUDE.replace('assert "pubsub" not in sys.modules', "")
    code = "from pubsub import pub\n" + code + "pub.sendMessage('a.b', x=1); assert out == [['a.b', {'x': 1}]]"
    subprocess.run([sys.executable, "-c", code], check=True)
