"""Where memory runs out the service says so, takes what a kernel has said once there is some, and loses nothing."""

import asyncio

import pytest
from sqlalchemy.engine import Connection

from oet_kernel.bounds import read_up_to
from oet_kernel.errors import StoreUnusable
from oet_kernel.kernel_manager import delivery
from oet_kernel.kernel_manager.journal_reader import JournalReader
from oet_kernel.models import ProcedureState

pytestmark = pytest.mark.anyio


async def test_what_a_kernel_says_is_read_when_there_is_memory_again(bench, monkeypatch, caplog):
    monkeypatch.setattr(delivery, "_MEMORY_SECONDS", 0.01)
    really, left = JournalReader.read, [20]

    def read(self, *args):
        if left[0]:
            left[0] -= 1
            raise MemoryError
        return really(self, *args)

    monkeypatch.setattr(JournalReader, "read", read)
    pid = await bench.create("def main(): print('said')\n")
    async with asyncio.timeout(60):
        assert (await bench.until(pid, ProcedureState.READY)).state is ProcedureState.READY
    assert not left[0]
    assert "Too little memory to read the journal of the kernel" in caplog.text


async def test_database_without_memory_says_so(bench, monkeypatch):
    def execute(*args, **kwargs):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "execute", execute)
        with pytest.raises(StoreUnusable, match="the service has no memory left"):
            bench.journal.store.active()
    assert bench.journal.store.active() == []


def test_no_memory_is_taken_for_what_a_file_does_not_have():
    asked = []

    class File:
        def read(self, size):
            asked.append(size)
            return b"x" * size if len(asked) < 3 else b""

    assert len(read_up_to(File(), 64 << 20)) == 2 << 20
    assert max(asked) <= 1 << 20


@pytest.mark.parametrize("most", [0, 1, 999, 1 << 20, (1 << 20) + 1])
def test_no_more_is_read_than_was_asked_for(tmp_path, most):
    path = tmp_path / "file"
    path.write_bytes(b"x" * ((1 << 20) + 2))
    with open(path, "rb") as file:
        assert len(read_up_to(file, most)) == most
