"""Who speaks to a kernel: its service, which may ask for everything, or a guest, who may look and, with control, type.

They are told apart by the key that signs their messages. A guest is given a key that is derived from the service's; the
kernel takes both, and signs what it sends with the guests', since the service reads the journal and no messages.
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
"""What any guest may ask for: without control none of it is answered by code of the script (see `looking`)."""
TYPING = frozenset(
    {"comm_close", "comm_msg", "comm_open", "execute_request", "input_reply", "interrupt_request", "usage_request"}
)
"""What needs control; ``usage_request`` imports a module. A debugger's requests are not among them: what is evaluated
there would be no event."""
SUBSHELLS = 20
"""Subshells that a kernel has, each a thread."""


def guest_key(service_key: bytes) -> bytes:
    """Derive the key of guests from that of the service; there is no way back.

    Parameters
    ----------
    service_key
        The one in the kernel's connection file.
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
    return f"procedure {procedure} takes no {msg_type} from an attached client"


def pack(value: Any) -> bytes:
    """Encode a part of a message as UTF-8, whatever texts are in it, keys and mime types included.

    Jupyter's own packer makes bytes that are no UTF-8 of one half of the surrogates, and raises for the other.

    Parameters
    ----------
    value
        Mostly JSON; what is not is made so as Jupyter does.
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
    """The service's key, ready to sign; None while there is one key, and whoever has it may do everything."""

    may_answer: Callable[[dict[str, Any]], bool] = staticmethod(lambda reply: True)
    """Whether a reply may answer the prompt for which the kernel waits."""

    def recv(self, *args: Any, **kwargs: Any) -> Any:
        """Receive on the stdin channel; an answer that nobody may give is none."""
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
            Whether the content is to be read too.
        copy
            False when the frames are ZeroMQ's.

        Raises
        ------
        ValueError
            When it is signed by neither.
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
