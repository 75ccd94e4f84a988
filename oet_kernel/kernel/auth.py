"""Authorization of a kernel's clients: the service may send any request; a guest may look and, with control, type.

The key that signs a message tells them apart. Guests get a key that is derived from the service's; the kernel accepts
both, and signs its own messages with the guests' key, since the service reads the journal and no messages.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from typing import Any

from jupyter_client.jsonutil import json_clean, json_default
from jupyter_client.session import Session

FROM_SERVICE = "oet_from_service"
"""Key of a received message that tells whether the service has signed it."""

LOOKING = frozenset(
    {
        "comm_info_request",
        "complete_request",
        "connect_request",
        "create_subshell_request",
        "delete_subshell_request",
        "history_request",
        "inspect_request",
        "is_complete_request",
        "kernel_info_request",
        "list_subshell_request",
    }
)
"""Requests that any guest may send: without control they are answered without code of the script (see `looking`)."""
TYPING = frozenset(
    {"comm_close", "comm_msg", "comm_open", "execute_request", "input_reply", "interrupt_request", "usage_request"}
)
"""Messages that need control; ``usage_request`` imports a module. A debugger's requests are not among them: code that
they evaluate would not be published as an event."""
SUBSHELLS = 20
"""Largest number of subshells of a kernel; each is a thread."""


def guest_key(service_key: bytes) -> bytes:
    """Derive the guests' key from the service's key, which cannot be derived back.

    Parameters
    ----------
    service_key
        Key in the kernel's connection file.
    """
    return hmac.new(service_key, b"oet guest", hashlib.sha256).hexdigest().encode()


def refusal(msg_type: str, procedure: str, controlled: bool) -> str | None:
    """Return the reason for refusing a guest's request.

    Parameters
    ----------
    msg_type
        Jupyter message type.
    procedure
        Id of the procedure.
    controlled
        Whether somebody has taken control.

    Returns
    -------
    str or None
        Reason and remedy; None when the request is allowed.
    """
    if msg_type in LOOKING or (controlled and msg_type in TYPING):
        return None
    if msg_type in TYPING:
        return f"procedure {procedure} is read-only; take control with: oet attach {procedure} --control"
    if msg_type == "shutdown_request":
        return f"procedure {procedure} is ended by its service: oet procedure stop --pid={procedure}"
    return f"procedure {procedure} does not accept {msg_type} from an attached client"


def pack(value: Any) -> bytes:
    """Encode a part of a message as UTF-8, whatever texts it contains, keys and MIME types included.

    Jupyter's own packer encodes one half of the surrogates to invalid UTF-8, and raises for the other half.

    Parameters
    ----------
    value
        JSON value; other types are converted as Jupyter does.
    """
    try:
        text = json.dumps(value, default=json_default, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        text = json.dumps(json_clean(value), default=json_default, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace")


class KernelSession(Session):
    """The kernel's end of its channels; once guests are admitted, each message tells whether it is the service's."""

    key: Any
    _service_auth: Any = None
    """HMAC with the service's key; None while there is only one key, whose owners may send any request."""

    may_answer: Callable[[dict[str, Any]], bool] = staticmethod(lambda reply: True)
    """Returns whether a reply may answer the prompt for which the kernel waits."""

    def recv(self, *args: Any, **kwargs: Any) -> Any:
        """Receive on the stdin channel; an unauthorized answer is dropped."""
        idents, message = super().recv(*args, **kwargs)
        return (idents, message) if message is None or self.may_answer(message) else (None, None)

    def admit_guests(self) -> None:
        """Accept the guests' key too from now on, and sign with it."""
        self._service_auth = self.auth
        self.key = guest_key(self.key)

    def deserialize(self, msg_list: Sequence[Any], content: bool = True, copy: bool = True) -> dict[str, Any]:
        """Check and read a message.

        Parameters
        ----------
        msg_list
            Frames: signature, header, parent, metadata, content, buffers.
        content
            Whether to read the content too.
        copy
            False when the frames are ZeroMQ frames, not bytes.

        Raises
        ------
        ValueError
            When neither key has signed the message.
        """
        frames = [part if copy else bytes(part.bytes) for part in msg_list]
        by_service = self._service_auth is None
        if not by_service and hmac.compare_digest(bytes(frames[0]), self._service_signature(frames[1:5])):
            by_service = True
            frames[0] = self.sign(frames[1:5])
        message: dict[str, Any] = super().deserialize(frames, content, copy=True)
        message[FROM_SERVICE] = by_service
        return message

    def _service_signature(self, frames: Sequence[bytes]) -> bytes:
        digest = self._service_auth.copy()
        for frame in frames:
            digest.update(frame)
        return digest.hexdigest().encode()  # type: ignore[no-any-return]
