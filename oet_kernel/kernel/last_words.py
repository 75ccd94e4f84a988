"""Exit of a kernel that can no longer report the outcome of its script, so that the service reports it.

A script can deprive the kernel of the means to report: descriptors, memory, names of the standard library. The service
always detects the end of a process; a procedure whose kernel stays silent would be RUNNING for ever.
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
"""First descriptor that a script neither gets nor relies on."""
# bound here, since a script may rebind them
_exit, _write, _format = os._exit, os.write, traceback.format_exception
_descriptor = 2


def keep(descriptor: int) -> int:
    """Return a duplicate of a descriptor with a high number, since a script may close descriptors of low numbers.

    Parameters
    ----------
    descriptor
        Stays open, and the caller's.
    """
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:  # the limit is lower
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)


def write_to(descriptor: int) -> None:
    """Set the descriptor for last words.

    Parameters
    ----------
    descriptor
        Descriptor of the process's log file, not of the script's output.
    """
    global _descriptor
    _descriptor = descriptor


def end_untold(fault: BaseException, error: BaseException | None) -> NoReturn:
    """Write the reason why the end of a call cannot be reported, and end the process at once.

    Parameters
    ----------
    fault
        Exception of the report.
    error
        Exception of the script's function before; None for none.
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
    """End the process at once where the kernel cannot start, with the reason on its standard error.

    Parts that were started may wait for threads that could not be created, ZeroMQ's for example: an orderly exit could
    hang.
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
    except BaseException:  # needs names of the standard library that the script has removed
        return f"{error.__class__.__qualname__}: {error}\n"
