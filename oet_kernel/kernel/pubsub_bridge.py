"""PyPubSub in a script, bridged both ways: what it sends goes out, what others publish reaches its listeners.

PyPubSub costs 20 ms to import, so nothing is done before the script imports it. It is stricter than the bus: the first
listener of a topic decides which fields may be sent to it, and a message with others raises in the sender. Whatever a
script sends has gone out before that, and its own listeners are given the fields that they know.
"""

import importlib.util
import inspect
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from oet_kernel.topics import TOPICS

log = logging.getLogger(__name__)

_MODULE = "pubsub.pub"


class PubSubBridge:
    """The two directions of one script's PyPubSub.

    Parameters
    ----------
    publish
        Takes the topic and the fields of what the script sends.
    subscribed
        Takes each topic that the script listens to; ``all`` for all of them.
    """

    def __init__(self, publish: Callable[[str, dict[str, Any]], None], subscribed: Callable[[str], None]) -> None:
        self._publish = publish
        self._subscribed = subscribed
        self._pub: Any = None
        self._source = ""

    def install(self, source: str) -> None:
        """Bridge PyPubSub as soon as it is imported.

        Parameters
        ----------
        source
            Id of the procedure: `msg_src` of what its own listeners get from itself.
        """
        self._source = source
        if _MODULE in sys.modules:
            self._attach(sys.modules[_MODULE])
        else:
            sys.meta_path.insert(0, _AfterImport(_MODULE, self._attach))

    def deliver(self, topic: str, fields: Mapping[str, Any]) -> None:
        """Hand an event of another component to the script's listeners; it does not go out again.

        Parameters
        ----------
        topic
            The event's topic.
        fields
            Its fields, `msg_src` among them.
        """
        if self._pub is None:
            return
        try:
            self._send_inside(topic, dict(fields))
        except Exception:
            log.warning("A listener to %s raised", topic, exc_info=True)

    def _attach(self, pub: Any) -> None:
        self._pub = pub
        self._send, self._subscribe = pub.sendMessage, pub.subscribe
        self._topics = pub.getDefaultTopicMgr()
        pub.setTopicUnspecifiedFatal(False)
        for topic, fields in TOPICS.items():
            self._topics.getOrCreateTopic(topic, _listener_of("msg_src", *fields))
        pub.sendMessage, pub.subscribe = self.send, self.subscribe

    def send(self, topicName: Any, /, **message: Any) -> None:  # noqa: N803 - PyPubSub's own name
        """Stand in for ``pub.sendMessage``."""
        name = self._topics.getOrCreateTopic(topicName).getName()
        self._publish(name, {field: value for field, value in message.items() if field != "msg_src"})
        self._send_inside(name, message)

    def subscribe(self, listener: Any, topicName: Any, **curried: Any) -> Any:  # noqa: N803 - PyPubSub's own name
        """Stand in for ``pub.subscribe``."""
        result = self._subscribe(listener, topicName, **curried)
        name = self._topics.getOrCreateTopic(topicName).getName()
        self._subscribed("all" if name == self._pub.ALL_TOPICS else name)
        return result

    def _send_inside(self, name: str, message: dict[str, Any]) -> None:
        topic = self._topics.getOrCreateTopic(name)
        if topic.hasMDS():
            required, optional = topic.getArgs()
            known = {"msg_src": self._source, **message}
            message = {field: known.get(field) for field in required}
            message |= {field: known[field] for field in optional or () if field in known}
        self._send(name, **message)


def _listener_of(*fields: str) -> Callable[..., None]:
    """Make a listener with these parameters: the form in which PyPubSub takes a topic's definition."""

    def listener(**message: Any) -> None:
        """Never called."""

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    listener.__signature__ = inspect.Signature([inspect.Parameter(field, kind) for field in fields])  # type: ignore[attr-defined]
    return listener


class _AfterImport(MetaPathFinder):
    """Has a function called with a module, once, when it has been imported."""

    def __init__(self, name: str, then: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._then = then

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the module where the others find it, and put a word in."""
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                self._then(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
