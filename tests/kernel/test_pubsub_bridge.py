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
    """Run a script in a fresh process, since PyPubSub keeps global state; what went out, was heard, was asked for."""
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
        "import threading\n"
        't = threading.Thread(target=pub.sendMessage, args=["user.script.announce"], kwargs={"msg": "x"})\n'
        "t.start(); t.join()",
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
    assert done["heard"] == [3], "a listener is not called without a field that it requires"


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
    # the script has sent no msg_src: who takes whatever comes gets none, as with PyPubSub; who names it gets the id
    assert str(own["heard"]) == str(heard).replace("'msg_src': '7', ", "")
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


@pytest.mark.parametrize(
    "send",
    [
        'pub.sendMessage(topicName="user.script.announce", msg="x")',
        'pub.getDefaultPublisher().sendMessage("user.script.announce", msg="x")',
        'pub.getDefaultTopicMgr().getOrCreateTopic("user.script.announce").publish(msg="x")',
    ],
)
def test_every_way_of_pypubsub_to_send_goes_out(send):
    assert run(send)["out"] == [["user.script.announce", {"msg": "x"}]]


def test_send_bound_before_the_bridge_was_installed_goes_out():
    code = "from pubsub.pub import sendMessage\n" + PRELUDE.replace('assert "pubsub" not in sys.modules', "")
    code += "sendMessage('a.b', x=1); assert out == [['a.b', {'x': 1}]], out"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_publisher_of_the_scripts_own_stays_its_own():
    done = run(
        """
        from pubsub.core import Publisher
        own = Publisher()
        def listener(a): heard.append(a)
        own.subscribe(listener, "a.b")
        own.sendMessage("a.b", a=1)
        """
    )
    assert done == {"out": [], "heard": [1], "topics": []}


def test_listeners_of_one_topic_may_know_different_fields():
    done = run(
        """
        def some(msg): heard.append(["some", msg])
        def source(msg_src, msg, extra=5): heard.append(["source", msg_src, msg, extra])
        def nothing(): heard.append(["nothing"])
        def other(text): heard.append("called without its field")
        for listener in (some, source, nothing, other):
            pub.subscribe(listener, "user.script.announce")
        pub.sendMessage("user.script.announce", msg="x", more=1)
        bridge.deliver("user.script.announce", {"msg": "y", "msg_src": "9"})
        """
    )
    assert done["heard"] == [
        ["some", "x"], ["source", "7", "x", 5], ["nothing"],
        ["some", "y"], ["source", "9", "y", 5], ["nothing"],
    ]  # fmt: skip


def test_listener_of_a_parent_does_not_define_its_children():
    done = run(
        """
        def above(msg): heard.append(["above", msg])
        def below(text, topic=pub.AUTO_TOPIC): heard.append(["below", text, topic.getName()])
        pub.subscribe(above, "mine")
        pub.subscribe(below, "mine.own")
        pub.sendMessage("mine.own", text="t")
        pub.sendMessage("mine.own", text="t", msg="m")
        """
    )
    assert done["heard"] == [["below", "t", "mine.own"], ["above", "m"], ["below", "t", "mine.own"]]


def test_curried_arguments_and_methods_and_repeated_subscriptions_work():
    done = run(
        """
        class Watcher:
            def hear(self, msg, who): heard.append([who, msg])
        watcher = Watcher()
        assert pub.subscribe(watcher.hear, "a", who="w")[1] is True
        assert pub.subscribe(watcher.hear, "a", who="w")[1] is False
        pub.sendMessage("a", msg=1)
        assert pub.isSubscribed(watcher.hear, "a")
        del watcher
        pub.sendMessage("a", msg=2)
        """
    )
    assert done["heard"] == [["w", 1]]
    assert done["topics"] == ["a", "a"]


def test_topic_that_the_script_defines_keeps_its_definition_and_still_sends_anything():
    done = run(
        """
        class tree:
            class mine:
                "A topic."
                def msgDataSpec(msg): "msg: what"
        pub.addTopicDefnProvider(tree, pub.TOPIC_TREE_FROM_CLASS)
        def bad(other): pass
        try:
            pub.subscribe(bad, "mine")
        except pub.ListenerMismatchError:
            heard.append("mismatch")
        pub.sendMessage("mine", different=1)
        """
    )
    assert done["heard"] == ["mismatch"]
    assert done["out"] == [["mine", {"different": 1}]]


def test_failing_listener_does_not_keep_a_delivered_event_from_the_others():
    done = run(
        """
        def bad(msg): raise RuntimeError("in the listener")
        def good(msg): heard.append(msg)
        pub.subscribe(bad, "a"); pub.subscribe(good, "a")
        bridge.deliver("a", {"msg": "x", "msg_src": "1"})
        bridge.deliver("not a topic..", {"msg": "x", "msg_src": "1"})
        """
    )
    assert done["heard"] == ["x"]


def test_exception_handler_of_the_script_gets_what_its_listeners_raise():
    done = run(
        """
        class Handler(pub.IListenerExcHandler):
            def __call__(self, listener, topic): heard.append(topic.getName())
        handler = Handler()
        pub.setListenerExcHandler(handler)
        def bad(msg): raise RuntimeError
        def good(msg): heard.append(msg)
        pub.subscribe(bad, "a"); pub.subscribe(good, "a")
        pub.sendMessage("a", msg="x")
        """
    )
    assert done["heard"] == ["a", "x"]


def test_refused_event_raises_in_the_sender_and_reaches_no_listener():
    code = PRELUDE.replace("out.append([topic, fields])", "(_ for _ in ()).throw(TypeError('no JSON'))") + dedent(
        """
        def listener(**fields): heard.append(fields)
        pub.subscribe(listener, "a")
        try:
            pub.sendMessage("a", x=1)
        except TypeError as error:
            assert "no JSON" in str(error) and not heard
        else:
            raise AssertionError
        """
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_that_use_a_new_topic_at_once_all_get_through():
    done = run(
        """
        import threading
        sys.setswitchinterval(1e-6)
        barrier = threading.Barrier(8)
        def work(i):
            for n in range(50):
                barrier.wait(20)
                pub.sendMessage(f"t{n}.a.b.c", i=i)
        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for t in threads: t.start()
        for t in threads: t.join()
        """
    )
    assert len(done["out"]) == 400


def test_listener_that_sends_while_it_hears_goes_out_once():
    done = run(
        """
        def listener(msg): pub.sendMessage("answer", msg=msg)
        pub.subscribe(listener, "question")
        bridge.deliver("question", {"msg": "x", "msg_src": "9"})
        """
    )
    assert done["out"] == [["answer", {"msg": "x"}]]


def test_import_that_fails_at_first_is_bridged_when_tried_again():
    code = PRELUDE.replace(
        "from pubsub import pub",
        'sys.modules["pubsub.core"] = None\n'
        "try:\n    from pubsub import pub\nexcept ImportError:\n    pass\nelse:\n    raise AssertionError\n"
        'del sys.modules["pubsub.core"]\nfrom pubsub import pub',
    )
    subprocess.run(
        [sys.executable, "-c", code + "pub.sendMessage('a', x=1); assert out == [['a', {'x': 1}]]"], check=True
    )
