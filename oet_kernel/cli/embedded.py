"""Embedded service for the life of one command, on machines without a service."""

import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oet_kernel.client.errors import ClientError
from oet_kernel.server.entry import NEEDS_LINUX
from oet_kernel.system.children import inherited

_READY = "OET API at "
_PREFIX = "oet-run-"
_SETTLED = 5.0
"""Seconds after which a newly created folder has its lock."""
_START_DEADLINE = 60.0
_END_DEADLINE = 15.0


@contextmanager
def _own_folder() -> Iterator[tuple[str, int]]:
    """Create a folder, and remove it at the end; its lock, whose descriptor is yielded too, marks it as in use."""
    folder: str | None = None
    lock: int | None = None
    try:
        with _signals_later():
            folder = tempfile.mkdtemp(prefix=_PREFIX)
        lock = _lock(Path(folder))
        yield folder, lock
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def _signals_later() -> Iterator[None]:
    """Postpone signals that unwind the stack until the created folder has its name, and can be removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    usual = {one: signal.getsignal(one) for one in signals}
    # a handler that was not set by Python (None) could not be restored
    before = {one: handler for one, handler in usual.items() if handler not in (signal.SIG_IGN, None)}
    for one in before:
        signal.signal(one, lambda signum, frame: came.append(signum))
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        for signum in came[:1]:
            signal.raise_signal(signum)


def _lock(folder: Path) -> int:
    import fcntl  # not available on Windows, where this is never called

    from oet_kernel.state.layout import Layout

    lock = os.open(Layout(folder).lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _sweep() -> None:
    """Remove the folders of commands that were killed."""
    long_ago = time.time() - _SETTLED
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            found = folder.lstat()
            # a folder that is being created has no lock yet
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and found.st_mtime < long_ago:
                lock = _lock(folder)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


@contextmanager
def embedded_service() -> Iterator[tuple[str, str]]:
    """Start a service without a discovery file, and end it with its procedures when the context ends.

    The service also ends with this process, however that ends, since it watches the pipe of its standard input.

    Yields
    ------
    tuple of str
        API root and token.

    Raises
    ------
    ClientError
        When the service does not start; the message holds its output.
    """
    if sys.platform != "linux":
        raise ClientError(NEEDS_LINUX)
    token = secrets.token_hex(24)
    with _signals_later():
        _sweep()
    with _own_folder() as (folder, lock):
        argv = [sys.executable, "-P", "-m", "oet_kernel.server.entry", "--port=0", f"--state-dir={folder}/state"]
        env = {**inherited(settings=True), "OET_TOKEN": token, "OET_RUNTIME_DIR": f"{folder}/runtime"}
        with open(Path(folder, "server.log"), "w+") as log:
            process: subprocess.Popen[str] | None = None
            deadline: threading.Timer | None = None
            try:
                with _signals_later():
                    process = subprocess.Popen(
                        [*argv, "--ip=127.0.0.1", "--OetApp.until_stdin_closes=True"],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        env=env,
                        text=True,
                        pass_fds=[lock],  # the folder is in use as long as either process lives
                        start_new_session=True,  # Ctrl-C is for this process, which then stops the procedure
                    )
                deadline = threading.Timer(_START_DEADLINE, process.kill)
                deadline.start()
                assert process.stdout is not None
                line = next((line for line in process.stdout if line.startswith(_READY)), None)
                deadline.cancel()
                if line is None:
                    log.seek(0)
                    said = log.read().strip() or f"no output within {_START_DEADLINE:g} s"
                    raise ClientError(f"The embedded service did not start:\n{said}")
                yield line.removeprefix(_READY).strip().rstrip("/"), token
            finally:
                if deadline is not None:
                    deadline.cancel()
                if process is not None:
                    _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Stop the service by closing its standard input."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    try:
        process.wait(_END_DEADLINE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
