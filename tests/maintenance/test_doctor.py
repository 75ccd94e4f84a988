"""The doctor finds what is wrong with a state folder, tells what to do, and mends it where nobody can be harmed."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from oet_kernel import procedure as lifecycle
from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from oet_kernel.maintenance.doctor import Doctor
from oet_kernel.models import FileSystemScript, ProcedureInput
from oet_kernel.state.folder import StateFolder
from oet_kernel.state.layout import DATABASE
from oet_kernel.store.rows import ProcedureRow, Unit
from oet_kernel.store.sqlite import SqliteStore
from oet_kernel.system.files import write_whole
from oet_kernel.system.process_identity import start_of
from tests.conftest import Bench

NOTHING = "def init(subarray_id=1): pass\ndef main(): pass\n"


@pytest.fixture
def folder(tmp_path):
    """A state folder that a service has left, all well."""
    state = StateFolder(tmp_path / "state")
    SqliteStore(state.path / DATABASE).close()
    state.close()
    return state.path


async def ended(pid):
    """Wait for the end of a child of this process, and forget it."""
    await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WEXITED)


def problems(folder, *, fix=False):
    return [one for one in Doctor(folder, fix=fix).examine() if one.problem]


def found(folder, about, *, fix=False):
    return [one for one in Doctor(folder, fix=fix).examine() if one.about == about]


def test_sound_folder_has_no_problem_and_nothing_is_changed(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != "lock"}
    assert problems(folder) == []
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_folder_that_is_not_there_is_no_problem(tmp_path):
    assert problems(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", [".", DATABASE])
def test_what_others_can_reach_is_made_private(folder, name):
    path = folder / name
    path.chmod(path.stat().st_mode | 0o044)
    (one,) = problems(folder)
    assert one.about == "folder"
    assert str(path) in one.text
    assert one.remedy.startswith("chmod 0")
    assert all(one.mended for one in found(folder, "folder", fix=True))
    assert not stat.S_IMODE(path.stat().st_mode) & 0o077
    assert problems(folder) == []


def test_service_at_work_is_named_and_nothing_is_mended_meanwhile(folder):
    state = StateFolder(folder)
    try:
        folder.chmod(0o755)
        assert str(os.getpid()) in found(folder, "lock")[0].text
        assert [one.mended for one in found(folder, "folder", fix=True)] == [False]
        assert problems(folder, fix=True)
    finally:
        state.close()


def test_little_space_is_told(folder, monkeypatch):
    monkeypatch.setattr("oet_kernel.maintenance.doctor._ENOUGH_BYTES", 1 << 60)
    (one,) = problems(folder)
    assert one.about == "disk"


@pytest.mark.parametrize("where", [0, 8192], ids=["header", "tables"])
def test_damaged_database_is_told_with_where_to_read_on(folder, where):
    with open(folder / DATABASE, "r+b") as file:
        file.seek(where)
        file.write(b"\x5a" * 20000)
    (one,) = problems(folder)
    assert one.about == "database"
    assert "recover.md" in one.remedy


def test_other_schema_is_told(folder):
    import sqlite3

    with sqlite3.connect(folder / DATABASE) as database:
        database.execute("UPDATE alembic_version SET version_num = '0000'")
    database.close()
    assert "schema 0000" in found(folder, "database")[0].text
    assert problems(folder) == []


def test_folders_of_kernels_that_have_ended_are_removed(folder):
    left = folder / "kernels" / "old"
    left.mkdir(parents=True, mode=0o700)
    left.parent.chmod(0o700)
    (left / "iopub.jsonl").touch(mode=0o600)
    (one,) = found(folder, "leftovers")
    assert not one.problem
    assert [one.mended for one in found(folder, "leftovers", fix=True)] == [True]
    assert not left.exists()


def test_checkout_that_was_begun_is_removed(folder):
    left = folder / "repositories" / "abc.new"
    left.mkdir(parents=True)
    assert [one.mended for one in found(folder, "leftovers", fix=True)] == [True]
    assert not left.exists()
    assert found(folder, "leftovers") == []


def leave_records(folder):
    """Leave records of procedures 1, 2 and 5; the database has given five ids, and has procedure 2 still."""
    procedure = lifecycle.create(2, FileSystemScript(script_uri="file:///a.py"), ProcedureInput(), 1.0)
    ended = lifecycle.apply(procedure, lifecycle.Failed(2.0, "because"))
    store = SqliteStore(folder / DATABASE)
    store.write(Unit(procedures={2: ProcedureRow(procedure=ended)}, counters={"procedure": 5}))
    store.close()
    records = folder / "records"
    for name in ("1.ipynb", "2.ipynb", "5.ipynb"):
        write_whole(records / name, b"{}")
    return records


def names(records):
    return sorted(path.name for path in records.iterdir())


def test_records_of_procedures_that_are_kept_no_more_are_removed_and_no_others(folder):
    records = leave_records(folder)
    others = ["03.ipynb", "1-copy.ipynb", "6.ipynb", "600.ipynb", "note.txt"]
    for name in others:
        (records / name).touch()
    (records / "4.ipynb").mkdir()
    (one,) = found(folder, "leftovers")
    assert one.text.startswith("2 records of procedures that are kept no more")
    assert not one.problem
    assert [one.mended for one in found(folder, "leftovers", fix=True)] == [True]
    assert names(records) == sorted(["2.ipynb", "4.ipynb", *others])
    assert found(folder, "leftovers") == []


def test_record_whose_writing_was_not_finished_is_removed_and_the_one_before_stays(folder):
    records = leave_records(folder)
    for pid in (1, 2, 9):
        (records / f".{pid}.ipynb.new").touch()
    assert [one.mended for one in found(folder, "leftovers", fix=True)] == [True, True]
    assert names(records) == ["2.ipynb"]


def test_records_are_left_alone_while_a_service_may_write_them(folder):
    records = leave_records(folder)
    (records / ".2.ipynb.new").touch()
    before = names(records)
    state = StateFolder(folder)
    try:
        (one,) = found(folder, "leftovers", fix=True)
        assert (one.problem, one.mended) == (False, False)
        assert "while no service works here" in one.remedy
        assert names(records) == before
    finally:
        state.close()


def test_records_of_a_database_that_was_put_away_are_not_taken_for_leftovers(folder):
    records = leave_records(folder)
    for path in folder.glob(f"{DATABASE}*"):
        path.unlink()
    assert found(folder, "leftovers", fix=True) == []
    SqliteStore(folder / DATABASE).close()
    assert found(folder, "leftovers", fix=True) == []
    assert names(records) == ["1.ipynb", "2.ipynb", "5.ipynb"]


def test_process_that_a_kernel_left_behind_is_ended(folder):
    env = {**os.environ, "OET_KERNEL_ID": f"{folder}/kernels/gone"}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=env) as left:
        # from its start to the moment when it runs its own program it carries what this process does
        while f"{folder}/kernels/gone" not in Path(f"/proc/{left.pid}/environ").read_text():
            assert left.poll() is None
        (one,) = found(folder, "kernels")
        assert one.problem
        assert str(left.pid) in one.text
        assert [one.mended for one in found(folder, "kernels", fix=True)] == [True]
        assert left.wait(60) == -signal.SIGKILL


@pytest.mark.anyio
async def test_procedure_at_work_without_a_service_is_told_and_left_alone(tmp_path):
    first = Bench(tmp_path)
    pid = await first.ready(NOTHING)
    kernel = first.service._registry.find(pid).kernel
    await first.detach()
    findings = await asyncio.to_thread(Doctor(first.state.path, fix=True).examine)
    (one,) = [one for one in findings if one.about == "procedures"]
    assert f"Procedure {pid} is READY" in one.text
    assert not one.problem
    assert start_of(kernel.pid) == kernel.record.started
    second = Bench(tmp_path)
    await second.service.resume()
    await second.close()


@pytest.mark.anyio
async def test_kernel_without_a_procedure_is_ended_and_nothing_is_left_of_it(tmp_path):
    first = Bench(tmp_path)
    kernel = first.pool.get(None)
    await first.pool.start(kernel)
    await first.detach()
    findings = await asyncio.to_thread(Doctor(first.state.path).examine)
    (one,) = [one for one in findings if one.about == "kernels"]
    assert one.problem
    assert str(kernel.pid) in one.text
    findings = await asyncio.to_thread(Doctor(first.state.path, fix=True).examine)
    assert [one.mended for one in findings if one.about == "kernels"] == [True]
    await ended(kernel.pid)
    assert not kernel.folder.exists()
    assert await asyncio.to_thread(problems, first.state.path) == []


@pytest.mark.anyio
async def test_procedure_whose_kernel_is_gone_is_told_and_the_next_service_records_it(tmp_path):
    first = Bench(tmp_path)
    pid = await first.ready(NOTHING)
    kernel = first.service._registry.find(pid).kernel
    await first.detach()
    os.kill(kernel.pid, signal.SIGKILL)
    await ended(kernel.pid)
    first.state.forget(kernel.folder)
    (one,) = await asyncio.to_thread(problems, first.state.path)
    assert one.about == "procedures"
    assert "not to be found" in one.text
    second = Bench(tmp_path)
    await second.service.resume()
    assert (await second.until(pid)).state.name == "FAILED", "as the doctor said"
    await second.close()


@pytest.mark.anyio
async def test_fork_server_without_a_service_is_ended(tmp_path):
    state = StateFolder(tmp_path / "state")
    fork_server = ForkServerSupervisor(state.runtime)
    fork_server.start()
    await fork_server.ready()
    assert fork_server._process is not None
    process = fork_server._process
    await fork_server._let_go()
    fork_server._connection.close()  # what it sees of a service that is killed
    state.close(keep_runtime=True)
    (one,) = await asyncio.to_thread(problems, state.path)
    assert one.about == "fork servers"
    assert await asyncio.to_thread(problems, state.path, fix=True) == []
    await asyncio.to_thread(process.wait, 15)
    assert await asyncio.to_thread(problems, state.path) == []


# --- the command


def test_command_prints_a_line_for_each_finding_and_says_by_its_status_whether_all_is_well(folder):
    argv = [sys.executable, "-m", "oet_kernel.cli", "doctor", f"--state-dir={folder}"]
    sound = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (sound.returncode, sound.stderr) == (0, "")
    assert "ok       database: " in sound.stdout
    folder.chmod(0o755)
    ill = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ill.returncode == 1
    assert f"PROBLEM  folder: {folder} can be reached" in ill.stdout
    assert f"-> chmod 0700 {folder}" in ill.stdout
    as_json = subprocess.run([*argv, "--json"], capture_output=True, text=True, check=False)
    assert [one["about"] for one in json.loads(as_json.stdout) if one["problem"]] == ["folder"]
    mended = subprocess.run([*argv, "--fix"], capture_output=True, text=True, check=False)
    assert mended.returncode == 0
    assert "mended   folder: " in mended.stdout


def test_other_commands_load_nothing_of_the_doctor_or_the_service():
    code = (
        "import sys, oet_kernel.cli\n"
        "heavy = ('oet_kernel.maintenance.doctor', 'oet_kernel.state.folder', 'sqlalchemy', 'zmq')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
