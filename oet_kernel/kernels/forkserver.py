"""The fork server: one process that has imported all a kernel needs, and forks a kernel whenever it is asked to.

A single thread, a loop over a socket and a signal pipe; nothing is started here that does not survive a fork. Messages
are JSON behind their length (four bytes, big-endian), on a unix stream socket:

    -> {"op": "fork", "id": 1, "argv": [...], "folder": "...", "environment": {...}, "stdio": "..."}
    <- {"id": 1, "pid": 1234}                         with the process's pidfd (SCM_RIGHTS)
    <- {"pid": 1234, "status": 0}                     when it has ended: exit code, or minus the signal's number

It ends, and ends all that it has forked, when the service that is connected to it goes.
"""

import argparse
import array
import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

_PR_SET_CHILD_SUBREAPER = 36
_READY = "oet fork server ready"

TRAINING = """
import asyncio, dataclasses, enum, functools, json, logging, pathlib, subprocess, threading, time
from pubsub import pub
from oet_kernel.api import publish
def init(subarray_id=1):
    print("x"); publish("user.script.announce", msg=1)
async def main():
    pub.sendMessage("user.script.announce", msg_src="0", msg=1)
    await asyncio.sleep(0)
    raise ValueError("x")
"""
"""What a throw-away kernel runs, so that what kernels import later is imported before they are forked."""


def preload(modules: Iterable[str]) -> None:
    """Import modules, and refuse those that start threads: a thread does not survive a fork, but the locks it held do.

    Parameters
    ----------
    modules
        Names, as an operator gives them.

    Raises
    ------
    ImportError, RuntimeError
        With the name of the module.
    """
    for name in modules:
        importlib.import_module(name)
        if (threads := _threads()) > 1:
            raise RuntimeError(
                f"Cannot preload {name}: it has started {threads - 1} thread(s), which do not survive a fork"
            )


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            found += [int(child) for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    return found


def kill_all(pid: int) -> None:
    """Kill a process and all its descendants; each is frozen first, so that it forks no more."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        for child in _children(pid):
            kill_all(child)
        os.kill(pid, signal.SIGKILL)


class ForkServer:
    """Forks kernels for one client.

    Parameters
    ----------
    client
        The connection to it.
    """

    def __init__(self, client: socket.socket) -> None:
        from oet_kernel.kernel.forked import ForkedKernelApp

        self._app = ForkedKernelApp.instance()
        self._app.prepare()
        self._main_thread = threading.main_thread()
        self._kernels: set[int] = set()
        self._client = client
        self._received = b""
        self._signals, self._signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> None:
        """Fork until the client goes."""
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        atexit._clear()  # what the imports have registered is not for kernels to run
        gc.collect()
        gc.freeze()
        while True:
            descriptors = [self._client.fileno(), self._signals]
            for ready in select.select(descriptors, [], [])[0]:
                if ready == descriptors[0]:
                    if not self._receive():
                        self._end()
                else:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._signals, 4096)
                    self._reap()

    def _receive(self) -> bool:
        """Take what the client has sent; False when it is gone."""
        try:
            chunk = self._client.recv(1 << 20)
        except OSError:
            return False
        self._received += chunk
        while len(self._received) >= 4:
            size = int.from_bytes(self._received[:4])
            if len(self._received) < 4 + size:
                break
            message, self._received = self._received[4 : 4 + size], self._received[4 + size :]
            self._fork(json.loads(message))
        return bool(chunk)

    def _send(self, message: dict[str, Any], *descriptors: int) -> None:
        data = json.dumps(message).encode()
        data = len(data).to_bytes(4) + data
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        with contextlib.suppress(OSError):  # the client has gone, which is noticed where it is read
            sent = self._client.sendmsg([data], rights)
            self._client.sendall(data[sent:])

    def _fork(self, request: dict[str, Any]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._become_kernel(request)
        self._kernels.add(pid)
        pidfd = os.pidfd_open(pid)
        self._send({"id": request["id"], "pid": pid}, pidfd)
        os.close(pidfd)

    def _reap(self) -> None:
        """Report the kernels that have ended, after ending what they have left behind."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._kernels:
                self._kernels.discard(pid)
                self._sweep()
                self._send({"pid": pid, "status": os.waitstatus_to_exitcode(status)})

    def _sweep(self) -> None:
        """Kill children that were not forked here: descendants of kernels that have ended, come to the subreaper."""
        for pid in _children(os.getpid()):
            if pid not in self._kernels:
                kill_all(pid)

    def _end(self) -> NoReturn:
        for pid in list(self._kernels):
            kill_all(pid)
        self._sweep()
        os._exit(0)

    def _become_kernel(self, request: dict[str, Any]) -> NoReturn:
        """Undo what is the server's, be a kernel until its end, and end as a process of its own would."""
        code = 1
        try:
            self._leave_server(request)
            from oet_kernel.kernel.forked import connection_of

            self._app.finish(*connection_of(request["argv"]))
            self._app.start()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            with contextlib.suppress(BaseException):
                threading._shutdown()  # type: ignore[attr-defined]
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
        sys.argv = request["argv"]
        self._main_thread._set_native_id()  # type: ignore[attr-defined]  # Python 3.11 keeps the server's
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed()  # Python's own generators are seeded anew at a fork, this one is not
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text("oet-kernel")


def train() -> None:
    """Fork a kernel, have it run a script, and import what it has imported."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        with contextlib.suppress(BaseException):
            os.setsid()
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            os.write(write, json.dumps(_modules_of_a_kernel()).encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    for name in json.loads(answer or b"[]"):
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _modules_of_a_kernel() -> list[str]:
    from oet_kernel.kernel.app import OetKernelApp
    from oet_kernel.kernel.runner import PrepareRequest, RunRequest

    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "oet_training_script.py")
        script.write_text(TRAINING)
        app = OetKernelApp.instance()
        app.initialize(["-f", f"{folder}/kernel.json", "--journal", folder, "--HistoryManager.enabled=False"])
        names: list[str] = []

        async def work() -> None:
            app.kernel._runner.prepare(PrepareRequest(0, str(script)))
            app.kernel._runner.run(RunRequest())
            for name, module in list(sys.modules.items()):
                file = getattr(module, "__file__", None) or ""
                if not file.startswith(folder) and name != "__main__":
                    names.append(name)

        import asyncio

        asyncio.get_event_loop().run_until_complete(work())
    return names


def main() -> None:
    """``python -m oet_kernel.kernels.forkserver --client DESCRIPTOR [--preload numpy,astropy]``."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--client", type=int, required=True)
    options.add_argument("--preload", default="")
    given = options.parse_args()
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    import oet_kernel.kernel.forked  # noqa: F401 - all that every kernel needs

    train()
    del sys.modules["debugpy"]
    preload(filter(None, given.preload.split(",")))
    server = ForkServer(socket.socket(fileno=given.client))
    print(_READY, flush=True)  # noqa: T201 - its supervisor waits for it
    server.serve()


if __name__ == "__main__":
    main()
