"""RecordWriter: writes the record of each procedure while it runs, and returns it on request.

The events of a procedure are read from the store, from the last one in the record on; the tap on the bus only signals
that there are new ones. All work on a record is done in threads, one record at a time.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from oet_kernel.bounds import read_file
from oet_kernel.errors import ResourceNotFound
from oet_kernel.events.event import Event
from oet_kernel.models import ProcedureSummary
from oet_kernel.records.files import path_of, remove
from oet_kernel.records.header import About
from oet_kernel.records.notebook import OUTPUT_LIMIT, Recorder
from oet_kernel.records.page import to_html
from oet_kernel.records.parts import encode
from oet_kernel.system.files import write_whole
from oet_kernel.system.supervision import supervise
from oet_kernel.system.threads import RECORDS, STATE

log = logging.getLogger(__name__)

INTERVAL = 1.0
"""Shortest interval in seconds between two writes of one record."""
_SHARE = 20.0
"""Shortest interval between two writes as a multiple of a write's duration: large records are written less often."""
_BATCH = 1000


class Runs(Protocol):
    """Source of the events and summaries of procedures."""

    async def events(self, procedure: int, after: int, limit: int) -> Sequence[Event]:
        """Return a procedure's events with numbers above `after`, in order, `limit` at most; empty after the last."""

    async def summary(self, procedure: int) -> ProcedureSummary:
        """Return the summary of a procedure; raise `ResourceNotFound` for an unknown one."""


class Timer(Protocol):
    """A scheduled call."""

    def cancel(self) -> None:
        """Cancel the call."""


class _Page:
    """A record that is being written."""

    def __init__(self, limit: int) -> None:
        self.recorder = Recorder(limit)
        self.reading = asyncio.Lock()
        self.stale = False
        """Whether there are events that the file does not contain."""
        self.timer: Timer | None = None
        self.task: asyncio.Task[None] | None = None
        self.delay = INTERVAL


class RecordWriter:
    """Keeps a folder of records, ``<id>.ipynb``.

    Parameters
    ----------
    folder
        Folder of the records.
    runs
        Source of the events and summaries of procedures.
    about
        Returns the facts about a procedure that are not in its events.
    limit
        Largest number of characters of output in a record.
    later
        Calls a function after some seconds; None for the event loop's ``call_later``.
    now
        Clock in seconds, for the duration of a write.
    """

    def __init__(
        self,
        folder: Path,
        runs: Runs,
        about: Callable[[ProcedureSummary], About],
        limit: int = OUTPUT_LIMIT,
        later: Callable[[float, Callable[[], None]], Timer] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._runs = runs
        self._about = about
        self._limit = limit
        self._later = later or (lambda delay, function: asyncio.get_running_loop().call_later(delay, function))
        self._now = now
        self._pages: dict[int, _Page] = {}
        self.writing = asyncio.Lock()
        """Held while a record is written."""
        self._converting = asyncio.Lock()

    def heard(self, event: Event) -> None:
        """Record that a procedure has a new event; for `EventBus.tap`, and so cheap."""
        if event.procedure is not None:
            self._touch(event.procedure)

    def revisit(self, procedures: Iterable[int]) -> None:
        """Schedule new writes of records, since an earlier service may have died before its own."""
        for pid in procedures:
            self._touch(pid)

    async def notebook(self, pid: int) -> bytes:
        """Return the current record as a notebook file.

        Parameters
        ----------
        pid
            Id of the procedure; an unlisted one may still have a record.

        Raises
        ------
        ResourceNotFound
            When there is no such procedure, and no record.
        """
        page = self._pages.get(pid) or _Page(self._limit)
        try:
            return (await self._compose(pid, page))[1]
        except ResourceNotFound:
            try:
                return await STATE.run(read_file, self._path(pid), sys.maxsize)
            except FileNotFoundError:
                raise ResourceNotFound.procedure(pid) from None

    async def html(self, pid: int) -> bytes:
        """Return the current record as a self-contained HTML page.

        Parameters
        ----------
        pid
            Id of the procedure.

        Raises
        ------
        ResourceNotFound
            When there is no such procedure, and no record.
        """
        notebook = await self.notebook(pid)
        async with self._converting:
            return await RECORDS.run(to_html, notebook, f"Procedure {pid}")

    def remove(self, pid: int) -> None:
        """Remove the record of a procedure that is being removed; called in a thread, while `writing` is held.

        Parameters
        ----------
        pid
            Id of the procedure.
        """
        try:
            remove(self._path(pid))
        except OSError as error:
            log.warning(
                "The record of procedure %d could not be removed: %s; remove it with 'oet doctor --fix'", pid, error
            )

    async def close(self) -> None:
        """Write all pending records at once, and wait for it."""
        while busy := {pid: page for pid, page in self._pages.items() if page.stale or page.task is not None}:
            for pid, page in busy.items():
                if page.timer is not None:
                    page.timer.cancel()
                if page.task is None:
                    self._begin(pid)
            await asyncio.wait([page.task for page in busy.values() if page.task is not None])

    def _touch(self, pid: int) -> None:
        page = self._pages.get(pid)
        if page is None:
            page = self._pages[pid] = _Page(self._limit)
        page.stale = True
        if page.timer is None and page.task is None:
            page.timer = self._later(page.delay, lambda: self._begin(pid))

    def _begin(self, pid: int) -> None:
        page = self._pages[pid]
        page.timer = None
        page.task = supervise("records", self._write(pid, page))

    async def _write(self, pid: int, page: _Page) -> None:
        began, ended = self._now(), False
        page.stale = False
        try:
            async with self.writing:
                began = self._now()
                summary, data = await self._compose(pid, page)
                await STATE.run(write_whole, self._path(pid), data, durable=True)
                ended = summary.state.inactive
        except ResourceNotFound:
            ended = True  # an event of an unknown procedure
        except Exception:
            log.exception("The record of procedure %d could not be written; its events are kept", pid)
        page.delay = max(INTERVAL, _SHARE * (self._now() - began))
        page.task = None
        if page.stale:
            self._touch(pid)
        elif ended:
            del self._pages[pid]

    async def _compose(self, pid: int, page: _Page) -> tuple[ProcedureSummary, bytes]:
        async with page.reading:
            # the summary first, so that the events are at least as new
            summary = await self._runs.summary(pid)
            while events := await self._runs.events(pid, page.recorder.seq, _BATCH):
                await STATE.run(_add, page.recorder, events)
            about = self._about(summary)
            data = await STATE.run(lambda: encode(page.recorder.content(summary, about)))
        return summary, data

    def _path(self, pid: int) -> Path:
        return path_of(self._folder, pid)


def _add(recorder: Recorder, events: Sequence[Event]) -> None:
    for event in events:
        recorder.add(event)
