"""Handling of standard streams that are closed, full, or without a reader."""

import errno
import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from oet_kernel.cli.printing import say

CLOSED_PIPE = 141
"""Exit status if the reader of the output has left: the same as for programs ended by SIGPIPE."""


def open_missing() -> None:
    """Open the null device for each standard stream that is closed.

    Otherwise a file or connection could get its descriptor, and printing would fail.
    """
    for name, descriptor, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            # this is the lowest free descriptor: those before it are open by now
            null = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(null, mode, encoding="utf-8", closefd=null != descriptor))


def cannot_write(error: OSError) -> int:
    """Print the reason why output could not be written, unless its reader has left; return the exit status.

    Parameters
    ----------
    error
        Error of a write to a standard stream or another file.
    """
    # buffered data must not be written again when the process ends
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
            continue
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
    if error.errno == errno.EPIPE or (sys.platform == "win32" and error.errno == errno.EINVAL):
        return CLOSED_PIPE
    with suppress(OSError):
        say(f"{error.filename or 'Cannot write the output'}: {error.strerror or error}", err=True)
    return 1


class _ReaderLeft(BaseException):
    """Exception raised in a waiting main thread; a network library would treat an OSError as its own."""


@contextmanager
def until_reader_leaves() -> Iterator[None]:
    """Raise BrokenPipeError in the main thread once the reader of standard output has left, even if nothing is printed.

    With it ``oet listen | grep -q READY`` ends at the matching line, not at the next event. If standard output is not a
    pipe, or the system cannot wait for its reader, the error comes with the next print.
    """
    import select

    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (OSError, ValueError):
        mode = 0
    watched = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    here = threading.current_thread() is threading.main_thread()
    if not (watched and here and hasattr(select, "poll") and hasattr(signal, "pthread_kill")):
        yield
        return
    output, main = os.dup(sys.stdout.fileno()), threading.get_ident()
    ended, end = os.pipe()

    def has_left(timeout: float | None) -> bool:
        poll = select.poll()
        poll.register(output, 0)  # errors and hang-ups are always reported
        poll.register(ended, 0)
        return any(one == output for one, _ in poll.poll(timeout))

    def wait() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # or Ctrl-C may arrive here, and wake no other
        if has_left(None):
            signal.pthread_kill(main, signal.SIGPIPE)

    def on_signal(signum: int, frame: object) -> None:
        if has_left(0):  # otherwise it is of a connection, whose write reports it
            raise _ReaderLeft

    before = signal.signal(signal.SIGPIPE, on_signal)
    thread = threading.Thread(target=wait, daemon=True)
    try:
        try:
            thread.start()
            yield
        finally:
            signal.signal(signal.SIGPIPE, before)
            os.close(end)
            thread.join()
            os.close(output)
            os.close(ended)
    except _ReaderLeft:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
