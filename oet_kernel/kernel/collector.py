"""The collector: a process that journals what kernels write to their descriptors 1 and 2.

The collector is a separate process because a pipe holds 64 KiB: compiled code that writes more without releasing the
GIL would wait for ever for a reader in its own process. A fork server has one collector for all its kernels; a kernel
that is started plainly has its own.

A kernel registers by one message on a socket (SOCK_SEQPACKET): the path of its folder, with these descriptors: reading
ends of the pipes of standard output and standard error, a socket for requests, a socket for the texts that attached
clients are shown, and a pidfd.
"""

import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from oet_kernel.kernel.collected import CollectedKernel, ScratchPipe
from oet_kernel.kernel.journal import RETRY_SECONDS
from oet_kernel.kernel.readiness import Readiness
from oet_kernel.protocol import COLLECTOR_NAME


def start_collector(*, detached: bool = False) -> tuple[socket.socket, int]:
    """Fork a collector; return the socket for registrations, and the pid of the child, once it has its name.

    Parameters
    ----------
    detached
        True for a collector that is not a child of the caller, which then neither waits for it nor counts it.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        if detached and os.fork():
            os._exit(0)
        _be_collector(theirs)
    theirs.close()
    if detached:
        os.waitpid(pid, 0)
    ours.recv(1)  # empty where the collector has ended already
    return ours, pid


def _be_collector(registrations: socket.socket) -> NoReturn:
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)  # the collector ends with its last kernel
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in [int(name) for name in os.listdir("/proc/self/fd")]:
            if descriptor not in (2, registrations.fileno()):
                with suppress(OSError):
                    os.close(descriptor)
        with suppress(OSError):
            Path("/proc/self/comm").write_text(COLLECTOR_NAME)
        registrations.send(b"1")
        Collector(registrations).run()
        os._exit(0)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(1)


class Collector:
    """Journals the output of all kernels that register.

    Parameters
    ----------
    registrations
        Socket on which kernels register.
    """

    def __init__(self, registrations: socket.socket) -> None:
        self._registrations = registrations
        self._readiness = Readiness()
        self._scratch = ScratchPipe()
        self._kernels: set[CollectedKernel] = set()
        self._readiness.watch(registrations.fileno(), self._register)

    def run(self) -> None:
        """Collect until no kernel is left and none can come."""
        while self._readiness.watches or self._kernels:
            full = [kernel for kernel in self._kernels if kernel.paused]
            self._readiness.turn(RETRY_SECONDS if full else None)
            for kernel in self._kernels.intersection(full):  # without those that have ended meanwhile
                kernel.resume()

    def _register(self, events: int) -> None:
        try:
            folder, descriptors, _, _ = socket.recv_fds(self._registrations, 4096, 8, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        if not folder:
            self._readiness.unwatch(self._registrations.fileno())
            return
        try:
            path = Path(os.fsdecode(folder))
            kernel = CollectedKernel(self._readiness, self._scratch, self._kernels.discard, path, *descriptors)
            self._kernels.add(kernel)
        except Exception:  # its folder is gone
            traceback.print_exc(file=sys.__stderr__)
            for descriptor in descriptors:
                self._readiness.unwatch(descriptor)
                os.close(descriptor)
