"""Ends a kernel that can no longer tell what became of its script, so that the service tells it.

A script can take from the kernel what it needs to speak: descriptors, memory, names of the standard library. A process
that ends is noticed whatever it has left; one that stays silent would be RUNNING for ever.
"""

import fcntl
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

STATUS = 70
"""Exit status of such a kernel: EX_SOFTWARE of sysexits.h."""
_HIGH = 512
"""Descriptors from here on are not among those that a script gets, or counts on."""
# bound here, since a script may bind them anew
_exit, _write, _format = os._exit, os.write, traceback.format_exception
_descriptor = 2


def keep(descriptor: int) -> int:
    """Return a duplicate of a descriptor, out of the way of a script, which may close those that it counts on.

    Parameters
    ----------
    descriptor
        Stays open.
    """
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:  # the limit is lower
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)


def write_to(descriptor: int) -> None:
    """Write last words to a descriptor.

    Parameters
    ----------
    descriptor
        Of the file of the process, not of the script's output.
    """
    global _descriptor
    _descriptor = descriptor


def end_untold(fault: BaseException, error: BaseException | None) -> NoReturn:
    """Write down why the end of a call cannot be told, and end the process at once.

    Parameters
    ----------
    fault
        What was raised when it was to be told.
    error
        What the script's function has raised before; None for nothing.
    """
    try:
        _write(_descriptor, b"The kernel cannot tell what became of the script, and ends.\n")
        for one in (error, fault):
            if one is not None:
                _write(_descriptor, _text(one).encode("utf-8", "backslashreplace"))
    finally:
        _exit(STATUS)


@contextmanager
def ending_unstarted() -> Iterator[None]:
    """End the process at once where it cannot become a kernel, with the reason on its standard error.

    What has begun by then may wait for threads that could not be had, ZeroMQ's for one: an orderly end would not come.
    """
    try:
        yield
    except SystemExit:
        raise
    except BaseException as error:
        try:
            _write(_descriptor, b"The kernel cannot start.\n")
            _write(_descriptor, _text(error).encode("utf-8", "backslashreplace"))
        finally:
            _exit(STATUS)


def _text(error: BaseException) -> str:
    try:
        return "".join(_format(error))
    except BaseException:  # it takes more of the standard library than is left
        return f"{error.__class__.__qualname__}: {error}\n"
