"""Journal of the service: numbers events, writes them to the store, and delivers them after the commit.

The rows and events of one turn of the event loop are one unit, committed whole or not at all: the events from a
kernel's records, the states that follow from them, and the offset in the kernel's journal. A thread writes; it commits
all units that have arrived since its last commit, without waiting for more.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from oet_kernel.errors import StoreUnusable
from oet_kernel.events.event import Event
from oet_kernel.events.mapping import Announcement
from oet_kernel.store.base import Store
from oet_kernel.store.rows import ActivityRow, KernelRow, ProcedureRow, Unit
from oet_kernel.store.set_aside import SetAside
from oet_kernel.system.supervision import report_fault
from oet_kernel.system.threads import STATE

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_SECONDS = 1.0
"""Seconds before the writer retries a failed write."""


class _Batch:
    """Unit that is being written."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.unit = Unit()
        self.committed: asyncio.Future[None] = loop.create_future()


class Journal:
    """Write events and rows given on the event loop, and deliver the events in order once they are on disk.

    Parameters
    ----------
    store
        Store to write to; closed with the journal.
    set_aside
        Data that could not be handled; closed with the journal.
    deliver
        Called with the events of each commit, on the event loop.
    """

    def __init__(self, store: Store, set_aside: SetAside, deliver: Callable[[list[Event]], None]) -> None:
        self.store = store
        self.on_commit: Callable[[Unit], None] = lambda unit: None
        """Called on the event loop with each committed unit, right before its events are delivered."""
        self.set_aside = set_aside
        self.trouble: StoreUnusable | None = None
        """Error that prevents writing at the moment; None if there is none."""
        self._deliver = deliver
        self._seq = store.last_seq()
        self._counters: dict[str, int] = {}
        self._pending: _Batch | None = None
        self._newest: _Batch | None = None
        self._work: queue.SimpleQueue[_Batch | Callable[[], None] | None] = queue.SimpleQueue()
        self._giving_up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stuck: asyncio.Future[None] | None = None
        """Done while the store cannot be written; created when a caller waits."""
        self._thread = threading.Thread(target=self._write, name="oet-journal", daemon=True)

    # --- on the event loop

    def publish(self, announcement: Announcement, procedure: int | None = None, at: float | None = None) -> Event:
        """Number an event and queue it; listeners receive it after its commit.

        Parameters
        ----------
        announcement
            Topic and encoded fields of the event.
        procedure
            Id of the procedure that the event is about; None for none, or several.
        at
            Time of the event in Unix seconds; None for now.
        """
        self._seq += 1
        moment = time.time() if at is None else at
        event = Event(self._seq, announcement.topic, procedure, announcement.data, moment)
        self._open_unit().events.append(event)
        return event

    def put(self, row: ProcedureRow | KernelRow | ActivityRow) -> None:
        """Queue a row to be written with the events of this turn; the last row of a procedure or activity counts."""
        self._open_unit().add(row)

    def next_id(self, kind: str) -> int:
        """Return the next id of a kind (procedure, activity); ids are never reused, not even after a restart."""
        if kind not in self._counters:
            self._counters[kind] = self.store.counter(kind)
        self._counters[kind] += 1
        self._open_unit().counters[kind] = self._counters[kind]
        return self._counters[kind]

    async def settled(self) -> None:
        """Wait until all queued data are on disk and delivered.

        Raises
        ------
        StoreUnusable
            When the data cannot be written at the moment; writing is retried, and delivery follows.
        """
        batch = self._newest
        if batch is None or batch.committed.done():
            return
        await asyncio.wait([batch.committed, self._in_trouble()], return_when=asyncio.FIRST_COMPLETED)
        if self.trouble is not None:
            raise self.trouble

    async def written(self) -> None:
        """Wait as `settled` does, but without an error and without a time limit."""
        self._flush()
        if self._newest is not None:
            await asyncio.wait([self._newest.committed])

    async def unless_in_trouble(self, work: Awaitable[Any]) -> None:
        """Wait for work that may need a commit, until the store cannot be written at the latest.

        Parameters
        ----------
        work
            Work to wait for; cancelled if the store cannot be written.
        """
        task = asyncio.ensure_future(work)
        try:
            if self.trouble is None:
                await asyncio.wait([task, self._in_trouble()], return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()

    async def run(self, work: Callable[[], T]) -> T:
        """Run a function on the writer's thread between two commits; return its result."""
        self._start()
        future: Future[T] = Future()

        def do() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

        self._work.put(do)
        return await asyncio.wrap_future(future)

    async def close(self) -> None:
        """Write pending data and close the store; data that cannot be written are lost, and the loss is logged."""
        self._flush()
        self._giving_up.set()
        if self._loop is not None:
            self._work.put(None)
            await STATE.run(self._thread.join)
        await STATE.run(self.set_aside.close)
        self.store.close()

    def _open_unit(self) -> Unit:
        if self._pending is None:
            loop = self._start()
            self._newest = self._pending = _Batch(loop)
            loop.call_soon(self._flush)
        return self._pending.unit

    def _start(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._thread.start()
        return self._loop

    def _flush(self) -> None:
        if self._pending is not None:
            self._work.put(self._pending)
            self._pending = None

    def _in_trouble(self) -> asyncio.Future[None]:
        if self._stuck is None or (self._stuck.done() and self.trouble is None):
            self._stuck = asyncio.get_running_loop().create_future()
        return self._stuck

    def _on_commit(self, batches: list[_Batch], unit: Unit) -> None:
        self.trouble = None
        try:
            self.on_commit(unit)
            self._deliver(unit.events)
        except Exception as error:  # callers that wait for the commit must not wait for ever
            report_fault("the delivery of events", error)
        for batch in batches:
            if not batch.committed.done():
                batch.committed.set_result(None)

    def _on_trouble(self, error: StoreUnusable) -> None:
        if self.trouble is None:
            log.error("Events are withheld until they can be written: %s", error)
        self.trouble = error
        if not self._in_trouble().done():
            self._in_trouble().set_result(None)

    # --- on the writer's thread

    def _write(self) -> None:
        assert self._loop is not None
        while True:
            work = self._work.get()
            batches: list[_Batch] = []
            while isinstance(work, _Batch):
                batches.append(work)
                try:
                    work = self._work.get_nowait()
                except queue.Empty:
                    work = _nothing
            if batches:
                self._commit(self._loop, batches)
            if work is None:
                return
            if not isinstance(work, _Batch):
                work()

    def _commit(self, loop: asyncio.AbstractEventLoop, batches: list[_Batch]) -> None:
        """Write batches in one transaction, with retries."""
        unit = batches[0].unit
        for batch in batches[1:]:
            unit.merge(batch.unit)
        while True:
            try:
                unit = self._written(unit)
            except StoreUnusable as error:
                loop.call_soon_threadsafe(self._on_trouble, error)
                if self._giving_up.wait(RETRY_SECONDS):
                    log.error("%d events are lost with the end of the service: %s", len(unit.events), error)
                    return
            else:
                loop.call_soon_threadsafe(self._on_commit, batches, unit)
                return

    def _written(self, unit: Unit) -> Unit:
        """Write a unit, and return the unit as written: a row that the database refuses is replaced and set aside."""
        try:
            self.store.write(unit)
        except StoreUnusable:
            raise
        except Exception as error:
            log.debug("A unit of work is written row by row", exc_info=error)
        else:
            return unit
        try:
            written, refused = self.store.write_apart(unit)
        except StoreUnusable:
            raise
        except Exception as error:  # a bug must not block the units behind it
            report_fault("the writer to the database", error)
            self.set_aside.put("rows", "the service", repr(unit).encode("utf-8", "replace"), repr(error))
            return Unit()
        for row in refused:
            self.set_aside.put("rows", row.owner, row.data, row.why)
        return written


def _nothing() -> None:
    """No-op."""
