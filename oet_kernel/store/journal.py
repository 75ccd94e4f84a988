"""The journal of the service: numbers what happens, has it written down, and only then lets it be heard.

What is put into it during one turn of the event loop is one unit, and is committed whole or not at all: the events that
a kernel's records have become, the states that follow from them, and how far the kernel has been heard. A thread
writes; it commits whatever has come together since its last commit, without waiting for more.
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
from oet_kernel.state.layout import SET_ASIDE
from oet_kernel.store.rows import ActivityRow, KernelRow, ProcedureRow, Unit
from oet_kernel.store.set_aside import SetAside
from oet_kernel.store.sqlite import Store
from oet_kernel.system.supervision import report_fault
from oet_kernel.system.threads import STATE

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_SECONDS = 1.0
"""How long the writer waits before it tries again what could not be written."""


class _Batch:
    """A unit on its way to the disk."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.unit = Unit()
        self.committed: asyncio.Future[None] = loop.create_future()


class Journal:
    """Takes events and records in on the event loop; hands events out, in order, when they are on disk.

    Parameters
    ----------
    store
        Where they are written; closed with the journal.
    deliver
        Takes the events of each commit, on the event loop.
    """

    def __init__(self, store: Store, deliver: Callable[[list[Event]], None]) -> None:
        self.store = store
        self.on_commit: Callable[[Unit], None] = lambda unit: None
        """Called on the event loop with each unit that was committed, right before its events are delivered."""
        self.set_aside = SetAside(store.path.parent / SET_ASIDE)
        """Where what cannot be taken is kept."""
        self.trouble: StoreUnusable | None = None
        """Why nothing can be written at the moment; None while all is well."""
        self._deliver = deliver
        self._seq = store.last_seq()
        self._counters: dict[str, int] = {}
        self._pending: _Batch | None = None
        self._newest: _Batch | None = None
        self._work: queue.SimpleQueue[_Batch | Callable[[], None] | None] = queue.SimpleQueue()
        self._giving_up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stuck: asyncio.Future[None] | None = None
        """Done while nothing can be written; made when somebody waits."""
        self._thread = threading.Thread(target=self._write, name="oet-journal", daemon=True)

    # --- on the event loop

    def publish(self, announcement: Announcement, procedure: int | None = None, at: float | None = None) -> Event:
        """Number an event; listeners hear it when it has been committed.

        Parameters
        ----------
        announcement
            The event's topic and encoded fields.
        procedure
            The procedure that it is about; None for none, or several.
        at
            When it happened, Unix seconds; now if not given.
        """
        self._seq += 1
        moment = time.time() if at is None else at
        event = Event(self._seq, announcement.topic, procedure, announcement.data, moment)
        self._open_unit().events.append(event)
        return event

    def put(self, row: ProcedureRow | KernelRow | ActivityRow) -> None:
        """Have a record written with the events of this turn; the last of a procedure or activity counts."""
        self._open_unit().add(row)

    def next_id(self, kind: str) -> int:
        """Give the next id of a kind (procedure, activity); never one that was given before, a restart included."""
        if kind not in self._counters:
            self._counters[kind] = self.store.counter(kind)
        self._counters[kind] += 1
        self._open_unit().counters[kind] = self._counters[kind]
        return self._counters[kind]

    async def settled(self) -> None:
        """Wait until all that was put in so far is on disk and has been delivered.

        Raises
        ------
        StoreUnusable
            When it cannot be written at the moment; it is tried again, and will be delivered once it could be.
        """
        batch = self._newest
        if batch is None or batch.committed.done():
            return
        await asyncio.wait([batch.committed, self._in_trouble()], return_when=asyncio.FIRST_COMPLETED)
        if self.trouble is not None:
            raise self.trouble

    async def written(self) -> None:
        """Wait like `settled`, but as long as it takes."""
        self._flush()
        if self._newest is not None:
            await asyncio.wait([self._newest.committed])

    async def unless_in_trouble(self, work: Awaitable[Any]) -> None:
        """Wait for something that may take a commit, but no longer than to the moment when nothing can be written.

        Parameters
        ----------
        work
            What is waited for; it is given up where there is trouble.
        """
        task = asyncio.ensure_future(work)
        try:
            if self.trouble is None:
                await asyncio.wait([task, self._in_trouble()], return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()

    async def run(self, work: Callable[[], T]) -> T:
        """Have the writer do something between two commits; gives what it gave."""
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
        """Write what is pending and close the store; what cannot be written is given up, and that is said."""
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
        except Exception as error:  # whoever waits for the commit is not to wait for ever
            report_fault("the delivery of events", error)
        for batch in batches:
            if not batch.committed.done():
                batch.committed.set_result(None)

    def _on_trouble(self, error: StoreUnusable) -> None:
        if self.trouble is None:
            log.error("Events are held back until they can be written: %s", error)
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
        """Write batches in one transaction, however often it has to be tried."""
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
        """Write a unit; return what was written: a row that the database refuses is replaced, and set aside."""
        try:
            self.store.write(unit)
        except StoreUnusable:
            raise
        except Exception as error:
            log.debug("A unit is written row by row", exc_info=error)
        else:
            return unit
        try:
            written, refused = self.store.write_apart(unit)
        except StoreUnusable:
            raise
        except Exception as error:  # a fault of ours must not hold up all that comes behind it
            report_fault("the writer to the database", error)
            self.set_aside.put("rows", "the service", repr(unit).encode("utf-8", "replace"), repr(error))
            return Unit()
        for row in refused:
            self.set_aside.put("rows", row.owner, row.data, row.why)
        return written


def _nothing() -> None:
    """Be no work."""
