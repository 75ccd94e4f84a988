"""Retention: a procedure, its events and its record go together, whatever happens in between; nothing active goes."""

import asyncio
import subprocess
import sys
import threading

import pytest

from oet_kernel import procedure as lifecycle
from oet_kernel.events.bus import EventBus
from oet_kernel.events.event import Event, Filter
from oet_kernel.maintenance.retention import Retention
from oet_kernel.models import FileSystemScript, ProcedureInput
from oet_kernel.records import About
from oet_kernel.records import writer as keeper_module
from oet_kernel.records.source import StoredRuns
from oet_kernel.records.writer import RecordWriter
from oet_kernel.store.journal import Journal
from oet_kernel.store.rows import ArchiveQuery, ProcedureRow, Unit
from oet_kernel.store.set_aside import SetAside
from oet_kernel.store.sqlite import SqliteStore
from oet_kernel.system.files import write_whole
from tests.conftest import serve

pytestmark = pytest.mark.anyio


def row(pid, ended=None):
    procedure = lifecycle.create(pid, FileSystemScript(script_uri="file:///a.py"), ProcedureInput(), 1.0)
    if ended is not None:
        procedure = lifecycle.apply(procedure, lifecycle.Failed(ended, "because"))
    return ProcedureRow(procedure=procedure)


class Shelf:
    """A store of three procedures (1 ended long ago, 2 is active, 3 ended just now), their records, and retention."""

    def __init__(self, folder):
        self.records = folder / "records"
        self.store = SqliteStore(folder / "oet.sqlite")
        said = [Event(n, "user.x", 1 + n % 3, b'{"topic":"user.x"}', 1.0) for n in range(1, 4501)]
        ended = {1: row(1, ended=10.0), 2: row(2), 3: row(3, ended=1e10)}
        self.store.write(Unit(procedures=ended, events=said, counters={"procedure": 3}))
        for pid in ended:
            write_whole(self.records / f"{pid}.ipynb", b"{}")
        self.journal = Journal(self.store, SetAside(folder / "set-aside"), EventBus(4500).deliver)
        runs = StoredRuns(self.store, lambda: "http://test")
        self.keeper = RecordWriter(self.records, runs, lambda summary: About(), later=lambda delay, do: now(do))
        self.retention = Retention(self.journal, self.keeper, 365.0, 1 << 40)

    @property
    def files(self):
        return sorted(path.name for path in self.records.iterdir())

    @property
    def procedures(self):
        return [one.id for one in self.store.archive(ArchiveQuery()).rows]


def now(do):
    return asyncio.get_running_loop().call_soon(do)


@pytest.fixture
async def shelf(tmp_path):
    made = Shelf(tmp_path)
    yield made
    await made.journal.close()


async def test_record_goes_with_its_procedure_and_all_others_stay(shelf):
    (shelf.records / ".1.ipynb.new").write_bytes(b"{")
    for other in ("11.ipynb", "1-copy.ipynb", "notes.txt"):
        (shelf.records / other).touch()
    await shelf.retention.trim()
    assert shelf.procedures == [3, 2]
    assert shelf.store.events(0, Filter(procedure=1), None).rows == []
    assert shelf.files == ["1-copy.ipynb", "11.ipynb", "2.ipynb", "3.ipynb", "notes.txt"]


async def test_size_takes_what_has_ended_and_never_what_is_active(shelf):
    await Retention(shelf.journal, shelf.keeper, 365.0, 0).trim()
    assert shelf.procedures == [2]
    assert shelf.files == ["2.ipynb"]


async def test_procedure_without_a_record_goes_too(shelf):
    (shelf.records / "1.ipynb").unlink()
    await shelf.retention.trim()
    assert shelf.procedures == [3, 2]


async def test_record_that_is_being_written_while_its_procedure_is_to_go_does_not_come_back(shelf, monkeypatch):
    writing, may_write = threading.Event(), threading.Event()

    def slowly(path, data, *, durable):
        writing.set()
        assert may_write.wait(60)
        write_whole(path, data, durable=durable)

    monkeypatch.setattr(keeper_module, "write_whole", slowly)
    shelf.keeper.revisit([1])
    await asyncio.to_thread(writing.wait, 10)
    trim = asyncio.create_task(shelf.retention.trim())
    for _ in range(9):  # each goes behind one slice: a removal that does not wait is over by now
        await asyncio.create_task(shelf.journal.run(lambda: None))
    shelf.keeper.revisit([1])
    may_write.set()
    await trim
    await shelf.keeper.close()
    assert shelf.procedures == [3, 2]
    assert shelf.files == ["2.ipynb", "3.ipynb"]


async def test_record_that_cannot_be_removed_is_told_and_stands_in_nobodys_way(shelf, caplog):
    (shelf.records / "1.ipynb").unlink()
    (shelf.records / "1.ipynb").mkdir()
    await shelf.retention.trim()
    assert shelf.procedures == [3, 2]
    assert "The record of procedure 1 could not be removed" in caplog.text


CRASH = """
import os, sys
from pathlib import Path
from oet_kernel.records.files import path_of, remove
from oet_kernel.store.sqlite import SqliteStore

folder = Path(sys.argv[1])

def crash(pid):
    remove(path_of(folder / "records", pid))
    os._exit(9)

store = SqliteStore(folder / "oet.sqlite")
while store.trim(100.0, 1 << 40, crash):
    pass
"""


async def test_crash_between_record_and_procedure_leaves_a_procedure_that_goes_next_time(shelf, tmp_path):
    argv = [sys.executable, "-c", CRASH, str(tmp_path)]
    assert (await asyncio.to_thread(subprocess.run, argv, check=False)).returncode == 9
    assert shelf.procedures == [3, 2, 1]
    assert shelf.files == ["2.ipynb", "3.ipynb"]
    await shelf.retention.trim()
    assert shelf.procedures == [3, 2]
    assert shelf.files == ["2.ipynb", "3.ipynb"]


async def test_end_of_the_service_amid_a_removal_leaves_the_journal_at_work(shelf):
    held, may_go = threading.Event(), threading.Event()
    holding = asyncio.create_task(shelf.journal.run(lambda: (held.set(), may_go.wait(60))))
    await asyncio.to_thread(held.wait, 10)
    shelf.retention.start()
    await asyncio.sleep(0)
    await shelf.retention.stop()
    may_go.set()
    await holding
    shelf.journal.put(row(4))
    await asyncio.wait_for(shelf.journal.settled(), 10)
    assert shelf.procedures == [4, 3, 2, 1]


async def test_service_removes_the_records_of_what_it_keeps_no_more(tmp_path):
    text = "def init(subarray_id=1): pass\ndef main(): pass\n"
    with serve(tmp_path, "--OetApp.detach=True") as first:
        pid, active = first.create(text), first.create(text)
        first.until(active, "READY")
        first.http.put(f"/procedures/{pid}", json={"state": "STOPPED", "abort": False})
        first.until(pid)
    records = tmp_path / "state" / "records"
    assert (records / f"{pid}.ipynb").exists()
    with serve(tmp_path, "--OetApp.keep_days=0") as second:
        # its commit stands behind the first removal
        second.create(text)
        assert second.http.get(f"/procedures/{pid}/record").status_code == 404
        assert second.http.get(f"/procedures/{active}/record").status_code == 200
    assert not (records / f"{pid}.ipynb").exists()
    assert (records / f"{active}.ipynb").exists()
