"""A guest of a kernel: what an attached Jupyter client is to it, in short words for tests."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any

import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.session import Session
from msgspec.structs import asdict

from oet_kernel.models import Connection

DEADLINE = 30.0


class _Session(Session):
    subshell_id: str | None = None

    def msg_header(self, msg_type: str) -> dict[str, Any]:
        header = super().msg_header(msg_type)
        return header if self.subshell_id is None else {**header, "subshell_id": self.subshell_id}


class Guest:
    """An attached client; everything has a deadline."""

    def __init__(self, connection: Connection) -> None:
        self.client = BlockingKernelClient(session=_Session())
        self.client.load_connection_info({**asdict(connection), "key": connection.key.encode()})
        self.client.start_channels(hb=False, stdin=False)
        self._connect_stdin()

    def _connect_stdin(self) -> None:
        """Connect and wait until that is done: a kernel's question to whom it does not know yet is asked of nobody."""
        socket = self.client.context.socket(zmq.DEALER)
        socket.identity = self.client.session.bsession
        monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        socket.connect(self.client._make_url("stdin"))
        assert monitor.poll(DEADLINE * 1000)
        socket.disable_monitor()
        self.client._stdin_channel = self.client.stdin_channel_class(socket, self.client.session, None)

    def ask(self, msg_type: str, channel: str = "shell", **content: Any) -> dict[str, Any]:
        """Send a request and give the content of its reply."""
        message = self.client.session.msg(msg_type, content)
        getattr(self.client, f"{channel}_channel").send(message)
        return self.reply(message["header"]["msg_id"], channel)

    def reply(self, msg_id: str, channel: str = "shell") -> dict[str, Any]:
        """Wait for the reply to a request."""
        get = getattr(self.client, f"get_{channel}_msg")
        end = time.monotonic() + DEADLINE
        while True:
            reply = get(timeout=max(0.0, end - time.monotonic()))
            if reply["parent_header"].get("msg_id") == msg_id:
                return dict(reply["content"])

    def execute(self, code: str, answers: Callable[[str], str] | None = None, **more: Any) -> dict[str, Any]:
        """Run code; `answers` says what is typed at each prompt."""
        msg_id = self.client.execute(code, allow_stdin=answers is not None, **more)
        end = time.monotonic() + DEADLINE
        while answers is not None and time.monotonic() < end:
            try:
                request = self.client.get_stdin_msg(timeout=0.05)
            except Empty:
                try:
                    reply = self.client.get_shell_msg(timeout=0)
                except Empty:
                    continue
                return dict(reply["content"])
            self.client.input(answers(request["content"]["prompt"]))
        return self.reply(msg_id)

    def subshell(self) -> None:
        """Type into a subshell from now on, which answers while the script runs."""
        self.client.session.subshell_id = self.ask("create_subshell_request", "control")["subshell_id"]


@contextmanager
def attached(connection: Connection) -> Iterator[Guest]:
    """Attach, and leave."""
    guest = Guest(connection)
    try:
        yield guest
    finally:
        guest.client.stop_channels()
