"""The kernel of a procedure: ipykernel's, with a journal and the requests that run a script.

Start it as ``python -m oet_kernel.kernel -f FILE [--journal FOLDER [--orphan-seconds N]]``. Without a journal it is an
IPython kernel for a notebook or a console.
"""

import atexit
import ctypes
import faulthandler
import inspect
import logging
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import zmq
from ipykernel import displayhook, ipkernel, kernelbase, zmqshell
from ipykernel.displayhook import ZMQDisplayHook
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp, kernel_aliases
from traitlets import Float, Type, Unicode

from oet_kernel.kernel.auth import KernelSession
from oet_kernel.kernel.collected import STREAMS
from oet_kernel.kernel.console import Console
from oet_kernel.kernel.guests import GuestedKernel
from oet_kernel.kernel.iopub import JournalingIOPubThread, Publisher
from oet_kernel.kernel.journal import Journal
from oet_kernel.kernel.last_words import keep, write_to
from oet_kernel.kernel.orphan_watch import OrphanWatch
from oet_kernel.kernel.pipes import OutputPipes
from oet_kernel.kernel.program import Program
from oet_kernel.kernel.runner import Opening, Runner
from oet_kernel.kernel.shell import OetShell
from oet_kernel.kernel.streams import ConsoleText, FlushingSys, ScriptStream, flush_streams
from oet_kernel.protocol import (
    PROTOCOL_VERSION,
    ControlReport,
    ControlRequest,
    EventRequest,
    Hello,
    PauseRequest,
    PrepareRequest,
    RunRequest,
)

IOPUB_HIGH_WATER_MARK = 100_000
"""Messages held for a slow subscriber of ZeroMQ; the default of 1000 loses half of a burst."""
_PR_SET_CHILD_SUBREAPER = 36


@contextmanager
def _modules_left_alone() -> Iterator[None]:
    """Prevent ipykernel from listing the files of all modules for its debugger, which is not there.

    Access to a module changes its reference count, which copies memory pages that are shared with the fork server:
    2 MB in each kernel.
    """
    ipkernel.sys = SimpleNamespace(modules={})
    try:
        yield
    finally:
        ipkernel.sys = sys


class OetKernel(GuestedKernel):
    """An IPython kernel that also prepares and runs a script, by messages of its own."""

    implementation = "oet_kernel"
    shell_class = Type(OetShell)
    msg_types = [*IPythonKernel.msg_types, "oet_prepare_request", "oet_run_request"]
    control_msg_types = [
        *IPythonKernel.control_msg_types, "oet_control_request", "oet_event_request", "oet_pause_request",
    ]  # fmt: skip

    def __init__(self, **kwargs: Any) -> None:
        with _modules_left_alone():
            super().__init__(**kwargs)
        self._publisher = Publisher(self.session, self.iopub_thread)
        self.runner = Runner(self._publisher, lambda: self.shell.events.trigger("post_execute"), self._open_notebook)
        self.console = Console(self.runner.tell)

    def _open_notebook(self, opening: Opening) -> Program:
        from oet_kernel.kernel.notebooks.loader import open_notebook  # scripts need none of it

        app = self.parent
        sockets = app.ip if app.transport == "ipc" else None
        return open_notebook(opening, self.shell, self._publisher, app.journal_folder, sockets)

    async def oet_prepare_request(self, stream: Any, ident: list[bytes], parent: dict[str, Any]) -> None:
        """Load a script and call its ``init``; the outcome is reported in the journal."""
        self.runner.prepare(msgspec.convert(parent["content"], PrepareRequest))

    async def oet_run_request(self, stream: Any, ident: list[bytes], parent: dict[str, Any]) -> None:
        """Call the script's ``main``; the outcome is reported in the journal."""
        self.runner.run(msgspec.convert(parent["content"], RunRequest))

    async def oet_event_request(self, stream: Any, ident: list[bytes], parent: dict[str, Any]) -> None:
        """Deliver an event to the script's listeners; on the control channel, to arrive while ``main`` runs."""
        self.runner.deliver(msgspec.convert(parent["content"], EventRequest))

    async def oet_control_request(self, stream: Any, ident: list[bytes], parent: dict[str, Any]) -> None:
        """Grant or withdraw a guest's control; on the control channel, so that it takes effect at once."""
        request = msgspec.convert(parent["content"], ControlRequest)
        self.console.controller = request.who if request.taken else None
        self._publisher.say(ControlReport(request.who, request.taken))

    async def oet_pause_request(self, stream: Any, ident: list[bytes], parent: dict[str, Any]) -> None:
        """Pause or resume the script at a checkpoint; the outcome is reported in the journal."""
        self.runner.checkpoints.take(msgspec.convert(parent["content"], PauseRequest))

    def ready(self) -> None:
        """Publish the message that the kernel takes requests."""
        self._publisher.say(Hello(protocol=PROTOCOL_VERSION))

    async def do_shutdown(self, restart: bool) -> dict[str, Any]:
        """Handle a shutdown request; a coroutine, since ipykernel warns of any other by the script's own filters."""
        content: Any = super().do_shutdown(restart)
        return await content if inspect.isawaitable(content) else content  # type: ignore[no-any-return]

    async def leave(self) -> None:
        """End the kernel as after a shutdown request, but without one; called in the control channel's loop."""
        await self._at_shutdown()
        self.control_stream.io_loop.add_callback(self.control_stream.io_loop.stop)
        self.io_loop.add_callback(self.io_loop.stop)


class OetKernelApp(IPKernelApp):
    """Starts the kernel: sockets, streams, journal."""

    name = "oet-kernel"
    iopub_port: Any
    kernel_class = Type("oet_kernel.kernel.app.OetKernel", klass="ipykernel.kernelbase.Kernel").tag(config=True)
    journal_folder = Unicode("", help="Folder of the journal; empty for none.").tag(config=True)
    orphan_seconds = Float(
        0, help="Seconds without a service after which the kernel of an ended script ends itself; 0 for never."
    ).tag(config=True)
    aliases = {
        **kernel_aliases,
        "journal": "OetKernelApp.journal_folder",
        "orphan-seconds": "OetKernelApp.orphan_seconds",
    }
    collector: socket.socket | None = None
    """Socket on which the output collector registers kernels; None to collect in a thread."""
    journal: Journal
    """Set only with a journal folder."""

    def _session_default(self) -> KernelSession:
        return KernelSession(parent=self, packer="oet_kernel.kernel.auth.pack")

    def init_iopub(self, context: Any) -> None:
        """Create the IOPub socket, with its high-water mark, which has no effect once the socket is bound."""
        self.iopub_socket = context.socket(zmq.XPUB)
        self.iopub_socket.linger = 1000
        self.iopub_socket.sndhwm = IOPUB_HIGH_WATER_MARK
        self._apply_curve_server_options(self.iopub_socket)
        self.iopub_port = self._bind_socket(self.iopub_socket, self.iopub_port)
        self.configure_tornado_logger()
        self.iopub_thread = JournalingIOPubThread(self.iopub_socket, pipe=True, session=self.session)
        if self.journal_folder:
            self.iopub_thread.journal = self.journal = Journal(Path(self.journal_folder))
        self.iopub_thread.start()
        self.iopub_socket = self.iopub_thread.background_socket

    def initialize(self, argv: list[str] | None = None) -> None:
        """Initialize the kernel, and announce that requests are taken."""
        super().initialize(argv)
        self.begin()

    def init_io(self) -> None:
        """Redirect the script's output into pipes, where there is a journal for it."""
        if not self.journal_folder:
            super().init_io()
            return
        flush_streams()  # output of ipykernel so far is not the script's
        self._stdio = keep(2)
        write_to(self._stdio)
        own = open(self._stdio, "w", buffering=1, closefd=False)  # noqa: SIM115 - to the end of the process
        for handler in self.log.handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.stream = own
        pipes = OutputPipes(Path(self.journal_folder), self.collector)
        console = ConsoleText(self.journal, pipes, self._show)
        for index, name in enumerate(STREAMS):
            stream = ScriptStream(index, pipes, console)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        for module in (displayhook, kernelbase, zmqshell):
            module.sys = FlushingSys()
        self.displayhook = ZMQDisplayHook(self.session, self.iopub_socket)
        sys.displayhook = self.displayhook
        self.iopub_thread.parent = lambda: self.shell.parent_header
        self.iopub_thread.watch_output(pipes)

    def _show(self, content: dict[str, Any]) -> None:
        if self.iopub_thread.attached:
            self.kernel._publisher.show("stream", content, self.shell.parent_header)

    def begin(self) -> None:
        """Finish the setup, then announce that requests are taken."""
        if self.journal_folder:
            self._take_exit_handlers()
            # to a file: the reader of the pipes learns of the end of the process only
            faulthandler.enable(self._stdio, all_threads=False)
        adopt_orphans()
        if self.journal_folder:
            self.session.admit_guests()
        else:
            self.shell.enter_notebook()  # without a journal: an ordinary IPython kernel
        if self.journal_folder and self.orphan_seconds > 0:
            self._orphan_watch = OrphanWatch(
                Path(self.journal_folder), self.orphan_seconds, self.kernel.runner.idle, self._end_orphan
            )
            self._orphan_watch.start()
        self.kernel.ready()

    def _end_orphan(self) -> bool:
        """End the kernel if it is still orphaned; decided in the main thread, where no script can start meanwhile."""
        decided: Future[bool] = Future()

        def decide() -> None:
            ending = self._orphan_watch.away and self.kernel.runner.idle.is_set()
            decided.set_result(ending)
            if ending:
                self.kernel.control_stream.io_loop.add_callback(self.kernel.leave)

        self.kernel.io_loop.add_callback(decide)
        return decided.result()

    def start(self) -> None:
        """Serve until a shutdown request has been fully handled."""
        super().start()
        # the control thread flushes the streams after a shutdown request; closing them meanwhile can hang for ever
        self.control_thread.join(2)
        if self.journal_folder:
            self.kernel.runner.leave()
            for handler in self._exit_handlers:
                with suppress(Exception):
                    handler()

    def _take_exit_handlers(self) -> None:
        """Unregister the kernel's own handlers from ``atexit``, whose handlers are called at the script's end."""
        self._exit_handlers = (
            self.shell.atexit_operations,
            self.iopub_thread.stop,
            self.cleanup_connection_file,
            self.close,
        )
        for handler in self._exit_handlers:
            atexit.unregister(handler)


def adopt_orphans() -> None:
    """Make this process the subreaper of its orphaned descendants (Linux), so that a stop reaches them all."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
