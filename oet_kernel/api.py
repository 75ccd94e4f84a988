"""What observing scripts import to announce things.

::

    from oet_kernel.api import publish

    def main(subarray_id):
        publish("subarray.scan.started", subarray_id=subarray_id)

It does what ``pub.sendMessage`` of PyPubSub does in a procedure, and needs no PyPubSub. Where a script runs by hand or
in a notebook, without a service, events are logged.
"""

import logging
import re
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

_TOPIC = re.compile(r"[\w-]+(\.[\w-]+)*")
_publish: Callable[[str, dict[str, Any]], None] | None = None


def publish(topic: str, /, **fields: Any) -> None:
    """Announce something to everybody who listens to the service.

    Parameters
    ----------
    topic
        Dotted words, ``user.script.announce``.
    fields
        The event's own fields: JSON values, numbers and arrays of numpy, dates, paths, enums, dataclasses.

    Raises
    ------
    TypeError
        When a field has no JSON form; the message names the field.
    ValueError
        When the topic is not dotted words.
    """
    if not isinstance(topic, str) or not _TOPIC.fullmatch(topic):
        raise ValueError(f"Cannot publish to topic {topic!r}: a topic is words joined by dots, user.script.announce")
    if _publish is None:
        log.info("%s %s", topic, fields)
    else:
        _publish(topic, fields)


def connect(receiver: Callable[[str, dict[str, Any]], None]) -> None:
    """Have events go to a function; called by the kernel before a script is loaded.

    Parameters
    ----------
    receiver
        Takes a topic and its fields.
    """
    global _publish
    _publish = receiver
