"""Messages are dropped on purpose: rings of the bell, a reader that pauses, a console that does not keep up."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from jupyter_client import BlockingKernelClient

from oet_kernel.protocol import BELL, CONNECTION_FILE
from tests.faults.outcome import Outcome
from tests.faults.stand import COUNTING, Follower, Stand, data, lines, numbers, stand

_PAUSE = 2.0
"""Seconds for which the service is stopped; a script publishes tens of thousands of events meanwhile."""


def messages_dropped(trials: int, seed: int, count: int = 30_000) -> Outcome:
    """Drop what wakes the service, or what a script sends, while it publishes; the journal has it all."""
    outcome = Outcome("messages_dropped", seed, trials * 4)
    random = Random(seed)
    with stand("--warm-kernels=0") as site:
        site.start()
        follower = Follower(site, "?topic=procedure.lifecycle")
        follower.start()
        try:
            for trial in range(1, trials + 1):
                for way in (_rings_stolen, _bell_full, _reader_paused, _console_behind):
                    name = f"trial {trial}, {way.__name__[1:].replace('_', ' ')}"
                    _trial(site, follower, random, outcome, name, way, count)
        finally:
            follower.leave()
    return outcome


Way = Callable[[Stand, int, Path, Random, Outcome], "contextmanager[None]"]


def _trial(
    site: Stand, follower: Follower, random: Random, outcome: Outcome, name: str, way: object, count: int
) -> None:
    before = set(site.kernels())
    pid = site.create(COUNTING)
    assert follower.state(pid, "READY")
    (kernel,) = set(site.kernels()) - before
    with way(site, site.state / "kernels" / kernel, random, outcome):  # type: ignore[operator]
        site.run(pid, count, 0)
        # the fault lasts while it publishes; how long that is does not matter
    outcome.check(follower.state(pid, "COMPLETE", "FAILED", deadline=120), f"{name}: does not end")
    state = site.describe(pid)["state"]
    outcome.check(state == "COMPLETE", f"{name}: became {state}")
    journal = data(site.events(pid))
    outcome.compare(f"{name}, events", range(count), numbers(journal))
    outcome.compare(f"{name}, lines", range(count), lines(journal))


@contextmanager
def _rings_stolen(site: Stand, folder: Path, random: Random, outcome: Outcome) -> Iterator[None]:
    """Take rings off the bell before the service sees them."""
    bell = os.open(folder / BELL, os.O_RDWR | os.O_NONBLOCK)
    over = threading.Event()
    stolen = 0

    def steal() -> None:
        nonlocal stolen
        while not over.is_set():
            try:
                stolen += len(os.read(bell, 1 << 16))
            except BlockingIOError:
                time.sleep(0.0001)

    thief = threading.Thread(target=steal)
    thief.start()
    try:
        yield
        time.sleep(random.uniform(0.1, 0.5))
    finally:
        over.set()
        thief.join()
        os.close(bell)
    outcome.count("rings stolen", stolen)


@contextmanager
def _bell_full(site: Stand, folder: Path, random: Random, outcome: Outcome) -> Iterator[None]:
    """Keep the bell full, so that no ring of the kernel gets in."""
    bell = os.open(folder / BELL, os.O_RDWR | os.O_NONBLOCK)
    over = threading.Event()

    def fill() -> None:
        while not over.is_set():
            try:
                os.write(bell, b"!" * 4096)
            except BlockingIOError:
                time.sleep(0.0001)

    filler = threading.Thread(target=fill)
    filler.start()
    try:
        yield
        time.sleep(random.uniform(0.1, 0.5))
    finally:
        over.set()
        filler.join()
        os.close(bell)


@contextmanager
def _reader_paused(site: Stand, folder: Path, random: Random, outcome: Outcome) -> Iterator[None]:
    """Stop the service for seconds, just after the start was taken."""
    yield
    time.sleep(random.uniform(0, 0.05))
    site.server.process.send_signal(signal.SIGSTOP)
    time.sleep(_PAUSE)
    site.server.process.send_signal(signal.SIGCONT)


@contextmanager
def _console_behind(site: Stand, folder: Path, random: Random, outcome: Outcome) -> Iterator[None]:
    """Attach a console that does not read, until ZeroMQ drops what it is to get."""
    client = BlockingKernelClient(connection_file=str(folder / CONNECTION_FILE))
    client.load_connection_file()
    socket = client.connect_iopub()
    socket.rcvhwm = 1
    try:
        socket.poll(1000)  # the kernel has seen the subscription: it sends its welcome, or what comes first
        yield
        time.sleep(random.uniform(0.1, 0.5))
        outcome.count("consoles attached")
    finally:
        socket.close(linger=0)
        client.context.destroy(linger=0)
