"""Requests of guests: attached clients, which look at a script and type only with control.

Without control nothing that a guest asks runs code of the script (`oet_kernel.kernel.looking`).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ipykernel.ipkernel import IPythonKernel

from oet_kernel.kernel import looking
from oet_kernel.kernel.auth import FROM_SERVICE, SUBSHELLS, refusal
from oet_kernel.kernel.console import Console
from oet_kernel.kernel.iopub import Publisher
from oet_kernel.kernel.runner import Runner


class GuestedKernel(IPythonKernel):
    """An IPython kernel whose service may send any request, and its guests only some."""

    control_handlers: dict[str, Any]
    runner: Runner
    """Runner of the script; set by the subclass, as are the two below."""
    console: Console
    """What guests type, and who has control."""
    _publisher: Publisher

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.session.may_answer = lambda reply: reply[FROM_SERVICE] or self.console.controller is not None
        self._looking_subshell: str | None = None
        self.control_handlers = {
            msg_type: partial(self._admit, handler) for msg_type, handler in self.control_handlers.items()
        }

    def should_handle(self, stream: Any, msg: dict[str, Any], idents: list[bytes]) -> bool:
        """Refuse requests on the shell channel that a guest may not send."""
        if msg[FROM_SERVICE]:
            return True
        why = refusal(msg["header"]["msg_type"], self.runner.name, self.console.controller is not None)
        if why is not None:
            self._refuse(stream, msg, idents, why)
            return False
        if self.console.controller is not None:
            self.console.show(self.runner.module, self.shell.user_ns)
        return True

    def _only_looks(self, message: dict[str, Any]) -> bool:
        """Return whether a request must be answered without running code of the script."""
        return not message[FROM_SERVICE] and self.console.controller is None

    def _namespaces(self) -> list[Mapping[str, Any]]:
        module = self.runner.module
        if module is not None:
            return [looking.names_of(module), {"script": module}]
        # of a notebook, whose cells run in the shell's own names
        return [looking.without(self.shell.user_ns, self.shell.user_ns_hidden)]

    async def complete_request(self, stream: Any, ident: list[bytes], parent: dict[str, Any]) -> None:
        """Complete names; for a guest without control, stored names only."""
        if not self._only_looks(parent):
            await super().complete_request(stream, ident, parent)
            return
        content = parent["content"]
        found = looking.complete(content.get("code"), content.get("cursor_pos"), self._namespaces())
        self.session.send(stream, "complete_reply", found, parent, ident)

    async def inspect_request(self, stream: Any, ident: list[bytes], parent: dict[str, Any]) -> None:
        """Describe the object of a name; for a guest without control, without calling its ``__repr__``."""
        if not self._only_looks(parent):
            await super().inspect_request(stream, ident, parent)
            return
        content = parent["content"]
        asked = (content.get("code"), content.get("cursor_pos"), content.get("omit_sections"))
        self.session.send(stream, "inspect_reply", looking.inspect(*asked, self._namespaces()), parent, ident)

    async def is_complete_request(self, stream: Any, ident: list[bytes], parent: dict[str, Any]) -> None:
        """Reply whether code is complete; "unknown" to a guest without control, who may run none."""
        if self._only_looks(parent):  # compiling would raise warnings, which a script may catch
            self.session.send(stream, "is_complete_reply", {"status": "unknown"}, parent, ident)
        else:
            await super().is_complete_request(stream, ident, parent)

    async def history_request(self, stream: Any, ident: list[bytes], parent: dict[str, Any]) -> None:
        """Reply with the input history; empty for a guest without control."""
        if self._only_looks(parent):
            self.session.send(stream, "history_reply", {"status": "ok", "history": []}, parent, ident)
        else:
            await super().history_request(stream, ident, parent)

    async def comm_info_request(self, stream: Any, ident: list[bytes], parent: dict[str, Any]) -> None:
        """List the comms, which are objects of the script; none for a guest without control."""
        if self._only_looks(parent):
            self.session.send(stream, "comm_info_reply", {"status": "ok", "comms": {}}, parent, ident)
        else:
            await super().comm_info_request(stream, ident, parent)

    async def create_subshell_request(self, stream: Any, ident: list[bytes], parent: dict[str, Any]) -> None:
        """Create a subshell; guests without control share one."""
        manager = self.shell_channel_thread.manager
        there = manager.list_subshell()
        if self._only_looks(parent):
            if self._looking_subshell not in there:
                reply = self._ask_for_subshell()
                self._looking_subshell = reply.get("subshell_id")
            else:
                reply = {"status": "ok", "subshell_id": self._looking_subshell}
            self.session.send(stream, "create_subshell_reply", reply, parent, ident)
        elif len(there) >= SUBSHELLS:
            self._refuse(stream, parent, ident, f"procedure {self.runner.name} has {SUBSHELLS} subshells; delete one")
        else:
            await super().create_subshell_request(stream, ident, parent)

    def _ask_for_subshell(self) -> dict[str, Any]:
        socket = self.shell_channel_thread.manager.control_to_shell_channel.from_socket
        socket.send_json({"type": "create"})
        reply: dict[str, Any] = socket.recv_json()
        return reply

    async def delete_subshell_request(self, stream: Any, ident: list[bytes], parent: dict[str, Any]) -> None:
        """Delete a subshell, except the one that guests without control share."""
        if self._only_looks(parent) or parent["content"].get("subshell_id") == self._looking_subshell:
            self.session.send(stream, "delete_subshell_reply", {"status": "ok"}, parent, ident)
        else:
            await super().delete_subshell_request(stream, ident, parent)

    async def _admit(
        self, handler: Callable[..., Any], stream: Any, ident: list[bytes], parent: dict[str, Any]
    ) -> None:
        """Handle a request on the control channel; refuse it where a guest may not send it."""
        msg_type = parent["header"]["msg_type"]
        why = None if parent[FROM_SERVICE] else refusal(msg_type, self.runner.name, self.console.controller is not None)
        if why is None:
            await handler(stream, ident, parent)
        else:
            self._refuse(stream, parent, ident, why)

    def _refuse(self, stream: Any, msg: dict[str, Any], idents: list[bytes], why: str) -> None:
        msg_type = msg["header"]["msg_type"]
        if not msg_type.endswith("_request"):
            return  # has no reply
        error = {"ename": "ReadOnly", "evalue": why, "traceback": [why]}
        if msg_type == "execute_request":
            self._publisher.show("error", error, msg)  # consoles show errors from IOPub
            error |= {"execution_count": self.execution_count}
        reply = f"{msg_type.removesuffix('request')}reply"
        self.session.send(stream, reply, {"status": "error", **error}, msg, ident=idents)

    async def execute_request(self, stream: Any, ident: list[bytes], parent: dict[str, Any]) -> None:
        """Execute code; a guest's code is published first."""
        if parent[FROM_SERVICE]:
            await super().execute_request(stream, ident, parent)
            return
        content = parent["content"]
        expressions = content.get("user_expressions") or {}
        code = "\n".join(map(str, [content.get("code", ""), *expressions.values()]))
        try:
            with self.console.typed(code, parent):
                await super().execute_request(stream, ident, parent)
        except KeyboardInterrupt:  # raised before or after the code; a console waits for the reply
            error = {"ename": "KeyboardInterrupt", "evalue": "", "traceback": ["KeyboardInterrupt"]}
            self.session.send(self.iopub_socket, "error", error, parent, ident=self._topic("error"))
            self.session.send(stream, "execute_reply", {"status": "error", **error}, parent, ident=ident)

    def _input_request(self, prompt: str, ident: Any, parent: Any, password: bool = False) -> str:
        value: str = super()._input_request(prompt, ident, parent, password)
        self.console.answered(prompt, value, password)
        return value

    async def interrupt_request(self, stream: Any, ident: list[bytes], parent: dict[str, Any]) -> None:
        """Interrupt the kernel; for a guest, only typed code and never the script."""
        if parent[FROM_SERVICE]:
            await super().interrupt_request(stream, ident, parent)
            return
        self.console.interrupt()
        self.session.send(stream, "interrupt_reply", {"status": "ok"}, parent, ident=ident)
