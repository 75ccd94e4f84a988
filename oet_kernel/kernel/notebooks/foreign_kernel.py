"""Execution of a notebook's cells in the kernel of another language, a child of this kernel.

The child's messages are published by this kernel: they are journaled, and so survive the end of the service. The child
ends with this process. Messages in transit when the child dies are lost, as with any kernel without a journal.
"""

import atexit
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_client.manager import KernelManager

from oet_kernel.formatting.python_call import call
from oet_kernel.kernel.iopub import Publisher
from oet_kernel.kernel.notebooks.cells import RunEnded
from oet_kernel.kernel.notebooks.relay import Relay
from oet_kernel.models import ProcedureInput
from oet_kernel.protocol import OUTPUT_FILE
from oet_kernel.system.blocked_imports import blocked

START_DEADLINE = 60.0
"""Seconds within which a kernel must take requests."""
_SUBSCRIBED = 0.2
"""Seconds to wait for a first IOPub message after an answer: none means that our subscription came too late."""
_FLUSH_DEADLINE = 5.0
"""Seconds that a cell's output may arrive after the reply."""
_LEAVE_DEADLINE = 0.3
"""Grace period in seconds between the shutdown request and SIGKILL."""
_PREPARE = """\
__import__('sys').path.insert(0, {!r})
(lambda shell: setattr(shell, 'ask_exit', lambda: shell.payload_manager.write_payload(
    dict(source='ask_exit', keepkernel=shell.keepkernel_on_exit))))(get_ipython())
"""
"""First code of a Python kernel: it finds modules beside the notebook, and its ``exit`` only asks for the end, since
cells tagged ``finally`` are still to run.
"""
_STATUS_0 = ("", "0", "None", "False")
"""Texts of a Python ``SystemExit`` that means success."""
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class NoKernel(Exception):
    """The notebook's kernel is not available."""


class CellFailed(Exception):
    """A cell has failed; the text is its kernel's traceback."""


class KernelDied(Exception):
    """The kernel that runs the cells has ended."""


class ForeignCells:
    """One kernel of another language.

    Parameters
    ----------
    name
        Name of the kernelspec.
    publisher
        Publishes the kernel's messages.
    publish
        Publishes an event.
    folder
        A private folder, for the connection file and the output of the process outside Jupyter.
    sockets
        Beginning of the paths of the kernel's sockets; None for TCP on the loopback device.
    notebook
        The notebook's file, whose folder comes first on the module search path of the cells.
    coroutines
        Names of the coroutine functions that the cells define.

    Raises
    ------
    NoKernel
        When there is no such kernelspec; with the names of the installed ones.
    """

    def __init__(
        self,
        name: str,
        publisher: Publisher,
        publish: Callable[[str, Mapping[str, Any]], None],
        folder: Path,
        sockets: str | None,
        notebook: Path,
        coroutines: frozenset[str] = frozenset(),
    ) -> None:
        self._spec = find_spec(name)
        self.name = name
        self.display_name: str = self._spec.display_name
        self._relay = Relay(publisher, publish)
        self._notebook = notebook
        self._coroutines = coroutines
        self._stdio = folder / OUTPUT_FILE
        context = zmq.Context()
        context.rcvhwm = 0  # a burst waits here instead of being dropped there
        address = {"transport": "ipc", "ip": sockets} if sockets and _speaks_ipc(self._spec) else {}
        self._manager = KernelManager(
            kernel_name=name, connection_file=str(folder / "notebook-kernel.json"), context=context, **address
        )
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._pidfd = -1
        self._interrupted = False

    def start(self) -> None:
        """Start the kernel, and wait until it takes requests and its messages are received.

        Raises
        ------
        KernelDied
            When the kernel ends before.
        NoKernel
            When the kernel does not start, or does not answer.
        """
        with self._noting_interrupts():
            try:
                with open(self._stdio, "ab") as stdio:
                    # otherwise each kernel on ipykernel prints four lines about its debugger
                    env = {**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
                    self._manager.start_kernel(env=env, stdout=stdio, stderr=stdio, stdin=subprocess.DEVNULL)
            except OSError as error:
                raise NoKernel(f"The kernel {self.name} could not be started: {error}") from None
            atexit.register(self.close)
            self._pidfd = os.pidfd_open(self._manager.provisioner.pid)
            self._shell, self._iopub = self._manager.connect_shell(), self._manager.connect_iopub()
            self._poller = zmq.Poller()
            for source in (self._iopub, self._shell, self._pidfd, self._wake):
                self._poller.register(source, zmq.POLLIN)
            self._await_ready()
            if self._spec.language.lower() == "python":
                self._execute("the start", _PREPARE.format(str(self._notebook.resolve().parent)), silent=True)

    def run(self, name: str, source: str) -> None:
        """Run a cell."""
        with self._noting_interrupts():
            reply = self._execute(name, source)
        if self._interrupted:
            raise KeyboardInterrupt(f"{name} was interrupted")
        if reply["status"] != "ok":
            if reply.get("ename") == "SystemExit" and reply.get("evalue") in _STATUS_0:
                raise SystemExit
            raise CellFailed(_failure(name, reply))
        payload = reply.get("payload")
        if any(_ends_the_run(one) for one in (payload if isinstance(payload, list) else ())):
            raise RunEnded

    def assignments(self, values: dict[str, Any]) -> str:
        """Write arguments in the language of the cells, by papermill's rules."""
        _find_papermill()
        # takes seconds to import, half of them for the grammar of a format that notebooks do not use
        with blocked("rfc3987_syntax"):
            from papermill.exceptions import PapermillException
            from papermill.translators import papermill_translators

        try:
            translator = papermill_translators.find_translator(self.name, self._spec.language)
            return "\n".join(translator.assign(name, translator.translate(value)) for name, value in values.items())
        except (PapermillException, NotImplementedError) as error:
            raise TypeError(f"Arguments cannot be written in {self._spec.language}: {error}") from None

    def call(self, name: str, arguments: ProcedureInput) -> None:
        """Call a function that the cells have defined, in Python."""
        self.run(f"the call of {name}", f"{call(name, arguments, awaited=name in self._coroutines)};")

    def close(self) -> None:
        """End the kernel: send a shutdown request, then SIGKILL."""
        atexit.unregister(self.close)
        if self._pidfd < 0:
            return
        control = self._manager.connect_control()
        control.linger = int(_LEAVE_DEADLINE * 1000)
        self._manager.session.send(control, "shutdown_request", {"restart": False})
        ended = zmq.Poller()
        ended.register(self._pidfd, zmq.POLLIN)
        ended.poll(int(_LEAVE_DEADLINE * 1000))
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        os.close(self._pidfd)
        self._pidfd = -1
        control.close()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_DEADLINE
        answered, heard = False, False
        self._request("kernel_info_request", {})
        while not (answered and heard):
            if self._interrupted:
                raise KeyboardInterrupt
            left = deadline - time.monotonic()
            if left <= 0:
                raise NoKernel(f"The kernel {self.name} has not answered within {START_DEADLINE:g} s")
            ready = self._ready(min(left, _SUBSCRIBED) if answered else left)
            while (message := self._receive(self._iopub)) is not None:
                heard = True
                self._relay.take(message)
            while (message := self._receive(self._shell)) is not None:
                answered = True
            if not ready and answered and not heard:
                # it answered before our subscription reached it: another answer shows whether it has by now
                self._request("kernel_info_request", {})
                answered = False
            self._watch(ready, "before it took requests")

    def _finish(self, request: str, name: str) -> dict[str, Any]:
        """Pass on the kernel's messages until it has replied and is idle; return its reply."""
        reply: dict[str, Any] | None = None
        idle, flushed_by = False, 0.0
        while reply is None or not idle:
            left = None if reply is None else flushed_by - time.monotonic()
            if left is not None and left <= 0:
                self._relay.say(f"{name} is done, but its kernel has not said that this is all: output may be missing")
                break
            ready = self._ready(left)
            while (message := self._receive(self._iopub)) is not None:
                idle = idle or _is_idle(message, request)
                self._relay.take(message)
            while (message := self._receive(self._shell)) is not None:
                if message["parent_header"].get("msg_id") == request:
                    reply, flushed_by = message["content"], time.monotonic() + _FLUSH_DEADLINE
            if self._wake in ready:
                os.eventfd_read(self._wake)
                self._manager.interrupt_kernel()
            self._watch(ready, f"while it ran {name}")
        assert reply is not None
        self._relay.tell_error(reply)
        return reply

    def _execute(self, name: str, source: str, *, silent: bool = False) -> dict[str, Any]:
        content = {
            "code": source, "silent": silent, "store_history": not silent, "user_expressions": {},
            "allow_stdin": False, "stop_on_error": False,
        }  # fmt: skip
        return self._finish(self._request("execute_request", content), name)

    def _ready(self, seconds: float | None) -> dict[Any, int]:
        return dict(self._poller.poll(None if seconds is None else int(seconds * 1000) + 1))

    def _watch(self, ready: dict[Any, int], when: str) -> None:
        if self._pidfd in ready:
            while (message := self._receive(self._iopub)) is not None:
                self._relay.take(message)
            self._relay.tell_error()
            status = self._manager.provisioner.process.wait()
            os.close(self._pidfd)
            self._pidfd = -1
            how = signal.Signals(-status).name if status < 0 else f"exit code {status}"
            raise KernelDied(f"The kernel {self.name} ended with {how} {when}")

    def _request(self, msg_type: str, content: dict[str, Any]) -> str:
        if self._pidfd < 0:
            raise KernelDied(f"The kernel {self.name} has ended")
        return str(self._manager.session.send(self._shell, msg_type, content)["header"]["msg_id"])

    def _receive(self, socket: Any) -> dict[str, Any] | None:
        """Receive the next message; None when there is none."""
        try:
            message: dict[str, Any] | None = self._manager.session.recv(socket, mode=zmq.NOBLOCK)[1]
        except ValueError as error:  # wrongly signed, or malformed
            self._relay.say(f"The kernel {self.name} has sent a message that cannot be read: {error}")
            return {"msg_type": "", "parent_header": {}, "content": {}}
        return message

    @contextmanager
    def _noting_interrupts(self) -> Iterator[None]:
        """Handle an interrupt by waking the loop, so that it breaks off nothing."""
        self._interrupted = False
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        usual = signal.signal(signal.SIGINT, lambda signum, frame: self._interrupt())
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)

    def _interrupt(self) -> None:
        self._interrupted = True
        os.eventfd_write(self._wake, 1)


def find_spec(name: str) -> KernelSpec:
    """Find a kernelspec by its name.

    Raises
    ------
    NoKernel
        When there is none; with the names of the installed ones.
    """
    manager = KernelSpecManager()
    try:
        return manager.get_kernel_spec(name)
    except NoSuchKernel:
        there = ", ".join(sorted(manager.find_kernel_specs())) or "none"
        raise NoKernel(
            f"The notebook asks for the kernel {name}, which is not installed; installed kernels: {there}. Install "
            f"{name}, or run the notebook in one of these: oet run --kernel NAME, or over REST the script's kernel."
        ) from None


def _find_papermill() -> None:
    """Make papermill importable in a script's environment, which has only the packages that every kernel needs."""
    beside = Path(__file__).parents[3]
    if beside.name == "last" and (notebooks := str(beside.with_name("notebooks"))) not in sys.path:
        sys.path.append(notebooks)


def is_own_environment(spec: KernelSpec) -> bool:
    """Return whether a Python kernelspec starts this very interpreter."""
    program = spec.argv[0] if spec.argv else ""
    if os.sep not in program:  # Jupyter takes its own interpreter for a plain ``python3``
        return program.startswith("python")
    # not resolved: the interpreters of virtual environments are links to the same file
    return os.path.dirname(os.path.abspath(program)) == os.path.dirname(os.path.abspath(sys.executable))


def _speaks_ipc(spec: KernelSpec) -> bool:
    """Return whether a kernel is known to support IPC sockets: ipykernel does, some others do not."""
    return bool(spec.argv) and Path(spec.argv[0]).name.startswith("python")


def _is_idle(message: dict[str, Any], request: str) -> bool:
    """Return whether a message says that the kernel is done with a request."""
    if message["msg_type"] != "status" or message["content"].get("execution_state") != "idle":
        return False
    return bool(message["parent_header"].get("msg_id") == request)


def _ends_the_run(payload: Any) -> bool:
    """Return whether a payload asks for the kernel's end, as ``exit`` and R's ``quit`` do."""
    return isinstance(payload, dict) and payload.get("source") == "ask_exit" and not payload.get("keepkernel")


def _failure(name: str, reply: dict[str, Any]) -> str:
    what = ": ".join(str(one) for one in (reply.get("ename"), reply.get("evalue")) if one).strip() or reply["status"]
    lines = [_ANSI.sub("", str(line)) for line in reply.get("traceback") or ()]
    # name and text of the error come last, as in a Python traceback, since summaries show the last line
    return "\n".join([f"{name} has failed:", *lines, what]) if lines else f"{name} has failed: {what}"
