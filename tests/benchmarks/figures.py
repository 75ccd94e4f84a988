"""The figures, each measured beside its reference in the same run."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks import rivals, subjects
from tests.benchmarks.measures import Figure, Target, interleave
from tests.conftest import TOKEN, Server, serve

_AMPLE = "--OetApp.listener_bytes=2000000000"
"""No listener is cut off: what is measured is how fast all of it gets through."""


@contextmanager
def _service(*options: str) -> Iterator[tuple[Server, subjects.Subject]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(Path(folder), *options) as server,
        subjects.subject(server) as client,
    ):
        client.time_create()  # the fork server is there, and all code has run once
        yield server, client


def create_warm(scale: float) -> list[Figure]:
    """POST until READY, when a kernel is warm: the reference's start leaves the time to warm the next."""
    with _service() as (_, client):
        ours, theirs = interleave(_n(20, scale), client.time_create, rivals.start_plain)
    return [
        Figure(
            "create to READY, warm kernel",
            "ms",
            "start of a plain kernel",
            Target(ratio=20, aim=10),
            False,
            ours,
            theirs,
        )
    ]


def create_forked(scale: float) -> list[Figure]:
    """The same when none is warm."""
    with _service("--warm-kernels=0") as (_, client):
        ours, theirs = interleave(_n(20, scale), client.time_create, rivals.start_plain)
    return [
        Figure(
            "create to READY, forked on demand",
            "ms",
            "start of a plain kernel",
            Target(ratio=5, aim=45),
            False,
            ours,
            theirs,
        )
    ]


def start(scale: float) -> list[Figure]:
    """PUT RUNNING until COMPLETE."""
    with _service() as (_, client), rivals.plain_kernel() as (_, kernel):
        kernel.wait_for_ready(timeout=60)  # until its IOPub is heard
        ours, theirs = interleave(_n(50, scale), client.time_start, lambda: rivals.execute_round_trip(kernel))
    return [
        Figure(
            "start to COMPLETE, empty main",
            "ms",
            "an execution on a plain kernel",
            Target(ratio=1 / 3, aim=10),
            False,
            ours,
            theirs,
        )
    ]


def throughput(scale: float) -> list[Figure]:
    """Eight clients, each running procedures one after the other."""
    clients, each = 8, _n(8, scale)

    def ours() -> float:
        with _service() as (server, _):
            workers = [subjects.Subject(server) for _ in range(clients)]
            threads = [
                threading.Thread(target=worker.run_many, args=(each, number)) for number, worker in enumerate(workers)
            ]
            began = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            took = time.perf_counter() - began
            for worker in workers:
                worker.close()
        return clients * each / took

    measured = interleave(_n(3, scale), ours, lambda: rivals.plain_throughput(clients, _n(24, scale)))
    return [
        Figure(
            "procedures run, 8 clients", "1/s", "the same with plain kernels", Target(ratio=5, aim=50), True, *measured
        )
    ]


def at_once(scale: float) -> list[Figure]:
    """Fifty asked for at once; all become ready, or the measurement fails."""
    count = _n(50, scale)

    def ours() -> float:
        with _service() as (_, client):
            began = time.perf_counter()
            pids = {client.create(subjects.NOTHING, number) for number in range(count)}
            client.until_all(pids, "READY")
            return time.perf_counter() - began

    measured = interleave(_n(2, scale), ours, lambda: rivals.plain_at_once(count))
    return [
        Figure(f"{count} asked for at once: last one READY", "s", "plain kernels", Target(ratio=5), False, *measured)
    ]


def memory(scale: float) -> list[Figure]:
    """Proportional set size of a kernel that has a script prepared, among as many of its kind as the reference."""
    count = _n(20, scale)
    with _service("--warm-kernels=0") as (server, client):
        pids = {client.create(subjects.NOTHING, number) for number in range(count)}
        client.until_all(pids, "READY")
        ours = [subjects.proportional_bytes(process.pid) / 1e6 for process in subjects.kernels(server)]
    contexts = [rivals.plain_kernel() for _ in range(count)]
    started = [context.__enter__() for context in contexts]
    theirs = [subjects.proportional_bytes(manager.provisioner.pid) / 1e6 for manager, _ in started]  # type: ignore[union-attr]
    for context in contexts:
        context.__exit__(None, None, None)
    return [Figure("memory (PSS) of a prepared procedure", "MB", "a plain kernel", Target(2, 12), False, ours, theirs)]


def idle(scale: float) -> list[Figure]:
    """CPU of everything while 200 prepared procedures wait."""
    count, seconds = _n(200, scale), 10.0
    with _service("--OetApp.max_kernels=300") as (server, client):
        pids = {client.create(subjects.NOTHING, number) for number in range(count)}
        client.until_all(pids, "READY")
        samples = []
        for _ in range(3):
            before, began = subjects.cpu_seconds(server), time.perf_counter()
            threading.Event().wait(seconds)  # what is measured is what happens while nothing is asked
            samples.append((subjects.cpu_seconds(server) - before) / (time.perf_counter() - began) * 100)
    return [Figure(f"idle CPU with {count} prepared procedures", "% of a core", "-", Target(aim=2), False, samples, [])]


def latency(scale: float) -> list[Figure]:
    """Publication in a script until a listener has it, a hundred a second."""
    count = _n(500, scale)
    ours, theirs = [], []
    with _service("--warm-kernels=0") as (server, client):
        for _ in range(2):
            pid, _ = client.kernel_of(subjects.EVENTS)
            listeners = subjects.drain('"number":', count, "sse", f"{server.url}/stream?topic=user", TOKEN, 1)
            client.start(pid, count, 0.01)
            ours += [delay * 1e3 for delay in subjects.result(listeners)["delays"]]
            pid, folder = client.kernel_of(subjects.EVENTS)
            listeners = subjects.drain('"number":', count, "iopub", folder / "kernel.json")
            client.start(pid, count, 0.01)
            theirs += [delay * 1e3 for delay in subjects.result(listeners)["delays"]]
    name, beside = "script publishes to listener, 100 a second", "a bare SUB on the kernel"
    return [
        Figure(f"{name}: median", "ms", beside, Target(aim=1), False, ours, theirs),
        Figure(f"{name}: 95th percentile", "ms", beside, Target(aim=3), False, ours, theirs, 95),
    ]


def _stream_rate(
    server: Server, client: subjects.Subject, script: str, mark: str, topic: str, count: int, listeners: int
) -> float:
    pid, _ = client.kernel_of(script)
    url = f"{server.url}/stream?topic={topic}&procedure={pid}"
    process = subjects.drain(mark, count, "sse", url, TOKEN, listeners)
    return _rate(client, pid, process, count)


def _socket_rate(client: subjects.Subject, script: str, mark: str, count: int) -> float:
    pid, folder = client.kernel_of(script)
    process = subjects.drain(mark, count, "iopub", folder / "kernel.json")
    return _rate(client, pid, process, count)


def _rate(client: subjects.Subject, pid: int, process: subprocess.Popen[str], count: int) -> float:
    """Run a procedure; what it said a second, from the request for its start until the last listener has all."""
    began = time.monotonic()
    client.start(pid, count, 0)
    return count / (float(subjects.result(process)["ended"]) - began)


def sustained(scale: float) -> list[Figure]:
    """Events as fast as a script can publish them, until each listener has had each."""
    figures = []
    with _service("--warm-kernels=0", _AMPLE) as (server, client):
        for listeners, aim, count in ((1, 20_000, 60_000), (20, 10_000, 30_000), (200, 3_000, 10_000)):
            number = _n(count, scale)
            measured = interleave(
                _n(3, scale),
                lambda n=number, k=listeners: _stream_rate(  # type: ignore[misc]
                    server, client, subjects.EVENTS, '"number":', "user", n, k
                ),
                lambda n=number: _socket_rate(client, subjects.EVENTS, '"number":', n),  # type: ignore[misc]
            )
            name = f"user events, none lost, {listeners} listener{'s' * (listeners > 1)}"
            figures.append(Figure(name, "1/s", "a bare SUB on the kernel", Target(aim=aim), True, *measured))
    return figures


def printed(scale: float) -> list[Figure]:
    """Lines as fast as a script can print them."""
    count = _n(100_000, scale)
    with _service("--warm-kernels=0", _AMPLE) as (server, client):
        measured = interleave(
            _n(3, scale),
            lambda: _stream_rate(server, client, subjects.LINES, "line ", "procedure.output", count, 1),
            lambda: _socket_rate(client, subjects.LINES, "line ", count),
        )
    return [
        Figure("printed lines to one listener", "1/s", "a bare SUB on the kernel", Target(aim=40_000), True, *measured)
    ]


def listing(scale: float) -> list[Figure]:
    """GET /procedures with ten procedures."""
    with _service() as (_, client):
        for _ in range(10):
            client.time_start()
        body = client.request("GET", "/procedures")
        with rivals.bare_handler(body) as port:
            import http.client

            bare = http.client.HTTPConnection("127.0.0.1", port)

            def theirs() -> float:
                began = time.perf_counter()
                bare.request("GET", "/")
                assert bare.getresponse().read() == body
                return (time.perf_counter() - began) * 1e3

            def ours() -> float:
                began = time.perf_counter()
                client.request("GET", "/procedures")
                return (time.perf_counter() - began) * 1e3

            ours(), theirs()
            measured = interleave(_n(200, scale), ours, theirs)
            bare.close()
    return [
        Figure(
            "GET /procedures, 10 procedures",
            "ms",
            "a bare Tornado handler, same bytes",
            Target(ratio=1 / 3, aim=2),
            False,
            *measured,
        )
    ]


def commands(scale: float) -> list[Figure]:
    """Whole processes: the service's start, the shortest command."""

    def first_answer() -> float:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            with serve(Path(folder)) as server:
                server.http.get("/procedures").raise_for_status()
                return time.perf_counter() - began

    served = interleave(_n(5, scale), first_answer, rivals.python_pass)
    with _service() as (server, _):
        environment = {**os.environ, "OET_URL": server.url, "OET_TOKEN": TOKEN}

        def listed() -> float:
            began = time.perf_counter()
            argv = [sys.executable, "-m", "oet_kernel.cli", "procedure", "list"]
            subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL)
            return time.perf_counter() - began

        lists = interleave(_n(10, scale), listed, rivals.python_pass)
    return [
        Figure("oet serve to first answer", "s", "python -c pass", Target(aim=2), False, *served),
        Figure("oet procedure list, whole process", "s", "python -c pass", Target(aim=0.3), False, *lists),
    ]


def _n(full: int, scale: float) -> int:
    return max(1, round(full * scale))


ALL: tuple[Callable[[float], list[Figure]], ...] = (
    create_warm,
    create_forked,
    start,
    throughput,
    at_once,
    memory,
    idle,
    latency,
    sustained,
    printed,
    listing,
    commands,
)
