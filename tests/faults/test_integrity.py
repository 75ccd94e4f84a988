"""A full disk, a folder that cannot be written, damage, a clock that steps back: clear errors, no wrong data."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from oet_kernel.errors import StoreUnusable
from oet_kernel.events.event import Filter
from oet_kernel.kernel.journal import Journal
from oet_kernel.kernel_manager.journal_reader import JournalReader
from oet_kernel.models import PrepareProcessCommand, ProcedureState, StartProcessCommand, StopProcessCommand
from oet_kernel.procedure import CallStarted, Failed
from oet_kernel.protocol import JOURNAL, UNREADABLE
from oet_kernel.state.layout import DATABASE
from oet_kernel.store.rows import ArchiveQuery
from oet_kernel.store.sqlite import SqliteStore
from tests.conftest import Bench
from tests.faults.stand import COUNTING, Follower, data, numbers, stand

S = ProcedureState
NOTHING = "def init(subarray_id=1): pass\ndef main(): print('done')\n"
TALKING = """
import time
from oet_kernel.api import publish
def init(subarray_id=1): pass
def main():
    while True:
        publish("user.count", number=0)
        time.sleep(0.001)
"""

GATED = """
def init(subarray_id): pass
def main(first, second, third):
    open(first).close()
    open(second).close()
    try:
        print("x" * 5000)
    finally:
        open(third).close()
"""


# --- full disk


@pytest.fixture
def small_disk():
    """A file system of its own, of a few megabytes."""
    with tempfile.TemporaryDirectory(prefix="oet-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "oet-test", folder]
        try:
            mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            mounted = False
        if not mounted:
            pytest.skip("this user may not mount a file system")
        yield Path(folder)
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def filled(folder):
    """Leave no space on a disk for a while."""
    ballast = folder / "ballast"
    file = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (1 << 16, 1 << 12):
            try:
                while os.write(file, b"x" * size):
                    pass
            except OSError:
                pass
        yield
    finally:
        os.close(file)
        ballast.unlink()


@pytest.fixture
def on_small_disk(small_disk):
    """A service whose state folder is on a small disk, and a listener."""
    with stand("--warm-kernels=0") as site:
        site.state.symlink_to(small_disk)
        site.start()
        follower = Follower(site)
        follower.start()
        yield site, follower
        follower.leave()


def post(site, text=NOTHING):
    script = site.folder / "script.py"
    script.write_text(text)
    return site.server.http.post(
        "/procedures", json={"script": {"script_type": "filesystem", "script_uri": script.as_uri()}}
    )


def until_refused(site):
    """Ask for procedures until the disk is found to be full: the database has some space in reserve."""
    for _ in range(500):
        if (reply := post(site)).status_code != 201:
            return reply
    raise AssertionError("no request was refused")


def test_full_disk_is_told_stops_what_is_to_stop_and_loses_nothing(on_small_disk, small_disk):
    site, follower = on_small_disk
    running, waiting = site.create(COUNTING, 1), site.create(NOTHING, 2)
    assert follower.state(running, "READY")
    assert follower.state(waiting, "READY")
    site.run(running, 0, 200)
    assert follower.until(lambda one: one.get("number") == 20)
    assert site.server.http.get("/health").json()["status"] == "ok"
    with filled(small_disk):
        refused = until_refused(site)
        assert refused.status_code == 507
        assert refused.json()["type"] == "StoreUnusable"
        assert "recover.md" in refused.json()["Message"]
        health = site.server.http.get("/health").json()
        assert health["status"] == "degraded"
        assert "full" in health["why"]
        start = site.server.http.put(f"/procedures/{waiting}", json={"state": "RUNNING"})
        assert start.status_code == 507
        began = time.monotonic()
        assert site.stop(running).status_code == 200
        assert time.monotonic() - began < 30
        assert site.describe(running)["state"] in ("STOPPED", "FAILED")
        assert len(site.kernels()) == 1, "the one that waits"
    assert follower.state(running, "STOPPED", "FAILED"), "what could not be written then is written now"
    assert site.server.http.get("/health").json()["status"] == "ok"  # the beginning of a line may have been set aside
    assert site.describe(waiting)["state"] == "READY", "the start that was refused is not carried out later"
    site.run(waiting)
    assert follower.state(waiting, "COMPLETE")
    heard = [one["id"] for one in follower.events]
    assert heard == list(range(1, len(heard) + 1))
    counted = numbers(data(site.events(running)))
    assert counted == list(range(len(counted)))
    assert len(counted) > 20
    states = {one["id"]: one["state"] for one in site.archive()}
    follower.leave()
    site.restart()
    assert {one["id"]: one["state"] for one in site.archive()} == states
    assert not set(states.values()) - {"COMPLETE", "FAILED", "STOPPED", "READY"}


def test_call_that_ends_on_a_full_disk_is_told_when_there_is_space_again(on_small_disk, small_disk):
    site, follower = on_small_disk
    gates = [site.folder / name for name in ("first", "second", "third")]
    for gate in gates:
        os.mkfifo(gate)
    pid = site.create(GATED)
    assert follower.state(pid, "READY")
    site.run(pid, *map(str, gates))
    gates[0].write_text("")
    with filled(small_disk):
        gates[1].write_text("")
        gates[2].write_text("")  # it has tried by now
        until_refused(site)
        assert site.describe(pid)["state"] == "RUNNING"
    assert follower.state(pid, "FAILED", "COMPLETE")
    assert site.describe(pid)["state"] == "COMPLETE", "what is printed waits in its pipe"
    assert follower.until(lambda one: "x" * 5000 in one.get("text", ""))


def test_ctrl_c_ends_a_service_and_its_scripts_on_a_full_disk(on_small_disk, small_disk):
    site, follower = on_small_disk
    pid = site.create(COUNTING)
    assert follower.state(pid, "READY")
    site.run(pid, 0, 200)
    assert follower.until(lambda one: one.get("number") == 20)
    with filled(small_disk):
        until_refused(site)
        site.up.clear()
        site.server.end(signal.SIGINT)
        assert site.kernels_ended()
    site.start()
    assert site.describe(pid)["state"] in ("STOPPED", "FAILED")
    counted = numbers(data(site.events(pid)))
    assert counted == list(range(len(counted)))


def test_service_does_not_start_on_a_full_disk_and_says_why(small_disk):
    with stand() as site:
        site.state.symlink_to(small_disk)
        with filled(small_disk):
            assert "No space left on device" in refusal(site)
        site.start()


@pytest.fixture
async def bench_in_trouble(tmp_path, monkeypatch):
    """A service that can be kept from writing anything down."""
    monkeypatch.setattr("oet_kernel.store.journal.RETRY_SECONDS", 0.01)
    made = Bench(tmp_path)
    write = made.journal.store.write

    def refuse(unit):
        raise StoreUnusable("The disk is full", "full")

    @contextmanager
    def trouble():
        monkeypatch.setattr(made.journal.store, "write", refuse)
        yield
        monkeypatch.setattr(made.journal.store, "write", write)

    made.trouble = trouble
    yield made
    await made.close()


@pytest.mark.anyio
async def test_no_state_is_shown_before_its_events_are_written(bench, monkeypatch):
    pid = await bench.ready(NOTHING)
    write, may_write = bench.journal.store.write, threading.Event()
    monkeypatch.setattr(bench.journal.store, "write", lambda unit: (may_write.wait(60), write(unit)))
    starting = asyncio.create_task(bench.start(pid))
    await asyncio.sleep(0)
    assert "main" in bench.registry.find(pid).procedure.calls
    bench.registry.find(pid).stored.learn(CallStarted(time.time(), "main"))
    bench.registry.find(pid).stored.learn(Failed(time.time(), "Error: of its own\n"))
    assert bench.service.summarise([pid])[0].state is S.READY
    assert (await bench.service.start(StartProcessCommand(pid))).state is S.READY
    may_write.set()
    await starting
    assert (await bench.until(pid)).state is S.FAILED
    assert [one["new_state"] for one in bench.said("procedure.lifecycle.statechange", pid)][-1] == "FAILED"


@pytest.mark.anyio
async def test_creation_that_was_answered_with_an_error_leaves_nothing_at_work(bench_in_trouble):
    bench = bench_in_trouble
    with bench.trouble():
        with pytest.raises(StoreUnusable):
            await bench.create(NOTHING)
        with pytest.raises(StoreUnusable):
            await bench.create(NOTHING)
    await bench.journal.written()
    (one,) = bench.service.summarise()
    assert (await bench.until(one.id)).state is S.STOPPED
    assert bench.state.kernel_folders() == [] or not bench.registry.find(one.id).link.alive
    assert (await bench.run(NOTHING)).state is S.COMPLETE


@pytest.mark.anyio
async def test_start_that_was_answered_with_an_error_is_not_carried_out_and_can_be_asked_for_again(bench_in_trouble):
    bench = bench_in_trouble
    pid = await bench.ready(NOTHING)
    other = await bench.ready(NOTHING, name="other.py")
    with bench.trouble(), pytest.raises(StoreUnusable):
        await bench.start(pid)
    await bench.journal.written()
    assert bench.service.summarise([pid])[0].state is S.READY
    await bench.start(other)
    assert (await bench.until(other)).state is S.COMPLETE, "the subarray is free"
    assert bench.output(pid) == ""
    await bench.start(pid)
    assert (await bench.until(pid)).state is S.COMPLETE
    assert bench.output(pid) == "done\n"


@pytest.mark.anyio
async def test_stop_ends_a_script_that_talks_while_nothing_can_be_written(bench_in_trouble):
    bench = bench_in_trouble
    pid = await bench.ready(TALKING)
    with bench.bus.subscribe(["user.count"], procedure=pid) as events:
        await bench.start(pid)
        await events.batch()
    kernel = bench.registry.find(pid).kernel
    with bench.trouble():
        with pytest.raises(StoreUnusable):
            await bench.create(NOTHING)
        async with asyncio.timeout(60):
            assert (await bench.service.stop(StopProcessCommand(pid))).stopped
        assert not kernel.alive
        assert bench.service.summarise([pid])[0].state is S.STOPPED
    await bench.journal.written()
    await kernel.heard_out()
    await bench.journal.written()
    stored = bench.journal.store.events(0, Filter(), None).rows
    assert [one.seq for one in stored] == list(range(1, len(stored) + 1))
    mine = [one.topic for one in stored if one.procedure == pid]
    assert mine.count("procedure.lifecycle.stopped") == 1


@pytest.mark.anyio
async def test_procedure_that_is_to_start_by_itself_is_started_when_that_can_be_written_down(bench_in_trouble):
    bench = bench_in_trouble
    command = PrepareProcessCommand(bench.script(NOTHING))
    pid = (await bench.service.prepare(command)).id
    await bench.until(pid, S.READY)
    with bench.trouble():
        with pytest.raises(StoreUnusable):
            await bench.create(NOTHING, name="other.py")
        starting = asyncio.create_task(bench.service._starts.autostart(bench.registry.find(pid)))
        await asyncio.sleep(0)
    await starting
    assert (await bench.until(pid)).state is S.COMPLETE


# --- a folder that cannot be written


def refusal(site):
    """Start a service that does not come up; gives what it says."""
    argv = [sys.executable, "-m", "oet_kernel.server.entry", "--port=0", f"--state-dir={site.state}", "--token=x"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=site.folder)
    assert done.returncode != 0
    return done.stderr


def test_read_only_state_folder_is_told_at_the_start(small_disk):
    with stand() as site:
        site.state.symlink_to(small_disk)
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        said = refusal(site)
        assert "Read-only file system" in said
        assert "--state-dir" in said
        assert "Traceback" not in said
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        site.start()


# --- damage


def record(number):
    return b'{"n":%d,"t":1.0,"type":"x","call":null,"content":{"number":%d}}\n' % (number, number)


@pytest.mark.parametrize(
    "rubbish",
    [
        b'{"n":2,"t":1.0,"type":"x","ca',
        b"\0" * 5000,
        bytes(range(256)) * 20,
        b"\xff\xfe\n\n\0\n",
        b'{"n":2}\n',
        b"[1, 2]\n",
        b"x" * (3 << 20),
    ],
    ids=["half a line", "zeros", "bytes", "lines of bytes", "another object", "no object", "three megabytes"],
)
def test_rubbish_in_a_kernels_journal_hides_nothing_behind_it(tmp_path, rubbish):
    path = tmp_path / JOURNAL
    path.write_bytes(record(1) + rubbish)
    tail = JournalReader(tmp_path)
    try:
        first = [one for one in tail.read() if one.type != UNREADABLE]
        assert [bytes(one.content) for one in first] == [b'{"number":1}']
        assert tail.read() == []
        with open(path, "ab") as file:
            file.write(record(3) + record(4))
        found = [one for one in tail.read() if one.type != UNREADABLE]
        assert [bytes(one.content) for one in found] == [b'{"number":3}', b'{"number":4}']
        assert tail.offset == path.stat().st_size
    finally:
        tail.close()


def test_script_is_told_when_what_it_publishes_finds_no_space_and_later_records_are_whole(small_disk):
    tail = JournalReader(small_disk)
    journal = Journal(small_disk)

    def say():
        for number in range(1000):
            journal.append("x", b'{"number":%d}' % number)

    with filled(small_disk), pytest.raises(OSError, match="No space left"):
        say()
    journal.append("x", b'{"last":true}')
    read = []
    while more := tail.read():
        read += [one for one in more if one.type != UNREADABLE]
    tail.close()
    contents = [msgspec.json.decode(one.content) for one in read]
    assert contents[-1] == {"last": True}
    assert [one["number"] for one in contents[:-1]] == list(range(len(contents) - 1))


@pytest.mark.parametrize("where", [0, 8192], ids=["header", "tables"])
def test_damaged_database_is_told_at_the_start_and_another_can_be_begun(where):
    with stand("--OetApp.detach=True", "--warm-kernels=0") as site:
        site.start()
        pid = site.create(NOTHING)
        site.server.until(pid, "READY")
        site.server.end()
        assert len(site.kernels()) == 1
        database = site.state / DATABASE
        with open(database, "r+b") as file:
            file.seek(where)
            file.write(b"\x5a" * (1 << 16))
        said = refusal(site)
        assert str(database) in said
        assert "recover.md" in said
        assert "Traceback" not in said
        for path in site.state.glob(f"{DATABASE}*"):  # the remedy
            path.rename(site.folder / path.name)
        site.start()
        assert site.archive() == []
        assert site.kernels_ended(), "nobody knows what it is"
        again = site.create(NOTHING)
        assert site.server.until(again, "READY")["state"] == "READY"


# --- time


@pytest.mark.anyio
async def test_clock_that_steps_back_changes_no_order(tmp_path, monkeypatch):
    now = time.time
    bench = Bench(tmp_path)
    first = await bench.ready(NOTHING)
    await bench.start(first)
    await bench.until(first)
    second = await bench.ready(NOTHING)
    monkeypatch.setattr(time, "time", lambda: now() - 3600)
    await bench.start(second)
    assert (await bench.until(second)).state is S.COMPLETE
    third = await bench.ready(NOTHING)
    await bench.start(third)
    await bench.until(third)
    for pid in (first, second, third):
        times = [at for _, at in bench.service.summarise([pid])[0].history.process_states]
        assert times == sorted(times)
    await bench.close()
    store = SqliteStore(tmp_path / "state" / DATABASE)
    try:
        assert [one.id for one in store.archive(ArchiveQuery()).rows] == [third, second, first]
        seqs = [one.seq for one in store.events(0, Filter(), None).rows]
        assert seqs == list(range(1, len(seqs) + 1))
        requests = [msgspec.json.decode(one.data) for one in store.events(0, Filter(("request",)), None).rows]
        ids = [one["request_id"] for one in requests]
        assert ids == sorted(set(ids)), "no two requests have one id"
    finally:
        store.close()
