"""Fixtures for tests that need a service: in this process, or as users start it."""

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx
import hypothesis
import pytest

from oet_kernel.errors import StoreUnusable
from oet_kernel.events.bus import EventBus
from oet_kernel.events.event import Event
from oet_kernel.events.sse import Decoder, Message
from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from oet_kernel.kernel_manager.session import KernelSource
from oet_kernel.models import (
    FileSystemScript,
    PrepareProcessCommand,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
    StartProcessCommand,
)
from oet_kernel.server.assembly import Core
from oet_kernel.server.configuration import Settings
from oet_kernel.service.attachments import Attachments
from oet_kernel.service.pauses import Pauses
from oet_kernel.service.procedures import ScriptExecutionService
from oet_kernel.service.registry import Registry
from oet_kernel.state.folder import StateFolder
from oet_kernel.store.journal import Journal
from oet_kernel.system.blocked_imports import blocked
from oet_kernel.system.process_tree import kill_tree
from oet_kernel.system.processes import fork_servers, marked

TOKEN = "test-token"
DEADLINE = 60.0

# the same examples in every run, so that a failure is of the change at hand; new ones by --hypothesis-profile=explore
# a loaded machine draws them slowly, which says nothing of a strategy
SLOW = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, suppress_health_check=SLOW)
hypothesis.settings.register_profile("explore", deadline=None, suppress_health_check=SLOW)
hypothesis.settings.load_profile("fixed")

# what runs in the background of a shell, or by nohup, has them ignored, and so would all that a test starts
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def _nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test leaves a kernel or a fork server behind; sockets lie in a folder of their own, with a short path."""
    with tempfile.TemporaryDirectory(prefix="o", ignore_cleanup_errors=True) as folder:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", folder)
            patch.delenv("PYTHONUNBUFFERED", raising=False)  # users have it not, and it hides what is written late
            yield
        left = marked(str(tmp_path_factory.getbasetemp()))
        servers = [pid for runtime in Path(folder).iterdir() for pid in fork_servers(str(runtime))]
        for pid in [*servers, *(pid for pids in left.values() for pid in pids)]:
            kill_tree(pid)
        assert (left, servers) == ({}, [])


@pytest.fixture(autouse=True)
def _own_runtime_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds, or is found by, a service outside of it."""
    monkeypatch.setenv("OET_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    for name in ("OET_URL", "OET_REST_URI", "OET_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def settings(state: Path, **options: Any) -> Settings:
    """Settings of a service for tests: as the command line has them, but quick to end, and nothing ahead of its use."""
    with blocked("rfc3987_syntax"):  # a second of a grammar that no test needs
        from oet_kernel.server.app import OetApp

    defaults = {name: OetApp.class_traits()[name].default() for name in Settings.__struct_fields__}
    quick = {
        "fork": False,
        "interrupt_seconds": 1.0,
        "terminate_seconds": 0.5,
        "keep_checkouts": 3,
        "keep_failed_seconds": 0.0,
        "orphan_seconds": 60.0,
        "warm_kernels": 0,
    }
    return Settings(**{**defaults, "state_dir": str(state), **quick, **options})


class Bench:
    """A service in this process, with short words for what tests do with it."""

    def __init__(
        self,
        folder: Path,
        *,
        fork_server: ForkServerSupervisor | None = None,
        kernels: KernelSource | None = None,
        **options: Any,
    ) -> None:
        self.folder = folder
        self.settings = settings(folder / "state", **options)
        self.core = Core(self.settings, fork_server, kernels)
        self.core.publisher.base_url = "http://test/api/v1.0"
        self.events: list[Event] = []
        self.bus.tap(self.events.append)

    @property
    def state(self) -> StateFolder:
        return self.core.state

    @property
    def bus(self) -> EventBus:
        return self.core.bus

    @property
    def journal(self) -> Journal:
        return self.core.journal

    @property
    def pool(self) -> Any:
        return self.core.kernels

    @property
    def registry(self) -> Registry:
        return self.core.registry

    @property
    def service(self) -> ScriptExecutionService:
        return self.core.service

    @property
    def attachments(self) -> Attachments:
        return self.core.attachments

    @property
    def pauses(self) -> Pauses:
        return self.core.pauses

    async def close(self, *, leave: bool = False) -> None:
        """Stop every procedure, and end the service."""
        await self.core.stop(leave=leave)
        await self.core.release(leave=leave)

    async def detach(self) -> None:
        """End the service and leave its procedures at work."""
        await self.close(leave=True)

    def script(self, text: str, name: str = "script.py") -> FileSystemScript:
        """Write a script and name it."""
        path = self.folder / name
        path.write_text(text)
        return FileSystemScript(script_uri=path.as_uri())

    async def create(self, text: str, *args: Any, name: str = "script.py", **kwargs: Any) -> int:
        """Create a procedure from the text of a script; its id."""
        command = PrepareProcessCommand(self.script(text, name), ProcedureInput(list(args), kwargs))
        return (await self.service.prepare(command)).id

    async def until(self, pid: int, *states: ProcedureState) -> ProcedureSummary:
        """Wait until a procedure is in one of these states, or has ended."""
        execution = self.registry.find(pid)
        async with asyncio.timeout(DEADLINE):
            await execution.stored.wait(*states)
            with suppress(StoreUnusable):
                await self.journal.settled()
        return self.core.publisher.summary(execution.procedure)

    async def ready(self, text: str, *args: Any, name: str = "script.py", **kwargs: Any) -> int:
        """Create a procedure and wait until it is READY; its id."""
        pid = await self.create(text, *args, name=name, **kwargs)
        summary = await self.until(pid, ProcedureState.READY)
        assert summary.state is ProcedureState.READY, summary.history.stacktrace
        return pid

    async def start(self, pid: int, *args: Any, **kwargs: Any) -> ProcedureSummary:
        """Start a procedure."""
        return await self.service.start(StartProcessCommand(pid, run_args=ProcedureInput(list(args), kwargs)))

    async def run(self, text: str, *args: Any, **kwargs: Any) -> ProcedureSummary:
        """Create, start, and wait for the end."""
        pid = await self.ready(text)
        await self.start(pid, *args, **kwargs)
        return await self.until(pid)

    def said(self, topic: str, pid: int | None = None) -> list[dict[str, Any]]:
        """List the events of a topic, of one procedure or of all."""
        import msgspec

        return [
            msgspec.json.decode(event.data)
            for event in self.events
            if event.topic == topic and (pid is None or event.procedure == pid)
        ]

    def output(self, pid: int, name: str = "stdout") -> str:
        """Join what a procedure wrote."""
        return "".join(e["text"] for e in self.said("procedure.output.stream", pid) if e["name"] == name)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A service in this process."""
    made = Bench(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def make_bench(tmp_path: Path) -> AsyncIterator[Callable[..., Bench]]:
    """Make services in this process with options of their own."""
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Bench(folder, **options))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def gone(pid: int, seconds: float = DEADLINE) -> bool:
    """Wait for the end of a process; False when it is there after the deadline."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool((await asyncio.to_thread(select.select, [descriptor], [], [], seconds))[0])
    finally:
        os.close(descriptor)


class Server:
    """A service as users start it, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], url: str, token: str | None, folder: Path) -> None:
        self.process = process
        self.url = url.rstrip("/")
        self.token = token
        self.folder = folder
        headers = {"Authorization": f"token {token}"} if token else {}
        self.http = httpx.Client(base_url=self.url, headers=headers, timeout=DEADLINE)

    def end(self, signum: int = signal.SIGTERM) -> None:
        """End the service, by a signal; one that does not heed it is killed."""
        self.http.close()
        self.process.send_signal(signum)
        try:
            self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            assert self.process.stdout is not None
            self.process.stdout.close()

    def create(self, text: str, *args: Any, **kwargs: Any) -> int:
        """Create a procedure from the text of a script; its id."""
        path = self.folder / f"script-{time.monotonic_ns()}.py"
        path.write_text(text)
        body = {
            "script": {"script_type": "filesystem", "script_uri": path.as_uri()},
            "script_args": {"init": {"args": list(args), "kwargs": kwargs}},
        }
        reply = self.http.post("/procedures", json=body)
        assert reply.status_code == 201, reply.text
        return int(reply.json()["procedure"]["uri"].rsplit("/", 1)[1])

    def until(self, pid: int, *states: str) -> dict[str, Any]:
        """Wait, on the event stream, until a procedure is in one of these states or has ended."""
        states = (*states, "COMPLETE", "FAILED", "STOPPED", "UNKNOWN")
        params = {"topic": "procedure.lifecycle.statechange", "procedure": pid}
        with self.http.stream("GET", "/stream", params=params) as stream:
            lines = stream.iter_lines()
            next(lines)
            while (one := self.http.get(f"/procedures/{pid}").json()["procedure"])["state"] not in states:
                while not next(lines).startswith("data:"):
                    pass
        return dict(one)


class Listener:
    """A connection to the stream, read by a raw socket: what it sees is what goes over the wire."""

    def __init__(self, server: Server, query: str = "", receive_bytes: int = 0, headers: str = "") -> None:
        url = httpx.URL(server.url)
        self.socket = socket.socket()
        self.socket.settimeout(DEADLINE)
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.connect((url.host, url.port))
        headers += f"Authorization: token {server.token}\r\n" if server.token else ""
        self.socket.sendall(f"GET {url.path}/stream{query} HTTP/1.0\r\nHost: {url.host}\r\n{headers}\r\n".encode())
        self.head, _, self.body = self._until(b"\r\n\r\n").partition(b"\r\n\r\n")

    def _until(self, mark: bytes) -> bytes:
        got = b""
        while mark not in got:
            chunk = self.socket.recv(65536)
            assert chunk, f"the stream has ended after {got!r}"
            got += chunk
        return got

    def frames(self) -> Iterator[str]:
        """Give frames as they arrive, as text."""
        while True:
            *whole, self.body = self.body.split(b"\n\n")
            yield from (frame.decode() for frame in whole if frame.strip())
            chunk = self.socket.recv(65536)
            if not chunk:
                return
            self.body += chunk

    def messages(self) -> Iterator[Message]:
        """Give what was sent, frame by frame, comments left out."""
        decoder = Decoder()
        chunk = self.body
        while True:
            yield from decoder.feed(chunk)
            chunk = self.socket.recv(65536)
            if not chunk:
                return

    def events(self) -> Iterator[dict[str, Any]]:
        """Give the JSON objects of the events."""
        return (json.loads(message.data) for message in self.messages())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()


def until(events: Iterable[dict[str, Any]], pid: int, state: str) -> list[dict[str, Any]]:
    """Collect events up to a state of a procedure, that one included."""
    seen = []
    for event in events:
        seen.append(event)
        if event.get("new_state") == state and event["msg_src"] == str(pid):
            return seen
    raise AssertionError(f"no {state} in {seen}")


def launch(
    folder: Path,
    *options: str,
    token: str | None = TOKEN,
    port: int = 0,
    module: str = "oet_kernel.server.entry",
    **environment: str,
) -> Server:
    """Start a service and wait until it says that it is ready; to be ended by `Server.end`, or by a signal.

    Parameters
    ----------
    folder
        For its state and its log.
    options
        Of its command line.
    token
        That it asks for.
    port
        That of another before it, or a free one.
    module
        Where the service begins; other versions begin elsewhere.
    environment
        Variables that it gets besides those of this process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", module, f"--port={port}", f"--state-dir={folder / 'state'}"]
    # no test leaves a kernel behind, nor waits for the answer to a wrong token
    argv += ["--OetApp.detach=False", "--TokenIdentityProvider.mistake_seconds=0", *options]
    if token:
        argv.append(f"--token={token}")
    env = {**os.environ, "OET_RUNTIME_DIR": str(folder / "runtime"), **environment}
    with open(folder / "server.log", "a+") as log:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, env=env, text=True, cwd=folder)
    assert process.stdout is not None
    line = process.stdout.readline()
    while line and not line.startswith("OET API at "):
        line = process.stdout.readline()
    server = Server(process, line.removeprefix("OET API at ").strip(), token, folder)
    if not line:
        server.end()
        raise AssertionError((folder / "server.log").read_text())
    return server


@contextmanager
def serve(
    folder: Path, *options: str, token: str | None = TOKEN, port: int = 0, **environment: str
) -> Iterator[Server]:
    """Start a service, wait until it says that it is ready, end it; parameters as `launch` has them."""
    server = launch(folder, *options, token=token, port=port, **environment)
    try:
        yield server
    finally:
        server.end()


@pytest.fixture(scope="session")
def kernelspecs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the kernelspec of bash where only those tests find it that are told so."""
    prefix = tmp_path_factory.mktemp("prefix")
    argv = [sys.executable, "-m", "bash_kernel.install", "--prefix", str(prefix)]
    subprocess.run(argv, check=True, capture_output=True)
    return prefix / "share" / "jupyter"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One service for all tests that can share it."""
    with serve(tmp_path_factory.mktemp("server")) as made:
        yield made
