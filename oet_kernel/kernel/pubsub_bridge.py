"""Bridge between a script's PyPubSub and the bus: its messages are published, and events of others reach its listeners.

PyPubSub takes over 10 ms to import, so nothing is done before the script imports it. It takes the parameters of a
topic's first listener for the topic's definition, and raises where a message or another listener differs. The bus has
no such definitions: here a topic has none unless the script itself gives one (``pub.addTopicDefnProvider``), and each
listener is called with the fields that it has parameters for.

The bridge replaces methods of `pubsub.core.Topic`, which all of PyPubSub's ways to send and to subscribe call, names
that were imported long before (``from pubsub.pub import sendMessage``) included. Only the default publisher is bridged;
a `Publisher` that a script creates stays its own.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

log = logging.getLogger(__name__)

_MODULE = "pubsub.pub"


class PubSubBridge:
    """The two directions of one script's PyPubSub.

    Parameters
    ----------
    publish
        Called with topic and fields of each message of the script, in the sender's thread. Its exceptions (a field
        without a JSON form) are raised in the sender, and no listener is called.
    subscribed
        Called with each topic that the script listens to; ``all`` for all topics.
    """

    def __init__(self, publish: Callable[[str, dict[str, Any]], None], subscribed: Callable[[str], None]) -> None:
        self._publish = publish
        self._subscribed = subscribed
        self._source = ""
        self._pub: Any = None
        self._renew_lock()
        os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self._tree = threading.RLock()  # PyPubSub's own asserts fail where two threads make the same topic

    def install(self, source: str) -> None:
        """Bridge PyPubSub as soon as it is imported.

        Parameters
        ----------
        source
            Id of the procedure: `msg_src` of the script's own messages to its listeners.
        """
        self._source = source
        if _MODULE in sys.modules:
            self._attach(sys.modules[_MODULE])
        else:
            sys.meta_path.insert(0, _AfterImport(_MODULE, self._attach))

    def deliver(self, topic: str, fields: Mapping[str, Any]) -> None:
        """Call the script's listeners with an event of another component; it is not published again.

        Exceptions of a listener are logged, and the next one is called.

        Parameters
        ----------
        topic
            Topic of the event.
        fields
            Fields of the event, with `msg_src`.
        """
        if self._pub is None:
            return
        try:
            known = self._pub.getDefaultTopicMgr().getOrCreateTopic(topic)
        except self._pub.TopicNameError as error:
            log.warning("An event cannot be delivered to the script's listeners: %s", error)
            return
        self._tell(known, dict(fields), self._log_failure)

    def _attach(self, pub: Any) -> None:
        """Install the bridge in a freshly imported PyPubSub."""
        from pubsub.core import listener as listeners

        self._pub = pub
        manager = pub.getDefaultTopicMgr()
        manager.getOrCreateTopic = self._locked(manager.getOrCreateTopic)
        topic_class, validator_class = pub.Topic, listeners.ListenerValidator
        publish, subscribe, validate = topic_class.publish, topic_class.subscribe, validator_class.validate

        def publish_bridged(topic: Any, /, **message: Any) -> None:
            if not self._is_ours(topic):
                publish(topic, **message)
                return
            fields = {name: value for name, value in message.items() if name != "msg_src"}
            self._publish(topic.getName(), fields)
            self._tell(topic, message, self._handle_failure, {"msg_src": self._source})

        def subscribe_bridged(topic: Any, listener: Any, **curried: Any) -> Any:
            if not self._is_ours(topic):
                return subscribe(topic, listener, **curried)
            with self._tree:
                self._define_as_empty(topic)
                result = subscribe(topic, listener, **curried)
            self._subscribed("all" if topic.isAll() else topic.getName())
            return result

        def validate_bridged(validator: Any, user_listener: Any, curriedArgNames: Any = None) -> Any:  # noqa: N803
            if validator._topicArgs or validator._topicKwargs:
                return validate(validator, user_listener, curriedArgNames)
            return listeners.getArgs(user_listener)

        topic_class.publish, topic_class.subscribe = publish_bridged, subscribe_bridged
        validator_class.validate = validate_bridged

    def _locked(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, limited to one thread at a time."""

        def alone(*args: Any, **kwargs: Any) -> Any:
            with self._tree:
                return function(*args, **kwargs)

        return alone

    def _is_ours(self, topic: Any) -> bool:
        """Return whether a topic belongs to the default publisher."""
        return self._pub.topicsMap.get(topic.getName()) is topic

    def _define_as_empty(self, topic: Any) -> None:
        """Prevent PyPubSub from taking the first listener's parameters for the topic's definition."""
        if not topic.hasMDS():
            try:
                topic.setMsgArgSpec({})
            except self._pub.MessageDataSpecError:
                log.debug("%s inherits a definition that the script gave", topic.getName())

    def _tell(
        self,
        topic: Any,
        message: dict[str, Any],
        failed: Callable[[Any, Any], None],
        besides: Mapping[str, Any] | None = None,
    ) -> None:
        """Call the listeners of a topic and of its parent topics, the most general first, as PyPubSub does.

        Fields `besides` the message are passed to listeners with a parameter of that name, not to ``**kwargs``.
        """
        named = {**besides, **message} if besides else message
        notify = topic._treeConfig.notificationMgr.notifySend
        notify("pre", topic)
        lineage = [topic]
        while (parent := lineage[-1].getParent()) is not None:
            lineage.append(parent)
        for level in reversed(lineage):
            for listener in level.getListeners():
                arguments = self._arguments(listener, topic, named)
                if arguments is not None:
                    try:
                        notify("in", level, pubListener=listener)
                        listener(arguments, topic, message)
                    except Exception:
                        failed(listener, topic)
        notify("post", topic)

    def _arguments(self, listener: Any, topic: Any, message: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the fields that a listener has parameters for; None if it is gone, or a required one is missing."""
        from pubsub.core.callables import getArgs

        function = listener.getCallable()
        if function is None:
            return None
        parameters = getArgs(function, ignoreArgs=tuple(listener.curriedArgs or ()))
        missing = [name for name in parameters.getRequiredArgs() if name not in message]
        if missing:
            log.warning(
                "Listener %s of the script was not called: it requires %s, and this %s has %s",
                listener.name(), ", ".join(missing), topic.getName(), ", ".join(message) or "no fields",
            )  # fmt: skip
            return None
        return {name: message[name] for name in parameters.allParams if name in message}

    def _handle_failure(self, listener: Any, topic: Any) -> None:
        """Handle a listener's exception as PyPubSub does: call the script's handler, else raise it in the sender."""
        handler = self._pub.getListenerExcHandler()
        if handler is None:
            raise  # the exception that the caller is handling
        try:
            handler(listener.name(), topic)
        except Exception as error:
            raise self._pub.ExcHandlerError(listener.name(), topic, error) from error

    def _log_failure(self, listener: Any, topic: Any) -> None:
        log.warning("Listener %s of the script raised on %s", listener.name(), topic.getName(), exc_info=True)


class _AfterImport(MetaPathFinder):
    """Calls a function with a module right after its import, before the importer goes on."""

    def __init__(self, name: str, then: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._then = then

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the module by the other finders, and extend its loader with the call."""
        if fullname != self._name:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        spec = next((found for finder in others if (found := finder.find_spec(fullname, path, target))), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                sys.meta_path.remove(self)  # only now: an import that failed may be tried again
                self._then(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
