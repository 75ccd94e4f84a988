"""Relay of the messages of a notebook's own kernel, which this kernel publishes in its place."""

from collections.abc import Callable, Mapping
from typing import Any

from oet_kernel.kernel.encoding import encode
from oet_kernel.kernel.iopub import Publisher

_FORWARDED = frozenset({"stream", "display_data", "execute_result", "update_display_data", "clear_output", "error"})
_EVENT_MIME = "application/vnd.oet.event+json"
"""MIME type of a display that is an event, by which a script of any language publishes one."""


class Relay:
    """Passes on the messages of one kernel.

    Parameters
    ----------
    publisher
        Publishes the messages.
    publish
        Publishes an event.
    """

    def __init__(self, publisher: Publisher, publish: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._publisher = publisher
        self._publish = publish
        self._error: dict[str, Any] | None = None
        """Content of the last error message, until it is known whether the cell has failed with it."""

    def take(self, message: dict[str, Any]) -> None:
        """Pass on a message; the kernel's states are left out, as this kernel has its own."""
        kind, content = message["msg_type"], message["content"]
        if kind == "status":
            return
        data = content.get("data")
        if isinstance(data, dict) and isinstance(event := data.get(_EVENT_MIME), dict) and "topic" in event:
            try:
                self._publish(str(event.pop("topic")), event)
            except (TypeError, ValueError) as error:
                self.say(f"[an event was refused: {error}]")
        elif kind in ("comm_open", "comm_msg"):  # widgets: a journal has no other place for their binary values
            self._publisher.send(kind, encode({**content, "buffers": [bytes(one) for one in message["buffers"]]}))
        elif kind in _FORWARDED:
            if not self._may_fail_the_cell(kind):
                self.tell_error()
            if kind == "error":
                self._error = content
            else:
                self._publisher.send(kind, encode(content))

    def _may_fail_the_cell(self, kind: str) -> bool:
        """Return whether the last error may still be the failure of the cell, given the type of the next message.

        A result follows the errors of its own display, and IPython's ``exit`` is followed by a warning.
        """
        return self._error is not None and (kind == "execute_result" or self._error.get("ename") == "SystemExit")

    def tell_error(self, reply: dict[str, Any] | None = None) -> None:
        """Pass on the last error, unless the reply says that the cell has failed with it.

        Such an error is reported with the failure of the cell; any other is published ahead of the next message.

        Parameters
        ----------
        reply
            Content of the reply to the cell; gets the fields of its error. None before there is one.
        """
        error, self._error = self._error, None
        if error is None:
            return
        if reply is not None and reply["status"] != "ok" and _same(error, reply):
            reply |= error  # the reply does not name an exception from the display of a result
        else:
            self._publisher.send("error", encode(error))

    def say(self, text: str) -> None:
        """Write a line on standard error."""
        self._publisher.send("stream", encode({"name": "stderr", "text": f"{text}\n"}))


def _same(error: dict[str, Any], reply: dict[str, Any]) -> bool:
    """Return whether an error message and an error reply are about the same error."""
    return (bool(error.get("traceback")) and error["traceback"] == reply.get("traceback")) or all(
        error.get(name) == reply.get(name) for name in ("ename", "evalue")
    )
