"""Orphan watch: a kernel whose service does not return ends itself, once its script is done.

A named pipe beside the journal, the *lifeline*, is held open for reading by the service; when the service ends, however
that happens, the kernel's end of the pipe reports an error, which the watch waits for. The bell cannot serve for this:
to detect a missing reader, the kernel must hold only a writing end, and a write to such an end would raise SIGPIPE in a
script that has restored its default action.
"""

import os
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path

from oet_kernel.protocol import LIFELINE


class OrphanWatch:
    """Waits, in a thread of its own, until the service has been away for the given time and the kernel is idle.

    Parameters
    ----------
    folder
        The kernel's private folder.
    seconds
        Seconds that the service may be away.
    idle
        Set while no function of the script runs.
    end
        Ends the kernel if it is still `away` and `idle` at that moment; returns False if not.
    """

    def __init__(self, folder: Path, seconds: float, idle: threading.Event, end: Callable[[], bool]) -> None:
        self._seconds = seconds
        self._idle = idle
        self._end = end
        # a writing end cannot be opened without a reader, and the service may have ended
        reader = os.open(folder / LIFELINE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._line = os.open(folder / LIFELINE, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.close(reader)

    def start(self) -> None:
        """Start the watching thread."""
        threading.Thread(target=self._watch, name="oet-orphan", daemon=True).start()

    @property
    def away(self) -> bool:
        """True when no service holds the lifeline."""
        return bool(self._poll(0) & select.POLLERR)

    def _watch(self) -> None:
        while self._poll(None) & select.POLLERR:  # any other event: the script has closed the descriptor
            seen = self._generation()
            time.sleep(self._seconds)
            if self._generation() != seen:
                continue  # a service has come meanwhile; if it has gone again, the wait starts over
            self._idle.wait()
            if self.away and self._generation() == seen and self._end():
                return

    def _poll(self, timeout: int | None) -> int:
        poll = select.poll()
        poll.register(self._line, 0)
        return sum(event for _, event in poll.poll(timeout))

    def _generation(self) -> int:
        try:
            return os.fstat(self._line).st_mtime_ns
        except OSError:
            return 0
