"""A kernel is killed at a random moment; what `publish` had returned for is there."""

import os
import signal
import time
from pathlib import Path
from random import Random

from tests.conftest import DEADLINE
from tests.faults.outcome import Outcome
from tests.faults.stand import Follower, Stand, data, numbers, stand

_WITNESSED = """
import itertools, os, time
from oet_kernel.api import publish
def init(subarray_id): pass
def main(witness, pause):
    file = os.open(witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, b"%d\\n" % os.getpid())
    for number in itertools.count():
        publish("user.count", number=number)
        os.write(file, b"%d\\n" % number)
        if pause:
            time.sleep(pause)
"""


def kernel_killed(trials: int, seed: int) -> Outcome:
    """Kill a kernel (-9) while its script publishes as fast as it can, or with pauses.

    The script notes each number in a file of its own when `publish` has returned: the journal must have them all.
    """
    outcome = Outcome("kernel_killed", seed, trials)
    random = Random(seed)
    with stand() as site:
        site.start()
        follower = Follower(site, "?topic=procedure.lifecycle")
        follower.start()
        try:
            for trial in range(1, trials + 1):
                _trial(site, follower, random, outcome, f"trial {trial}")
        finally:
            follower.leave()
    return outcome


def _trial(site: Stand, follower: Follower, random: Random, outcome: Outcome, name: str) -> None:
    pid = site.create(_WITNESSED)
    assert follower.state(pid, "READY"), f"{name}: does not get READY"
    witness = site.folder / f"witness-{pid}"
    os.mkfifo(pipe := site.folder / f"pipe-{pid}")
    with open(os.open(pipe, os.O_RDWR), "rb", buffering=0) as reading:
        site.run(pid, str(pipe), random.choice([0, 0.0005, 0.005]))
        kernel = int(_line(reading))
        ends = time.monotonic() + random.uniform(0, 0.3)
        said = b""
        os.set_blocking(reading.fileno(), False)
        while time.monotonic() < ends:
            said += reading.read(1 << 16) or b""
            time.sleep(0.001)
        os.kill(kernel, signal.SIGKILL)
        killed = time.monotonic()
        failed = follower.state(pid, "FAILED", deadline=DEADLINE)
        took = time.monotonic() - killed
        while chunk := reading.read(1 << 16):
            said += chunk
    Path(witness).write_bytes(said)
    outcome.most("longest until FAILED, s", round(took, 3))
    outcome.check(failed, f"{name}: is not FAILED after {took:.2f} s")
    trace = site.describe(pid)["history"]["stacktrace"] or ""
    outcome.check("SIGKILL" in trace, f"{name}: the stack trace does not name the signal: {trace[:200]}")
    returned = [int(line) for line in said.decode().split("\n")[:-1]]
    journal = numbers(data(site.events(pid, "user.count")))
    assert returned == list(range(len(returned)))
    # the last may have been published without the script living to note it
    expected = range(max(len(returned), min(len(journal), len(returned) + 1)))
    outcome.compare(name, expected, journal)


def _line(file: object) -> bytes:
    got = b""
    while not got.endswith(b"\n"):
        got += file.read(1)  # type: ignore[attr-defined]
    return got
