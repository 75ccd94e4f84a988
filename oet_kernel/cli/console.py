"""Console on the kernel of a procedure: jupyter console, which answers while the script runs."""

import re
import signal
import tempfile
from queue import Empty
from typing import Any

import click
import msgspec
from jupyter_client.consoleapp import JupyterConsoleApp
from jupyter_client.session import Session
from jupyter_console.app import ZMQTerminalIPythonApp
from jupyter_console.ptshell import ZMQTerminalInteractiveShell
from jupyter_console.utils import run_sync

from oet_kernel.cli.attach import rights
from oet_kernel.cli.printing import say
from oet_kernel.models import KernelInfo
from oet_kernel.printable import OutputText

_LEAVE = frozenset({"exit", "quit", "exit()", "quit()"})
_NAME = re.compile(r"\?{0,2}\s*(?P<name>[^\W\d]\w*(?:\.\w+)*)\s*\?{0,2}")
_ANSWER_SECONDS = 10.0


class SubshellSession(Session):
    """Session that sends requests to a subshell of the kernel, whose thread is not the script's."""

    subshell_id: str | None = None

    def msg_header(self, msg_type: str) -> dict[str, Any]:
        """Create a header that names the subshell."""
        header: dict[str, Any] = super().msg_header(msg_type)
        return header if self.subshell_id is None else {**header, "subshell_id": self.subshell_id}

    def deserialize(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Decode a message of the kernel, and make its texts, which come from a script, safe for a terminal."""
        message: dict[str, Any] = super().deserialize(*args, **kwargs)
        message["content"] = _shown(message["content"])
        return message


def _shown(value: Any, depth: int = 3) -> Any:
    """Return the texts in a message safe for a terminal; deeper levels than `depth` are not printed."""
    if isinstance(value, str):
        return OutputText().take(value)
    if isinstance(value, list) and depth:
        return [_shown(one, depth - 1) for one in value]
    return {name: _shown(one, depth - 1) for name, one in value.items()} if isinstance(value, dict) and depth else value


class ConsoleShell(ZMQTerminalInteractiveShell):
    """Shell that exits without asking the kernel, and shows names where code may not be executed."""

    read_only = True

    def run_cell(self, cell: str, store_history: bool = True) -> None:
        """Send typed code to the kernel, or show a name."""
        if cell.strip() in _LEAVE:
            self.ask_exit()
        elif self.read_only and (found := _NAME.fullmatch(cell.strip())):
            self._inspect(found["name"], explained="?" in cell, source="??" in cell)
        else:
            super().run_cell(cell, store_history)

    def _inspect(self, name: str, *, explained: bool, source: bool) -> None:
        omitted = [] if explained else ["docstring"]
        content = {"code": name, "cursor_pos": len(name), "detail_level": int(source), "omit_sections": omitted}
        message = self.client.session.msg("inspect_request", content)
        self.client.shell_channel.send(message)
        while True:
            try:
                reply = run_sync(self.client.shell_channel.get_msg)(timeout=_ANSWER_SECONDS)
            except Empty:
                say("The kernel does not answer", err=True)
                return
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                say(reply["content"].get("data", {}).get("text/plain", "").rstrip() or f"{name} is not defined")
                return


class ConsoleApp(ZMQTerminalIPythonApp):
    """jupyter console, attached to one kernel.

    Parameters
    ----------
    info
        Connection and control of the kernel.
    """

    name = "oet-attach"

    def __init__(self, info: KernelInfo, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._info = info

    def _session_default(self) -> SubshellSession:
        return SubshellSession(parent=self)

    def init_shell(self) -> None:
        """Connect to the kernel."""
        JupyterConsoleApp.initialize(self)
        self._create_subshell()
        signal.signal(signal.SIGINT, self.handle_sigint)
        self.shell = ConsoleShell.instance(
            parent=self,
            manager=None,
            client=self.kernel_client,
            confirm_exit=False,
            include_other_output=True,
            other_output_prefix="",
        )
        self.shell.own_kernel = False
        self.shell.read_only = self._info.control is None

    def init_banner(self) -> None:
        """Set the banner, which states the rights in the kernel."""
        say(f"Attached to procedure {self._info.procedure} ({self._info.state.name}); {rights(self._info)}")
        if self.shell.read_only:
            say("Output comes as the script writes it; a name that is typed is inspected. Leave with exit")
        elif self.session.subshell_id is None:
            say("This kernel has no subshells: what is typed waits until the script's function is done")
        else:
            say("script is the script, and its names are here. What is typed runs beside it. Leave with exit")

    def handle_sigint(self, *args: Any) -> None:
        """Interrupt typed code, never the script; if none is running, clear the line."""
        if not self.shell._executing:
            raise KeyboardInterrupt
        self._ask("interrupt_request")

    def leave(self) -> None:
        """Detach from the kernel."""
        if (subshell := self.session.subshell_id) is not None:
            self._ask("delete_subshell_request", subshell_id=subshell)
        self.kernel_client.stop_channels()

    def _create_subshell(self) -> None:
        msg_id = self._ask("create_subshell_request")
        while True:
            try:
                reply = self.kernel_client.get_control_msg(timeout=_ANSWER_SECONDS)
            except Empty:
                raise click.ClickException(
                    "The kernel does not answer; its procedure may have ended: see oet describe"
                ) from None
            if reply["parent_header"].get("msg_id") == msg_id:
                self.session.subshell_id = reply["content"].get("subshell_id")
                return

    def _ask(self, msg_type: str, **content: Any) -> str:
        message = self.session.msg(msg_type, content)
        self.kernel_client.control_channel.send(message)
        return str(message["header"]["msg_id"])


def open_console(info: KernelInfo) -> None:
    """Run a console on a kernel of this machine until the user leaves it.

    Parameters
    ----------
    info
        Connection and control of the kernel.
    """
    with tempfile.NamedTemporaryFile(prefix="oet-kernel-", suffix=".json") as file:  # readable by its owner alone
        file.write(msgspec.json.encode(info.connection))
        file.flush()
        app = ConsoleApp(info, existing=file.name)
        app.initialize([])
        try:
            app.start()
        finally:
            app.leave()
