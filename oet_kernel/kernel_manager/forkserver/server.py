"""The fork server: one process that has imported all a kernel needs, and forks a kernel whenever it is asked to.

A single thread, a loop over a socket and a signal pipe; nothing is started here that does not survive a fork. Messages
are JSON behind their length (four bytes, big-endian), on a unix stream socket:

    <- {"kernels": [{"pid": 1234, "started": 56, "folder": "...", "status": null}]}     what there is, at first
    -> {"op": "fork", "id": 1, "argv": [...], "folder": "...", "environment": {...}, "stdio": "..."}
    <- {"id": 1, "pid": 1234, "started": 56}          with the process's pidfd (SCM_RIGHTS)
    <- {"pid": 1234, "started": 56, "status": 0, "at": 1601463545.5}
                                                      when it has ended: exit code, or minus the signal's number
    -> {"op": "retire"}                               take no other client, end when the last kernel has
    -> {"op": "end"}                                  end, and end all that was forked

It serves one service at a time. When that one goes, it keeps its kernels and how they end, and waits for the next.
"""

import argparse
import array
import atexit
import contextlib
import ctypes
import gc
import json
import logging
import multiprocessing.process
import multiprocessing.util
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from oet_kernel.kernel.forked import ForkedKernelApp

from oet_kernel.kernel.collector import start_collector
from oet_kernel.kernel.last_words import ending_unstarted
from oet_kernel.kernel.launch import Launch
from oet_kernel.kernel_manager.forkserver.heap import fill_holes
from oet_kernel.kernel_manager.forkserver.warmup import preload, train
from oet_kernel.system.blocked_imports import blocked
from oet_kernel.system.process_identity import start_of, write_identity
from oet_kernel.system.process_tree import children_of, kill_tree

_PR_SET_CHILD_SUBREAPER = 36
_KEPT_ENDINGS = 1000
"""Number of exit statuses that are kept for a service that was away, or has not recorded them."""
_FIRST_CLIENT = 30.0
"""Seconds within which the service that has started the fork server must connect."""
_READY = "oet fork server ready"


class ForkServer:
    """Forks kernels for one client at a time.

    Parameters
    ----------
    path
        Path of the socket to listen on.
    orphan_seconds
        Seconds to wait for a client while there is no kernel; 0 for no limit.
    """

    def __init__(self, path: Path, orphan_seconds: float) -> None:
        from oet_kernel.kernel.forked import ForkedKernelApp

        self._app = ForkedKernelApp.instance()
        self._app.prepare()
        self._main_thread = threading.main_thread()
        self._kernels: dict[int, dict[str, Any]] = {}
        self._ended: deque[dict[str, Any]] = deque(maxlen=_KEPT_ENDINGS)
        self._path = path
        self._orphan_seconds = orphan_seconds
        self._alone_since = time.monotonic() + _FIRST_CLIENT
        self._retired = False
        self._listener = socket.socket(socket.AF_UNIX)
        path.unlink(missing_ok=True)
        self._listener.bind(str(path))
        self._listener.listen()
        self._inode = path.stat().st_ino
        self._client: socket.socket | None = None
        self._received = b""
        self._signals, self._signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> None:
        """Serve until a request to end, or until no client has connected within `orphan_seconds`."""
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _keep_exit_handlers_of_every_kernel(self._app)
        gc.collect()
        fill_holes()
        gc.freeze()
        self._app.collector, self._collector = start_collector()
        while True:
            patience = self._patience()
            if patience is not None and patience <= 0:
                self._end()
            sources = [source for source in (self._signals, self._listener, self._client) if source is not None]
            for ready in select.select(sources, [], [], patience)[0]:
                if ready is self._listener:
                    self._accept()
                elif ready == self._signals:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._signals, 4096)
                    self._reap()
                elif ready is self._client:
                    self._receive()

    def _patience(self) -> float | None:
        """Return the seconds to wait for a request; None without a limit."""
        if self._kernels:
            return None
        if self._retired:
            return 0
        if self._client is not None or not self._orphan_seconds:
            return None
        return self._alone_since + self._orphan_seconds - time.monotonic()

    def _accept(self) -> None:
        """Accept a client, in place of the one before, and send it the list of kernels."""
        if self._client is not None:
            self._client.close()
        self._client = self._listener.accept()[0]
        self._received = b""
        self._send({"kernels": [*self._ended, *self._kernels.values()]})

    def _receive(self) -> None:
        """Handle the client's requests; after its end, wait for another client."""
        assert self._client is not None
        try:
            chunk = self._client.recv(1 << 20)
        except OSError:
            chunk = b""
        self._received += chunk
        while len(self._received) >= 4:
            size = int.from_bytes(self._received[:4])
            if len(self._received) < 4 + size:
                break
            message, self._received = self._received[4 : 4 + size], self._received[4 + size :]
            self._do(json.loads(message))
        if not chunk:
            self._client.close()
            self._client = None
            self._alone_since = time.monotonic()

    def _do(self, request: dict[str, Any]) -> None:
        if request["op"] == "fork":
            self._fork(request)
        elif request["op"] == "retire":
            self._retired = True
            self._withdraw()
        elif request["op"] == "end":
            self._end()

    def _withdraw(self) -> None:
        """Remove the server's socket from its folder; another server may listen in its place."""
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _send(self, message: dict[str, Any], *descriptors: int) -> None:
        if self._client is None:
            return
        data = json.dumps(message).encode()
        data = len(data).to_bytes(4) + data
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        with contextlib.suppress(OSError):  # the client has gone, which `_receive` detects
            sent = self._client.sendmsg([data], rights)
            self._client.sendall(data[sent:])

    def _fork(self, request: dict[str, Any]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = None
        try:
            pid = os.fork()
            if pid == 0:
                self._become_kernel(request)
            pidfd = os.pidfd_open(pid)
        except OSError as error:  # no more processes, memory or descriptors: existing kernels are kept
            if pid is not None:
                kill_tree(pid)
            self._send({"id": request["id"], "error": error.strerror})
            return
        started = start_of(pid)  # available until the process is reaped here
        self._kernels[pid] = {"pid": pid, "started": started, "folder": Launch.of(request["argv"]).journal_folder}
        self._send({"id": request["id"], "pid": pid, "started": started}, pidfd)
        os.close(pidfd)

    def _reap(self) -> None:
        """Report the kernels that have ended, after killing their remaining descendants."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._collector:  # its kernels take over; later kernels get a new collector, or none
                self._app.collector, self._collector = None, 0
                with contextlib.suppress(OSError):
                    self._app.collector, self._collector = start_collector()
            if pid in self._kernels:
                kernel = self._kernels.pop(pid)
                kernel |= {"status": os.waitstatus_to_exitcode(status), "at": time.time()}
                self._ended.append(kernel)
                if not self._kernels:
                    self._alone_since = max(self._alone_since, time.monotonic())
                self._sweep()
                self._send(kernel)

    def _sweep(self) -> None:
        """Kill children that were not forked here: orphaned descendants of ended kernels, inherited as subreaper."""
        for pid in children_of(os.getpid()):
            if pid not in self._kernels and pid != self._collector:
                kill_tree(pid)

    def _end(self) -> NoReturn:
        self._withdraw()
        for pid in self._kernels:
            kill_tree(pid)
        self._kernels.clear()
        self._sweep()
        os._exit(0)

    def _become_kernel(self, request: dict[str, Any]) -> NoReturn:
        """Undo the server's setup, run as a kernel to its end, and exit as a separate process would."""
        code = 1
        try:
            with ending_unstarted():
                self._leave_server(request)
                launch = Launch.of(request["argv"])
                write_identity(Path(launch.journal_folder), forked=True)
                self._app.finish(launch)
            self._app.start()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            with contextlib.suppress(BaseException):
                threading._shutdown()  # type: ignore[attr-defined]
            with contextlib.suppress(BaseException):
                atexit._run_exitfuncs()
            with contextlib.suppress(BaseException):
                sys.__stdout__.flush()  # type: ignore[union-attr]
                sys.__stderr__.flush()  # type: ignore[union-attr]
            os._exit(code)

    def _leave_server(self, request: dict[str, Any]) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        self._listener.close()
        if self._client is not None:
            self._client.close()
        os.close(self._signals)
        os.close(self._signalled)
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        stdio = os.open(request["stdio"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(stdio, 1)
        os.dup2(stdio, 2)
        os.close(stdio)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        time.tzset()
        sys.argv, sys.orig_argv = request["argv"], list(request["argv"])
        multiprocessing.process.ORIGINAL_DIR = os.getcwd()  # type: ignore[attr-defined]
        multiprocessing.current_process().authkey = os.urandom(32)
        tempfile.tempdir = None  # a preloaded module may have set it, with another TMPDIR
        self._main_thread._set_native_id()  # type: ignore[attr-defined]  # Python 3.11 keeps the server's
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed()  # Python's own generators are reseeded at a fork, numpy's is not
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text("oet-kernel")


def _keep_exit_handlers_of_every_kernel(app: "ForkedKernelApp") -> None:
    """Unregister the exit handlers of imported modules, except the standard library's, which every kernel has.

    A handler of a preloaded module releases an object of this process (a folder, a connection): the first kernel to end
    would remove it for all others.
    """
    atexit._clear()
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False
    for handler in (
        logging.shutdown,
        multiprocessing.util._exit_function,  # type: ignore[attr-defined]
        weakref.finalize._exitfunc,  # type: ignore[attr-defined]
        app.exit_handler,
    ):
        atexit.register(handler)


def main() -> None:
    """``python -m oet_kernel.kernel_manager.forkserver.server --socket PATH ...``: fork kernels on request."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--socket", type=Path, required=True)
    options.add_argument("--orphan-seconds", type=float, default=0)
    options.add_argument("--preload", default="")
    given = options.parse_args()
    with blocked("debugpy"):
        import oet_kernel.kernel.forked  # noqa: F401 - all modules that every kernel needs

        train()
    preload(filter(None, given.preload.split(",")))
    server = ForkServer(given.socket, given.orphan_seconds)
    print(_READY, flush=True)  # noqa: T201 - its supervisor waits for it
    os.dup2(2, 1)  # the supervisor reads no more
    server.serve()


if __name__ == "__main__":
    main()
