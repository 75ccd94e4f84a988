"""Interface for observing scripts: publishing events, and checkpoints.

::

    from oet_kernel.api import publish

    def main(subarray_id):
        publish("subarray.scan.started", subarray_id=subarray_id)

In a procedure, `publish` does the same as ``pub.sendMessage`` of PyPubSub, without requiring PyPubSub. Where a script
runs by hand or in a notebook, without a service, events are logged.

A script that can be paused calls `checkpoint`::

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
    """Checkpoints of a procedure, which wait while a pause is requested."""

    def wait(self, name: str) -> None:
        """Wait at a checkpoint while a pause is requested; otherwise return at once."""

    async def wait_async(self, name: str) -> None:
        """Wait as `wait` does, while other tasks go on."""


_checkpoints: Checkpoints | None = None


def publish(topic: str, /, **fields: Any) -> None:
    """Publish an event to all listeners of the service.

    Parameters
    ----------
    topic
        Dotted words, ``user.script.announce``.
    fields
        Fields of the event: JSON values, numbers and arrays of numpy, dates, paths, enums, dataclasses.

    Raises
    ------
    TypeError
        When a field has no JSON form; the message names the field.
    ValueError
        When the topic is not dotted words, or the event exceeds a bound (16 MB, 100 levels, a million values).
    """
    if not isinstance(topic, str) or len(topic) > TOPIC_CHARACTERS or not _TOPIC.fullmatch(topic):
        raise ValueError(
            f"{topic!r:.{TOPIC_CHARACTERS}} is not a valid topic: a topic is words joined by dots, such as "
            f"user.script.announce, of {TOPIC_CHARACTERS} characters at most"
        )
    if _publish is None:
        log.info("%s %s", topic, fields)
    else:
        _publish(topic, fields)


def checkpoint(name: str, /) -> None:
    """Wait while a pause of the procedure is requested; without a pause, or without a service, return at once.

    It may be called in any thread. The whole thread waits, its event loop too: a coroutine that runs beside others
    calls `async_checkpoint`. In a child process it is a no-op.

    Parameters
    ----------
    name
        Name of the checkpoint, ``scan 3``; a pause can be requested for checkpoints of certain names.

    Raises
    ------
    KeyboardInterrupt
        When the procedure is stopped while waiting.
    ValueError
        When the name is not one line of text.
    """
    _check(name)
    if _checkpoints is not None:
        _checkpoints.wait(name)


async def async_checkpoint(name: str, /) -> None:
    """Wait as `checkpoint` does, in a coroutine: other tasks of its event loop go on until they reach a checkpoint.

    Parameters
    ----------
    name
        As for `checkpoint`.

    Raises
    ------
    asyncio.CancelledError
        When the procedure is stopped while waiting.
    ValueError
        When the name is not one line of text.
    """
    _check(name)
    if _checkpoints is not None:
        await _checkpoints.wait_async(name)


def _check(name: str) -> None:
    if not (isinstance(name, str) and name.isprintable() and 0 < len(name) <= NAME_CHARACTERS):
        raise ValueError(
            f"{name!r:.{NAME_CHARACTERS}} is not a valid name of a checkpoint: a name is one line of text, such as "
            f"scan 3, of {NAME_CHARACTERS} characters at most"
        )


def connect(receiver: Callable[[str, dict[str, Any]], None], checkpoints: Checkpoints | None = None) -> None:
    """Register the receiver of events, and the checkpoints; called by the kernel before a script is loaded.

    Parameters
    ----------
    receiver
        Called with each topic and its fields.
    checkpoints
        Checkpoints at which the script waits; None to never wait.
    """
    global _publish, _checkpoints
    _publish, _checkpoints = receiver, checkpoints
