"""Whatever is in the database or in the folders of kernels, the next service starts and goes on with the rest."""

import asyncio
import os
import sqlite3

import pytest

from oet_kernel.maintenance.doctor import Doctor
from oet_kernel.models import ProcedureState as S
from oet_kernel.models import StopProcessCommand
from oet_kernel.state.layout import DATABASE
from tests.conftest import Bench, gone

pytestmark = pytest.mark.anyio

DEEP = '{"args":[],"kwargs":{"x":' + "[" * 5000 + "]" * 5000 + "}}"

PROCEDURES = {
    "no JSON": "update procedures set record = x'ff00' where id = 1",
    "text": "update procedures set record = 'text' where id = 1",
    "number": "update procedures set record = 5 where id = 1",
    "empty": "update procedures set record = x'' where id = 1",
    "of another": "update procedures set record = (select record from procedures where id = 2) where id = 1",
    "without a history": 'update procedures set record = cast(\'{"procedure":{"id":1,"script":{"script_type":'
    '"filesystem","script_uri":"x"}}}\' as blob) where id = 1',
    "deep": f"update procedures set record = cast('{DEEP}' as blob) where id = 1",
    "deep arguments": "update procedures set record = cast(replace(cast(record as text), '\"kwargs\":{}', "
    f'\'"kwargs":{{"x":{"[" * 900}{"]" * 900}}}\') as blob) where id = 1',
    "kernel elsewhere": "update kernels set address = '/' where procedure = 1",
    "kernel of nowhere": "update kernels set address = x'00' where procedure = 1",
    "kernel's process": "update kernels set process = 'x' where procedure = 1",
    "kernel's process deep": f"update kernels set process = '{'[' * 5000}' where procedure = 1",
    "kernel's offset": "update kernels set offset = 'far' where procedure = 1",
    "offset below zero": "update kernels set offset = -7 where procedure = 1",
    "counter": "update counters set value = 'many'",
    "no counter": "delete from counters",
    "activity": "insert into activities values (1, 1, 'x')",
    "activity deep": f"insert into activities values (1, 1, '{'[' * 5000}')",
    "event": "update events set data = 'text', topic = 5",
}


@pytest.mark.parametrize("what", PROCEDURES)
async def test_service_starts_on_a_database_with_a_row_that_is_broken(tmp_path, what):
    first = Bench(tmp_path)
    await first.service.resume()
    broken = await first.ready("def main(): pass\n")
    other = await first.ready("def main(): print('on')\n", name="other.py")
    pid = first.registry.find(broken).kernel.pid
    await first.detach()
    with sqlite3.connect(tmp_path / "state" / DATABASE) as database:
        database.execute(PROCEDURES[what])
    database.close()
    bench = Bench(tmp_path)
    try:
        async with asyncio.timeout(60):
            await bench.service.resume()
            await bench.start(other)
            assert (await bench.until(other)).state is S.COMPLETE
            (summary,) = bench.service.summarise([broken])
            assert summary.state in (S.READY, S.FAILED)
            await bench.service.stop(StopProcessCommand(broken))
            assert (await bench.until(broken)).state in (S.STOPPED, S.FAILED)
            assert await bench.ready("def main(): pass\n") > other
    finally:
        await bench.close()
    assert await gone(pid), "no kernel is left behind"
    again = Bench(tmp_path)
    async with asyncio.timeout(60):
        await again.service.resume()
    assert not again.journal.set_aside.counts["rows"], "what was set aside once does not come again"
    await again.close()


def spoil_journal(folder):
    (folder / "iopub.jsonl").unlink()
    (folder / "iopub.jsonl").mkdir()


def spoil_bell(folder):
    (folder / "bell").unlink()
    (folder / "bell").write_bytes(b"no pipe")


def spoil_identity(folder):
    (folder / "process.json").unlink()
    os.mkfifo(folder / "process.json")


def spoil_connection(folder):
    (folder / "kernel.json").write_bytes(b"[" * 5000)


def remove(folder):
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


@pytest.mark.parametrize("spoil", [spoil_journal, spoil_bell, spoil_identity, spoil_connection, remove])
async def test_service_starts_on_a_kernels_folder_that_is_broken(tmp_path, spoil):
    first = Bench(tmp_path)
    await first.service.resume()
    broken = await first.ready("def main(): pass\n")
    other = await first.ready("def main(): pass\n", name="other.py")
    kernel = first.registry.find(broken).kernel
    await first.detach()
    spoil(kernel.folder)
    (tmp_path / "state/kernels/odd").write_bytes(b"no folder")
    (tmp_path / "state/kernels/link").symlink_to(tmp_path)
    bench = Bench(tmp_path)
    try:
        async with asyncio.timeout(60):
            await bench.service.resume()
            await bench.start(other)
            assert (await bench.until(other)).state is S.COMPLETE
            await bench.service.stop(StopProcessCommand(broken))
    finally:
        await bench.close()
    assert await gone(kernel.pid), "no kernel is left behind"
    assert (tmp_path / "script.py").exists(), "what a link leads to stays"


async def test_doctor_names_what_cannot_be_read_and_mends_it(tmp_path):
    bench = Bench(tmp_path)
    await bench.service.resume()
    for _ in range(3):
        await bench.run("def main(): pass\n")
    await bench.close()
    folder = tmp_path / "state"
    with sqlite3.connect(folder / DATABASE) as database:
        database.execute("update procedures set record = 'text' where id in (1, 3)")
    database.close()
    (folder / "activities").symlink_to("nowhere")
    problems = {one.about: one.text for one in Doctor(folder).examine() if one.problem}
    assert "2 procedures cannot be read: 3, 1" in problems["database"]
    assert "activities is not of the expected type" in problems["folder"]
    assert all(one.mended for one in Doctor(folder, fix=True).examine() if one.about == "database" and one.remedy)
    assert not [one for one in Doctor(folder).examine() if one.problem]
    kept = [one for one in Doctor(folder).examine() if one.about == "set aside"]
    assert kept[0].text.startswith("3 items that a service could not process")
    again = Bench(tmp_path)
    await again.service.resume()
    assert [one.state for one in again.service.summarise()] == [S.FAILED, S.COMPLETE, S.FAILED]
    await again.close()
    assert all(one.mended for one in Doctor(folder, fix=True).examine() if one.about == "set aside")
    assert not list((folder / "set-aside").iterdir())
