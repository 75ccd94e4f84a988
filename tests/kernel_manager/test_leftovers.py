"""Two hundred kernels, started and stopped, leave nothing behind."""

import asyncio
import os
import re
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from oet_kernel.models import ProcedureState, StopProcessCommand
from oet_kernel.protocol import COLLECTOR_NAME
from tests.conftest import Bench, gone

pytestmark = pytest.mark.anyio

KERNELS = 200
AT_ONCE = 8
SCRIPTS = [
    "def main(): pass",
    "import subprocess\ndef main(): subprocess.Popen(['sleep', '1000'], start_new_session=True)",
    "import os, signal\ndef main(): os.kill(os.getpid(), signal.SIGKILL)",
    "import os, threading\ndef main():\n    if os.fork() == 0: os.setsid(); threading.Event().wait()",
    "def main(): raise ValueError",
]


def open_files(pid: int) -> Counter[str]:
    """Count the open files of a process by their kind, or name."""
    found: Counter[str] = Counter()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that the folder is read with
            target = os.readlink(entry)
            found[re.sub(r"\d+", "", target)] += 1
    return found


def contents(*folders: Path) -> list[str]:
    return sorted(path.name for folder in folders for path in folder.rglob("*"))


def marked(mark: str) -> list[psutil.Process]:
    """Find the processes of these kernels' scripts, wherever they have gone."""
    found = []
    for process in psutil.process_iter():
        try:
            if mark in process.environ().values():
                found.append(process)
        except psutil.Error:
            pass
    return found


async def live(bench: Bench, n: int) -> None:
    """Run one script to its end, or stop it before its start, and wait until its kernel has gone."""
    pid = await bench.ready(SCRIPTS[n % len(SCRIPTS)], name=f"script_{n}.py")
    execution = bench.registry.find(pid)
    if n % 3:
        await bench.start(pid)
        await bench.until(pid)
    else:
        await bench.service.stop(StopProcessCommand(pid))
    assert execution.state in (ProcedureState.COMPLETE, ProcedureState.FAILED, ProcedureState.STOPPED)
    await execution.ending.complete()


async def live_all(bench: Bench, count: int) -> None:
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(n: int) -> None:
        async with turn:
            await live(bench, n)

    await asyncio.gather(*(one(n) for n in range(count)))


async def test_two_hundred_kernels_leave_no_process_file_socket_or_descriptor(tmp_path, fork_server, monkeypatch):
    mark = uuid.uuid4().hex
    monkeypatch.setenv("OET_TEST_MARK", mark)
    bench = Bench(tmp_path, fork_server=fork_server, history=1, exclusive=False)
    first = await bench.ready(SCRIPTS[0], name="first.py")
    kernel = bench.registry.find(first).kernel
    assert kernel is not None
    server = psutil.Process(kernel.pid).parent()
    assert server is not None
    assert server.pid != os.getpid()
    (collector,) = [child for child in server.children() if child.name() == COLLECTOR_NAME]
    folders = (bench.state.path, bench.state.runtime, Path(os.environ["OET_RUNTIME_DIR"]))

    async def left() -> dict[str, object]:
        # the one procedure that stays listed always is one that ended well
        await live(bench, 5)
        return {
            "files of the fork server": open_files(server.pid),
            "files of the collector": open_files(collector.pid),
            "processes": {child.pid for child in server.children(recursive=True)},
            "scripts' processes": [process.pid for process in marked(mark)],
            "own children": sorted(child.pid for child in psutil.Process().children()),
            "folders": len(contents(*folders)),
            "tasks": len(asyncio.all_tasks()),
        }

    await live_all(bench, 2 * AT_ONCE)  # threads and tables of libraries are there from now on
    before, files = await left(), open_files(os.getpid())
    assert before["processes"] == {kernel.pid, collector.pid}
    assert before["scripts' processes"] == []
    await live_all(bench, KERNELS)
    assert await left() == before
    # ZeroMQ gives back a closed socket's a little later, in a thread of its own
    more = open_files(os.getpid()) - files
    assert more.keys() <= {"anon_inode:[eventfd]"}
    assert more.total() < AT_ONCE
    await bench.service.close()
    assert not server.is_running()
    assert await gone(collector.pid)
    assert os.listdir(bench.state.runtime) == []
    bench.state.close()
