"""The journal: an event is on disk before anybody hears it; what cannot be written is neither heard nor lost."""

import asyncio
import sqlite3
import stat
import threading

import pytest
import sqlalchemy as sa

from oet_kernel.errors import StoreUnusable
from oet_kernel.events.event import Filter
from oet_kernel.events.mapping import Announcement, announce
from oet_kernel.store.journal import Journal
from oet_kernel.store.rows import ActivityRow, KernelRow
from oet_kernel.store.set_aside import SetAside
from oet_kernel.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


class Disk(SqliteStore):
    """A store whose disk can be full, or slow."""

    def __init__(self, path):
        super().__init__(path)
        self.full = False
        self.units = 0
        self.may_write = threading.Event()
        self.may_write.set()

    def write(self, unit):
        self.may_write.wait(60)
        if self.full:
            raise StoreUnusable("the disk is full")
        self.units += 1
        super().write(unit)


def journal_of(path, deliver, store=SqliteStore):
    return Journal(store(path), SetAside(path.parent / "set-aside"), deliver)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "oet.sqlite"


@pytest.fixture
async def journal(path, monkeypatch):
    monkeypatch.setattr("oet_kernel.store.journal.RETRY_SECONDS", 0.01)
    made = journal_of(path, lambda events: made.heard.extend(events), Disk)
    made.heard = []
    yield made
    made.store.may_write.set()
    await made.close()


def publish(journal, **fields):
    return journal.publish(announce("user.x", "1", **fields), 1)


def stored(path):
    store = SqliteStore(path)
    try:
        return [event.seq for event in store.events(0, Filter(), None).rows]
    finally:
        store.close()


async def test_event_is_on_disk_when_it_is_heard(path):
    seen = []
    journal = journal_of(path, lambda events: seen.append((stored(path), [event.seq for event in events])))
    for _ in range(20):
        publish(journal)
        await journal.settled()
    await journal.close()
    for on_disk, heard in seen:
        assert set(heard) <= set(on_disk)
    assert [seq for _, heard in seen for seq in heard] == list(range(1, 21))


async def test_what_is_put_in_during_one_turn_is_one_transaction(journal):
    for n in range(10):
        publish(journal, n=n)
        journal.put(KernelRow(procedure=1, address="/f", offset=n))
    await journal.settled()
    assert journal.store.units == 1
    assert journal.store.kernels([1])[1].offset == 9


async def test_what_comes_while_the_disk_is_busy_is_committed_together(journal):
    journal.store.may_write.clear()
    for n in range(50):
        publish(journal, n=n)
        await asyncio.sleep(0)
    journal.store.may_write.set()
    await journal.settled()
    assert [event.seq for event in journal.heard] == list(range(1, 51))
    assert journal.store.units <= 3


async def test_numbers_and_ids_go_on_after_a_restart(path):
    first = journal_of(path, lambda events: None)
    assert [publish(first).seq for _ in range(3)] == [1, 2, 3]
    assert [first.next_id("procedure"), first.next_id("procedure"), first.next_id("activity")] == [1, 2, 1]
    await first.close()
    second = journal_of(path, lambda events: None)
    assert publish(second).seq == 4
    assert [second.next_id("procedure"), second.next_id("activity")] == [3, 2]
    await second.close()


async def test_full_disk_holds_events_back_says_so_and_loses_none(journal, caplog):
    publish(journal, n=1)
    await journal.settled()
    journal.store.full = True
    publish(journal, n=2)
    with pytest.raises(StoreUnusable, match="the disk is full"):
        await journal.settled()
    assert journal.trouble is not None
    publish(journal, n=3)
    with pytest.raises(StoreUnusable):
        await journal.settled()
    assert [event.seq for event in journal.heard] == [1]
    journal.store.full = False
    async with asyncio.timeout(60):
        await journal.written()
    await journal.settled()
    assert journal.trouble is None
    assert [event.seq for event in journal.heard] == [1, 2, 3]
    assert caplog.text.count("withheld") == 1


async def test_trouble_that_comes_while_somebody_waits_is_told_at_once(journal):
    journal.store.may_write.clear()
    publish(journal)
    waiting = asyncio.create_task(journal.settled())
    await asyncio.sleep(0)
    journal.store.full = True
    journal.store.may_write.set()
    async with asyncio.timeout(60):
        with pytest.raises(StoreUnusable):
            await waiting
    journal.store.full = False


async def test_end_of_the_service_on_a_full_disk_is_an_end_and_says_what_is_lost(path, caplog):
    journal = journal_of(path, lambda events: None, Disk)
    journal.store.full = True
    publish(journal)
    publish(journal)
    async with asyncio.timeout(60):
        await journal.close()
    assert "2 events are lost with the end of the service" in caplog.text


async def test_work_between_commits_is_done_on_the_writers_thread_and_its_errors_are_told(journal):
    assert await journal.run(lambda: threading.current_thread().name) == "oet-journal"
    with pytest.raises(ZeroDivisionError):
        await journal.run(lambda: 1 // 0)
    publish(journal)
    await journal.settled()
    assert len(journal.heard) == 1


async def test_journal_that_nothing_was_put_into_settles_and_closes(path):
    journal = journal_of(path, lambda events: None)
    await journal.settled()
    await journal.written()
    await journal.close()


async def test_work_that_nobody_waits_for_any_more_is_left_out_and_stops_nothing(journal):
    journal.store.may_write.clear()
    publish(journal)
    await asyncio.sleep(0)
    done = []
    asked = asyncio.create_task(journal.run(lambda: done.append(1)))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    journal.store.may_write.set()
    publish(journal)
    await asyncio.wait_for(journal.settled(), 10)
    assert done == []
    assert len(journal.heard) == 2


REFUSED = {
    "number beyond SQLite's": lambda j: j.put(KernelRow(procedure=1, address="/f", offset=1 << 70)),
    "id beyond SQLite's": lambda j: j.put(KernelRow(procedure=1 << 70, address="/f")),
    "text without UTF-8": lambda j: j.publish(Announcement("user.\ud800", b"{}"), 1),
    "time": lambda j: j.publish(Announcement("user.x", b"{}"), 1, at="yesterday " * 3),
    "kind of value": lambda j: j.publish(Announcement("user.x", [b"{}"]), 1),
    "null": lambda j: j.publish(Announcement("user.x", None), 1),
    "length": lambda j: j.publish(Announcement("user.x", b"x" * 200_000), 1),
    "number twice": lambda j: (publish(j), setattr(j, "_seq", j._seq - 1), publish(j)),
    "deep record": lambda j: j.put(ActivityRow(1, 1, object())),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_row_that_the_database_refuses_is_set_aside_and_holds_nothing_up(journal, path, what):
    def limit(connection, record):
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100_000)

    sa.event.listen(journal.store._engine, "connect", limit)
    journal.store._engine.dispose()  # connections that come have the limit
    publish(journal, n=1)
    REFUSED[what](journal)
    publish(journal, n=2)
    async with asyncio.timeout(60):
        await journal.settled()
    publish(journal, n=3)
    async with asyncio.timeout(60):
        await journal.settled()
    assert journal.trouble is None
    assert journal.set_aside.counts["rows"] == 1
    heard = [event.data for event in journal.heard]
    for n in (1, 2, 3):
        assert any(b'"n":%d' % n in data for data in heard)
    assert sorted({event.seq for event in journal.heard}) == stored(path), "what is heard is what is on disk"
    journal.set_aside.close()
    (kept,) = (path.parent / "set-aside").iterdir()
    assert kept.read_bytes().startswith(b'{"what":"rows of ')
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


async def test_disk_that_fills_while_a_row_is_replaced_is_tried_again(journal, monkeypatch):
    tried = []
    apart = journal.store.write_apart

    def full_once(unit):
        tried.append(unit)
        if len(tried) == 1:
            raise StoreUnusable("the disk is full")
        return apart(unit)

    monkeypatch.setattr(journal.store, "write_apart", full_once)
    publish(journal, n=1)
    journal.publish(Announcement("user.\ud800", b"{}"), 1)
    await journal.written()
    assert len(tried) == 2
    assert len(journal.heard) == 2
    assert journal.trouble is None


async def test_whoever_hears_of_a_commit_and_raises_does_not_keep_others_waiting(path):
    def raising(events):
        raise ValueError("takes nothing")

    journal = journal_of(path, raising)
    publish(journal)
    async with asyncio.timeout(60):
        await journal.settled()
    await journal.close()
