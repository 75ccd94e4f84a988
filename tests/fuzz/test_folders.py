"""Whatever is in the state folder, the next service starts on it, or says in a sentence what it cannot take."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oet_kernel.errors import OetError
from oet_kernel.maintenance.doctor import Doctor
from oet_kernel.models import ProcedureState as S
from oet_kernel.models import StopProcessCommand
from oet_kernel.state.layout import DATABASE
from oet_kernel.store.rows import ArchiveQuery
from oet_kernel.system.process_tree import kill_tree
from tests.conftest import Bench
from tests.fuzz import strategies as odd

TABLES = {
    "procedures": ("id", "state", "script", "subarray", "created", "ended", "record"),
    "kernels": ("procedure", "kind", "address", "process", "offset"),
    "events": ("seq", "procedure", "topic", "at", "data"),
    "activities": ("id", "procedure", "record"),
    "counters": ("name", "value"),
}
cells = odd.documents | st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
cells |= odd.texts.map(lambda text: text.encode("utf-8", "replace").decode())
columns = st.sampled_from([(table, column) for table, names in TABLES.items() for column in names])
files = st.integers(0, 1000)


def change_row(folder, _, where, row, value):
    table, column = where
    # a constraint holds, or there is no database any more
    with suppress(sqlite3.Error), closing(sqlite3.connect(folder / DATABASE)) as database, database:
        number = f"(select rowid from {table} limit 1 offset {row})"
        database.execute(f'update {table} set "{column}" = ? where rowid = {number}', (value,))


def overwrite(folder, path, where, row, value):
    if path.is_file():  # a pipe would be waited for
        path.write_bytes(value if isinstance(value, bytes) else repr(value).encode("utf-8", "replace"))


def cut(folder, path, where, row, value):
    if path.is_file():
        os.truncate(path, path.stat().st_size * row // 5)


def spoil_bytes(folder, path, where, row, value):
    if path.is_file() and (size := path.stat().st_size):
        with open(path, "r+b") as file:
            file.seek(size * row // 5)
            file.write(b"\xff\x00{[" * 8)


def replace_by_folder(folder, path, where, row, value):
    with suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.mkdir()
        (path / "odd").write_bytes(b"odd")


def replace_by_pipe(folder, path, where, row, value):
    with suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        os.mkfifo(path)


def add_odd(folder, path, where, row, value):
    with suppress(OSError, ValueError):
        (path.parent / f"odd-{row}").write_bytes(b"odd")


damages = st.lists(
    st.tuples(
        st.sampled_from((change_row,) * 6 + (overwrite, cut, spoil_bytes, replace_by_folder, replace_by_pipe, add_odd)),
        files,
        columns,
        st.integers(0, 4),
        cells,
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """The state folder of a service that was killed: some procedures have ended, one waits for its start."""

    async def make():
        bench = Bench(folder)
        for _ in range(3):
            await bench.run("def main(): print('done')\n")
        pid = await bench.ready("def main(): pass\n", name="other.py")
        kernel = bench.registry.find(pid).kernel
        await bench.detach()
        kill_tree(kernel.pid)

    folder = tmp_path_factory.mktemp("template")
    asyncio.run(make())
    return folder / "state"


async def start_on(folder):
    """Start a service on a folder, ask it for all it has, and end it; gives the sentence by which it refuses."""
    try:
        bench = Bench(folder)
    except OetError as error:
        return str(error)
    try:
        async with asyncio.timeout(60):
            await bench.service.resume()
            for summary in bench.service.summarise():
                assert isinstance(summary.state, S)
            bench.journal.store.archive(ArchiveQuery())
            for execution in bench.registry.active:
                await bench.service.stop(StopProcessCommand(execution.id))
    except OetError as error:
        return str(error)
    finally:
        await bench.close()
    return None


@settings(max_examples=25)
@given(damages)
def test_next_service_starts_or_says_why_not(template, damages):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(["cp", "-a", template, folder / "state"], check=True)  # it knows pipes
        with closing(sqlite3.connect(folder / "state" / DATABASE)) as database, database:
            database.execute("update kernels set address = replace(address, ?, ?)", (str(template), f"{folder}/state"))
        for damage, number, where, row, value in damages:
            paths = sorted(path for path in (folder / "state").rglob("*") if not path.name.startswith("lock"))
            damage(folder / "state", paths[number % len(paths)], where, row, value)
        said = asyncio.run(start_on(folder))
        assert said is None or str(folder) in said, "names the folder or the file"
        Doctor(folder / "state", fix=True).examine()
        again = asyncio.run(start_on(folder))
        assert again is None or again == said
