"""Kernels outlive the service that started them, and the next one takes them up with all they have said."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from oet_kernel.kernel_manager import fork_servers
from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from oet_kernel.kernel_manager.local import LocalKernel
from oet_kernel.kernel_manager.pool import KernelPool
from oet_kernel.kernel_manager.record import LOCAL, KernelRecord, find_record
from oet_kernel.kernel_manager.session import AtWork, KernelIdentity
from oet_kernel.models import ProcedureInput
from oet_kernel.protocol import CONNECTION_FILE, IDENTITY, EventRequest, PrepareRequest, RunRequest
from oet_kernel.server.assembly import kernel_pool
from oet_kernel.settings import Ladder
from oet_kernel.state.folder import StateFolder
from oet_kernel.system.process_identity import start_of
from tests.conftest import gone, settings

pytestmark = pytest.mark.anyio

DEADLINE = 30.0
REAL_PYTHON = Path(sys.executable).resolve()
LADDER = Ladder(15.0, 15.0, 15.0)
HEAD = "import atexit, os, sys, time, threading\nfrom pathlib import Path\nfrom oet_kernel.api import publish\n"


class Ear:
    """Hears what a kernel says."""

    def __init__(self) -> None:
        self.records = []
        self.offset = 0
        self.offsets = []
        self.description: str | None = None
        self._changed = asyncio.Event()

    async def hear(self, records, offset):
        assert self.description is None, "a record came after the end"
        self.records += records
        self.offset = offset
        self.offsets.append(offset)
        self._changed.set()

    def ended(self, description):
        assert self.description is None, "the end was told twice"
        self.description = description
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    @property
    def numbers(self) -> list[int]:
        events = [json.loads(bytes(r.content)) for r in self.records if r.type == "oet_event"]
        return [event["n"] for event in events if "n" in event]

    @property
    def calls(self) -> list[tuple[str, str]]:
        said = [json.loads(bytes(r.content)) for r in self.records if r.type == "oet_call"]
        return [(one["call"], one["phase"]) for one in said]

    async def until_called(self, call: str, phase: str) -> None:
        await self.until(lambda: (call, phase) in self.calls)


class Observatory:
    """Services that come and go on one state folder, each a pool of kernels; all in this process."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.kind = kind
        self.state = StateFolder(folder / "state")
        self.pools: list[KernelPool] = []
        self.kernels: list[LocalKernel] = []

    @property
    def forked(self) -> bool:
        return self.kind == "forked"

    async def service(self, *, orphan_seconds: float = 60, preload=()) -> KernelPool:
        """Start a service."""
        options = {"fork": self.forked, "preload": list(preload), "orphan_seconds": orphan_seconds}
        options |= {"interrupt_seconds": LADDER.interrupt, "terminate_seconds": LADDER.terminate}
        made = kernel_pool(settings(self.state.path, **options), self.state)
        self.pools.append(made)
        made.open()
        await made.opened()
        return made

    async def kernel(self, pool: KernelPool, text: str, python: Path | None = None) -> tuple[LocalKernel, Ear]:
        """Prepare a script in a kernel."""
        script = self.folder / f"script{len(self.kernels)}.py"
        script.write_text(HEAD + text)
        ear = Ear()
        kernel = pool.get(python)
        self.kernels.append(kernel)
        kernel.attach(ear.hear, ear.ended)
        assert await pool.start(kernel)
        kernel.ask(PrepareRequest(1, str(script)))
        await ear.until_called("load", "finished")
        if python is None:
            assert kernel.record.forked is self.forked
        return kernel, ear

    def adopt(self, pool: KernelPool, record: KernelRecord, ear: Ear, at_work: AtWork = "run") -> LocalKernel:
        """Have a service take up a kernel, to be heard by the one who heard it before."""
        kernel = pool.adopt(record.identity, ear.offset, at_work)
        kernel.attach(ear.hear, ear.ended)
        self.kernels.append(kernel)
        return kernel

    def pipe(self, name: str) -> Path:
        """Make a pipe by which a script and the test wait for each other."""
        path = self.folder / name
        os.mkfifo(path)
        return path

    async def close(self) -> None:
        for kernel in self.kernels:
            if kernel.started and start_of(kernel.pid) == kernel.record.started:
                os.kill(kernel.pid, signal.SIGKILL)
        for pool in self.pools:
            await pool.close()
        for server in self.state.runtime.glob("fork-*.sock"):
            one = ForkServerSupervisor(self.state.runtime)
            one.socket = server
            one.start()
            await one.looked()
            await one.close()
        self.state.close()


@pytest.fixture(params=["plain", "forked"])
async def observatory(request, tmp_path) -> AsyncIterator[Observatory]:
    made = Observatory(tmp_path, request.param)
    yield made
    await made.close()


@pytest.fixture
async def forking(tmp_path) -> AsyncIterator[Observatory]:
    made = Observatory(tmp_path, "forked")
    yield made
    await made.close()


async def say(pipe: Path) -> None:
    """Let a script go on that reads from a pipe."""
    async with asyncio.timeout(DEADLINE):
        await asyncio.to_thread(pipe.write_text, "go")


async def hear(pipe: Path) -> str:
    """Wait until a script writes to a pipe."""
    async with asyncio.timeout(DEADLINE):
        return await asyncio.to_thread(pipe.read_text)


def reap(pid: int) -> None:
    """Take note of the end of a child of this process, which would be none of another service."""
    os.waitpid(pid, 0)


def spawn(argv, **kwargs):
    return subprocess.Popen(argv, **kwargs)


async def test_kernel_that_publishes_goes_on_and_every_event_comes_once_and_in_order(observatory):
    halfway, stop = observatory.pipe("halfway"), observatory.folder / "stop"
    first = await observatory.service()
    kernel, ear = await observatory.kernel(
        first,
        f"def main():\n    n = 0\n    while not os.path.exists({str(stop)!r}):\n        publish('user.count', n=n)\n"
        f"        n += 1\n        time.sleep(0.001)\n        if n == 150: Path({str(halfway)!r}).write_text('x')\n",
    )
    kernel.ask(RunRequest())
    await ear.until(lambda: len(ear.numbers) >= 50)
    record = kernel.record
    await first.detach()
    seen = len(ear.records)
    await hear(halfway)
    assert len(ear.records) == seen, "a service that has gone hears nothing"
    second = await observatory.service()
    adopted = observatory.adopt(second, record, ear)
    assert adopted.alive
    assert adopted.record == record
    await ear.until(lambda: len(ear.numbers) >= 250)
    stop.touch()
    await ear.until_called("main", "finished")
    assert ear.numbers == list(range(len(ear.numbers)))
    assert ear.calls.count(("main", "started")) == 1
    assert ear.offsets == sorted(set(ear.offsets))
    assert await adopted.stop(LADDER)
    assert ear.offset == (adopted.folder / "iopub.jsonl").stat().st_size
    assert ("exit code 0" if observatory.forked else "an unknown status") in ear.description
    assert await gone(record.pid)


async def test_next_batch_waits_until_the_one_before_was_taken(observatory):
    said = observatory.pipe("said")
    pool = await observatory.service()
    kernel, ear = await observatory.kernel(
        pool,
        "def main():\n    for n in range(20_000): publish('user.count', n=n)\n"
        f"    Path({str(said)!r}).write_text('all')\n",
    )
    taken, begun = asyncio.Event(), asyncio.Event()
    batches = []

    async def slow(records, offset):
        batches.append(offset)
        begun.set()
        await taken.wait()
        await ear.hear(records, offset)

    kernel.attach(slow, ear.ended)
    kernel.ask(RunRequest())
    async with asyncio.timeout(DEADLINE):
        await begun.wait()
    await hear(said)
    assert len(batches) == 1
    taken.set()
    await ear.until_called("main", "finished")
    assert ear.numbers == list(range(20_000))


async def test_adopted_kernel_is_interrupted_and_stopped(observatory):
    first = await observatory.service()
    text = (
        "def main():\n    try:\n        publish('user.count', n=0)\n        time.sleep(1000)\n"
        "    finally:\n        print('cleaned up')\n"
    )
    kernel, ear = await observatory.kernel(first, text)
    kernel.ask(RunRequest())
    await ear.until(lambda: ear.numbers == [0])
    await first.detach()
    second = await observatory.service()
    adopted = observatory.adopt(second, kernel.record, ear)
    stopping = asyncio.create_task(adopted.stop(LADDER))
    await ear.until_called("main", "failed")
    assert await stopping
    assert await gone(adopted.pid)
    assert not adopted.alive
    assert any(b"cleaned up" in bytes(record.content) for record in ear.records)
    assert not (adopted.folder / CONNECTION_FILE).exists()
    assert not list(observatory.state.runtime.glob(f"{adopted.folder.name}-*"))


async def test_adopted_kernel_is_run_and_takes_events(observatory):
    first = await observatory.service()
    text = (
        "from pubsub import pub\nheard = threading.Event()\ndef listen(**kwargs): heard.set()\n"
        "pub.subscribe(listen, 'user.other')\ndef main(n):\n    heard.wait()\n    publish('user.count', n=n)\n"
    )
    kernel, ear = await observatory.kernel(first, text)
    await first.detach()
    second = await observatory.service()
    adopted = observatory.adopt(second, kernel.record, ear)
    adopted.ask(RunRequest(ProcedureInput([7])))
    await ear.until_called("main", "started")
    adopted.ask(EventRequest("user.other", {"msg_src": "2", "msg": "hello"}))
    await ear.until_called("main", "finished")
    assert ear.numbers == [7]


async def test_kernel_of_which_only_the_start_is_known_is_prepared_by_the_next_service(observatory):
    first = await observatory.service()
    kernel, ear = first.get(None), Ear()
    observatory.kernels.append(kernel)
    kernel.attach(ear.hear, ear.ended)
    await first.start(kernel)
    await first.detach()
    second = await observatory.service()
    adopted = observatory.adopt(second, kernel.record, ear)
    assert await adopted.ready()
    script = observatory.folder / "script.py"
    script.write_text(f"{HEAD}def main(): publish('user.count', n=int(os.environ['N']))\n")
    os.environ["N"] = "5"
    try:
        adopted.ask(PrepareRequest(1, str(script)))
    finally:
        del os.environ["N"]
    adopted.ask(RunRequest())
    await ear.until_called("main", "finished")
    assert ear.numbers == [5]


async def test_request_that_comes_twice_is_done_once(observatory):
    pool = await observatory.service()
    kernel, ear = await observatory.kernel(pool, "def main(): publish('user.count', n=1)\n")
    for _ in range(2):
        kernel.ask(PrepareRequest(1, str(observatory.folder / "script0.py")))
        kernel.ask(RunRequest())
    await ear.until_called("main", "finished")
    assert await kernel.stop(LADDER)
    phases = [("load", "started"), ("load", "finished"), ("main", "started"), ("main", "finished")]
    assert ear.calls == phases
    assert ear.numbers == [1]


@pytest.mark.parametrize("how", ["os._exit(3)", "os.kill(os.getpid(), 9)"])
async def test_kernel_that_ended_meanwhile_is_heard_to_its_end_and_its_end_is_told(observatory, how):
    go = observatory.pipe("go")
    first = await observatory.service()
    text = (
        f"def main():\n    Path({str(go)!r}).read_text()\n"
        f"    for n in range(500): publish('user.count', n=n)\n    {how}\n"
    )
    kernel, ear = await observatory.kernel(first, text)
    kernel.ask(RunRequest())
    await ear.until_called("main", "started")
    await first.detach()
    before = time.time()
    await say(go)
    assert await gone(kernel.pid)
    if not observatory.forked:
        reap(kernel.pid)
    second = await observatory.service()
    adopted = observatory.adopt(second, kernel.record, ear)
    await ear.until(lambda: ear.description is not None)
    assert ear.numbers == list(range(500))
    assert "while no service watched it" in ear.description
    if observatory.forked:
        assert ("exit code 3" if "exit" in how else "SIGKILL") in ear.description
    assert before - 0.1 <= adopted.ended_at <= time.time()
    assert not adopted.alive
    assert await adopted.stop(LADDER)


async def test_kernel_that_ended_meanwhile_with_its_fork_server_has_ended_all_the_same(forking):
    first = await forking.service()
    kernel, ear = await forking.kernel(first, "def main(): time.sleep(1000)\n")
    server = psutil.Process(kernel.pid).ppid()
    await first.detach()
    for pid in (server, kernel.pid):
        os.kill(pid, signal.SIGKILL)
        assert await gone(pid)
    second = await forking.service()
    adopted = forking.adopt(second, kernel.record, ear)
    await ear.until(lambda: ear.description is not None)
    assert "while no service watched it" in ear.description
    assert not adopted.alive


async def test_kernel_whose_fork_server_died_meanwhile_is_adopted(forking):
    first = await forking.service()
    kernel, ear = await forking.kernel(first, "def main(): publish('user.count', n=1)\n")
    server = psutil.Process(kernel.pid).ppid()
    await first.detach()
    os.kill(server, signal.SIGKILL)
    assert await gone(server)
    second = await forking.service()
    adopted = forking.adopt(second, kernel.record, ear)
    adopted.ask(RunRequest())
    await ear.until_called("main", "finished")
    assert await adopted.stop(LADDER)
    assert "an unknown status" in ear.description


async def test_process_that_has_only_the_pid_is_not_taken_for_the_kernel_nor_touched(observatory):
    pool = await observatory.service()
    folder = observatory.state.kernel_folder()
    with spawn(["sleep", "1000"], start_new_session=True) as stranger:
        record = KernelRecord(
            folder=str(folder), pid=stranger.pid, started=start_of(stranger.pid) - 1, forked=observatory.forked
        )
        ear = Ear()
        adopted = pool.adopt(record.identity, 0, "run")
        adopted.attach(ear.hear, ear.ended)
        assert await adopted.stop(Ladder(0.1, 0.1, 5))
        await ear.until(lambda: ear.description is not None)
        assert "while no service watched it" in ear.description
        assert stranger.poll() is None
        stranger.kill()


async def test_orphan_ends_itself_after_its_script_is_done_and_not_before(observatory):
    go, at_exit = observatory.pipe("go"), observatory.folder / "at_exit"
    first = await observatory.service(orphan_seconds=0.2)
    text = (
        f"atexit.register(lambda: Path({str(at_exit)!r}).write_text('clean'))\n"
        f"def main():\n    Path({str(go)!r}).read_text()\n    publish('user.count', n=1)\n"
    )
    kernel, ear = await observatory.kernel(first, text)
    kernel.ask(RunRequest())
    await ear.until_called("main", "started")
    await first.detach()
    assert not await gone(kernel.pid, 0.8), "its script was not done"
    await say(go)
    assert await gone(kernel.pid)
    assert at_exit.read_text() == "clean"
    if not observatory.forked:
        reap(kernel.pid)
    second = await observatory.service()
    observatory.adopt(second, kernel.record, ear)
    await ear.until(lambda: ear.description is not None)
    assert ear.numbers == [1]
    assert ("main", "finished") in ear.calls


async def test_kernel_to_which_a_service_came_back_is_no_orphan(observatory):
    for seconds in (0.6, 4, 12):
        first = await observatory.service(orphan_seconds=seconds)
        kernel, ear = await observatory.kernel(first, "def main(): publish('user.count', n=1)\n")
        away = []
        for _ in range(3):
            left = time.monotonic()
            await first.detach()
            first = await observatory.service(orphan_seconds=seconds)
            kernel = observatory.adopt(first, kernel.record, ear)
            away.append(time.monotonic() - left)
            ended = await gone(kernel.pid, seconds * 2 / 3)
            if max(away) > seconds / 2:
                break  # this machine is too busy to come back in time: the kernel may end, or not
            assert not ended
        else:
            break
        await first.close()
    assert not await gone(kernel.pid, seconds * 4 / 3)
    kernel.ask(RunRequest())
    await ear.until_called("main", "finished")


async def test_fork_server_is_taken_over_by_the_next_service(forking):
    first = await forking.service()
    kernel, ear = await forking.kernel(first, "def main(): pass\n")
    server = psutil.Process(kernel.pid).ppid()
    await first.detach()
    second = await forking.service()
    adopted = forking.adopt(second, kernel.record, ear, None)
    another, _ = await forking.kernel(second, "def main(): pass\n")
    assert psutil.Process(another.pid).ppid() == server
    assert second._fork_servers.own.busy
    for one in (adopted, another):
        assert await one.stop(LADDER)
    assert not second._fork_servers.own.busy
    await second.detach()
    assert await gone(server), "without kernels nobody needs it"


async def test_fork_server_that_no_service_comes_for_ends_when_its_last_kernel_has(forking):
    first = await forking.service(orphan_seconds=0.2)
    kernel, _ = await forking.kernel(first, "def main(): pass\n")
    server = psutil.Process(kernel.pid).ppid()
    await first.detach()
    assert await gone(kernel.pid)
    assert await gone(server)
    assert not list(forking.state.runtime.glob("fork-*.sock"))


async def test_fork_server_of_another_kind_tells_how_its_kernels_end_and_goes_with_the_last(forking):
    first = await forking.service()
    kernel, ear = await forking.kernel(first, "def main(): os._exit(3)\n")
    server = psutil.Process(kernel.pid).ppid()
    await first.detach()
    second = await forking.service(preload=["colorsys"])
    adopted = forking.adopt(second, kernel.record, ear)
    another, _ = await forking.kernel(second, "def main(): pass\n")
    assert psutil.Process(another.pid).ppid() != server
    adopted.ask(RunRequest())
    await ear.until(lambda: ear.description is not None)
    assert "exit code 3" in ear.description
    assert await gone(server)


async def test_signals_to_the_group_of_the_service_do_not_reach_the_fork_server(forking):
    pool = await forking.service()
    kernel, _ = await forking.kernel(pool, "def main(): pass\n")
    server = psutil.Process(kernel.pid).ppid()
    assert os.getsid(server) == server == os.getpgid(server)
    assert os.getsid(kernel.pid) == kernel.pid == os.getpgid(kernel.pid)


async def test_sweep_ends_kernels_that_nothing_is_known_of_and_leaves_the_others(observatory):
    first = await observatory.service()
    known, ear = await observatory.kernel(first, "def main(): publish('user.count', n=1)\n")
    lost, _ = await observatory.kernel(first, "def main(): pass\n")
    observatory.state.kernel_folder()
    await first.detach()
    second = await observatory.service()
    adopted = observatory.adopt(second, known.record, ear)
    kept = observatory.state.kernel_folder()
    await second.sweep([adopted.identity, KernelIdentity(LOCAL, str(kept))])
    assert sorted(observatory.state.kernel_folders()) == sorted([adopted.folder, kept])
    assert await gone(lost.pid)
    assert not lost.folder.exists()
    assert kept.exists()
    assert not list(observatory.state.runtime.glob(f"{lost.folder.name}-*"))
    adopted.ask(RunRequest())
    await ear.until_called("main", "finished")


async def test_launch_that_no_service_lived_to_see_is_found_by_the_folder(observatory):
    pool = await observatory.service()
    kernel, _ = await observatory.kernel(pool, "def main(): pass\n")
    assert find_record(kernel.folder) == kernel.record
    assert ((kernel.folder / IDENTITY).stat().st_mode & 0o777) == 0o600
    (kernel.folder / IDENTITY).unlink()
    assert find_record(kernel.folder) == (None if observatory.forked else kernel.record)
    assert find_record(observatory.state.kernel_folder()) is None


SERVICE = """
import asyncio, sys
from pathlib import Path
import msgspec
from oet_kernel.protocol import PrepareRequest, RunRequest
from oet_kernel.server.assembly import kernel_pool
from oet_kernel.state.folder import StateFolder
from tests.conftest import settings

async def main(folder, script, fork):
    state = StateFolder(Path(folder))
    pool = kernel_pool(settings(state.path, fork=fork == "forked"), state)
    pool.open()
    await pool.opened()
    kernel = pool.get(None)
    async def hear(records, offset):
        if any(record.type == "oet_event" for record in records):
            print(msgspec.json.encode(kernel.record).decode(), flush=True)
    kernel.attach(hear, print)
    await pool.start(kernel)
    kernel.ask(PrepareRequest(1, str(Path(script))))
    kernel.ask(RunRequest())
    await asyncio.sleep(1000)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_kernel_of_a_service_that_was_killed_is_adopted(observatory):
    go = observatory.pipe("go")
    observatory.state.close()
    script = observatory.folder / "script.py"
    script.write_text(
        f"{HEAD}def main():\n    publish('user.count', n=0)\n    Path({str(go)!r}).read_text()\n"
        "    for n in range(1, 300): publish('user.count', n=n)\n    print('done')\n    time.sleep(1000)\n"
    )
    argv = [sys.executable, "-c", SERVICE, str(observatory.folder / "state"), str(script), observatory.kind]
    with spawn(argv, stdout=subprocess.PIPE) as service:
        line = await asyncio.to_thread(service.stdout.readline)
        service.kill()
    record = msgspec.json.decode(line, type=KernelRecord)
    observatory.state = StateFolder(observatory.folder / "state")
    await say(go)
    ear = Ear()
    pool = await observatory.service()
    adopted = observatory.adopt(pool, record, ear)
    await ear.until(lambda: len(ear.numbers) == 300)
    assert ear.numbers == list(range(300))
    assert await adopted.ready()
    assert await adopted.stop(Ladder(0.5, 0.5, 5))
    assert await gone(record.pid)


async def test_environment_of_a_script_gets_a_fork_server_of_its_own(forking, tmp_path, monkeypatch):
    """An interpreter beside which nothing is installed stands for an environment that lacks this package."""
    monkeypatch.setattr(fork_servers, "MOST", 1)
    interpreters = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "python").symlink_to(REAL_PYTHON)
        interpreters.append(tmp_path / name / "python")
    one, other = interpreters
    pool = await forking.service()
    text = "def main(): publish('user.count', n=len(sys.executable))\n"
    plain, _ = await forking.kernel(pool, text, one)
    assert not plain.record.forked
    server = pool._fork_servers.others[one]
    await server.ready()
    assert server.running
    forked, ear = await forking.kernel(pool, text, one)
    assert forked.record.forked
    assert psutil.Process(forked.pid).ppid() != psutil.Process(plain.pid).ppid()
    forked.ask(RunRequest())
    await ear.until_called("main", "finished")
    assert ear.numbers == [len(str(one))]
    await forking.kernel(pool, text, other)
    assert list(pool._fork_servers.others) == [one], "one that has kernels is not ended"
    assert await forked.stop(LADDER)
    await forking.kernel(pool, text, other)
    assert list(pool._fork_servers.others) == [other]
