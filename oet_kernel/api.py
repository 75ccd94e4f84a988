"""What observing scripts import to announce things.

::

    from oet_kernel.api import publish

    def main(subarray_id):
        publish("subarray.scan.started", subarray_id=subarray_id)

It does what ``pub.sendMessage`` of PyPubSub does in a procedure, and needs no PyPubSub. Where a script runs by hand or
in a notebook, without a service, events are logged.

A script that can be paused says where::

    for scan in range(scans):
        checkpoint(f"scan {scan}")
        observe(scan)
"""

import logging
import re
from collections.abc import Callable
from typing import Any, Protocol

from oet_kernel.bounds import NAME_CHARACTERS, TOPIC_CHARACTERS

log = logging.getLogger(__name__)

_TOPIC = re.compile(r"[\w-]+(\.[\w-]+)*")
_publish: Callable[[str, dict[str, Any]], None] | None = None


class Checkpoints(Protocol):
    """Where a procedure waits while somebody has asked for a pause."""

    def wait(self, name: str) -> None:
        """Pass a checkpoint, or wait there."""

    async def wait_async(self, name: str) -> None:
        """Pass a checkpoint, or wait there, while other tasks go on."""


_checkpoints: Checkpoints | None = None


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
        When the topic is not dotted words, or the event exceeds a bound (16 MB, 100 levels, a million values).
    """
    if not isinstance(topic, str) or len(topic) > TOPIC_CHARACTERS or not _TOPIC.fullmatch(topic):
        raise ValueError(
            f"Cannot publish to topic {topic!r:.{TOPIC_CHARACTERS}}: a topic is words joined by dots, "
            f"user.script.announce, of {TOPIC_CHARACTERS} characters at most"
        )
    if _publish is None:
        log.info("%s %s", topic, fields)
    else:
        _publish(topic, fields)


def checkpoint(name: str, /) -> None:
    """Wait here while a pause of the procedure is asked for; without one, and without a service, go on at once.

    It may be called in any thread. All that runs in the thread waits, an event loop too: a coroutine that has others
    beside it calls `async_checkpoint`. In a child process it does nothing.

    Parameters
    ----------
    name
        What the pause is told to be at, ``scan 3``; a pause can name the checkpoints that it is meant for.

    Raises
    ------
    KeyboardInterrupt
        When the procedure is stopped while it waits.
    ValueError
        When the name is not one line of text.
    """
    _check(name)
    if _checkpoints is not None:
        _checkpoints.wait(name)


async def async_checkpoint(name: str, /) -> None:
    """Wait as `checkpoint` does, in a coroutine: other tasks of its event loop go on until they come to one.

    Parameters
    ----------
    name
        As for `checkpoint`.

    Raises
    ------
    asyncio.CancelledError
        When the procedure is stopped while it waits.
    ValueError
        When the name is not one line of text.
    """
    _check(name)
    if _checkpoints is not None:
        await _checkpoints.wait_async(name)


def _check(name: str) -> None:
    if not (isinstance(name, str) and name.isprintable() and 0 < len(name) <= NAME_CHARACTERS):
        raise ValueError(
            f"A checkpoint cannot be named {name!r:.{NAME_CHARACTERS}}: its name is one line of text, scan 3, of "
            f"{NAME_CHARACTERS} characters at most"
        )


def connect(receiver: Callable[[str, dict[str, Any]], None], checkpoints: Checkpoints | None = None) -> None:
    """Have events go to a function, and checkpoints be waited at; called by the kernel before a script is loaded.

    Parameters
    ----------
    receiver
        Takes a topic and its fields.
    checkpoints
        Where the script waits; None to wait nowhere.
    """
    global _publish, _checkpoints
    _publish, _checkpoints = receiver, checkpoints
