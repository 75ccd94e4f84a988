"""Many short procedures in a row; nothing grows."""

import os
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from tests.faults.outcome import Outcome
from tests.faults.stand import Stand, stand

_SHORT = "def init(subarray_id): pass\ndef main():\n    print('done')\n"
_SAMPLES = 40
_WARM_UP = 0.5
"""Part of the procedures after which what is kept of those that have ended is full."""
_GROWTH = {"descriptors": 25, "threads": 1, "processes": 1}
"""What a count may grow by in the second half: ZeroMQ closes its descriptors when it comes to it; files: by 3."""
_MEMORY_PER_THOUSAND = 1.5
"""MiB that a process may grow by in a thousand procedures: less than would matter in a month."""


def soak(trials: int, seed: int) -> Outcome:
    """Run procedures one after the other, and look at what the service and its fork server hold meanwhile.

    The slopes are those of the second half, by Theil and Sen (the median of all slopes between two samples); of a
    short run only the counts are judged.
    """
    outcome = Outcome("soak", seed, trials)
    every = max(6, trials // _SAMPLES)
    done: list[int] = []
    samples: list[dict[str, float]] = []
    with stand("--OetApp.history=10") as site:
        site.start()
        for number in range(1, trials + 1):
            _run(site, outcome)
            if number % every == 0 and number > trials * _WARM_UP:
                done.append(number)
                samples.append(sample(site))
    for what in samples[0]:
        values = [one[what] for one in samples]
        slope = 1000 * slope_of(done, values)
        outcome.notes[f"{what}, at the end"] = round(values[-1], 2)
        if "MiB" in what:
            outcome.notes[f"{what}, per 1000"] = round(slope, 2)
            small = slope < _MEMORY_PER_THOUSAND or trials < 1000
            outcome.check(small, f"{what} grows by {slope:.2f} for a thousand procedures")
        else:
            grown = statistics.median(values[-5:]) - statistics.median(values[:5])
            most = _GROWTH.get(what.partition(", ")[2], 3)
            outcome.check(grown <= most, f"{what} grew from {values[0]:g} to {values[-1]:g}")
    return outcome


def _run(site: Stand, outcome: Outcome) -> None:
    """Run a procedure to its end; the stream is the one of `Server.until`."""
    http = site.server.http
    script = site.folder / "short.py"
    script.write_text(_SHORT)
    body = {
        "script": {"script_type": "filesystem", "script_uri": script.as_uri()},
        "script_args": {"init": {"kwargs": {"subarray_id": 1}}},
    }
    pid = int(http.post("/procedures", json=body).json()["procedure"]["id"])
    site.server.until(pid, "READY")
    http.put(f"/procedures/{pid}", json={"state": "RUNNING"})
    state = site.server.until(pid)["state"]
    outcome.check(state == "COMPLETE", f"PID {pid} became {state}")
    outcome.events += 1


def sample(site: Stand) -> dict[str, float]:
    """Tell what the service and its fork server hold at the moment."""
    _settle(site)
    service = site.server.process.pid
    found: dict[str, float] = {}
    for name, pid in (("service", service), *(("fork server", pid) for pid in site.fork_servers())):
        process = psutil.Process(pid)
        memory = process.memory_full_info()
        found[f"{name}, RSS in MiB"] = memory.rss / 2**20
        found[f"{name}, PSS in MiB"] = memory.pss / 2**20
        found[f"{name}, descriptors"] = len(os.listdir(f"/proc/{pid}/fd"))
        found[f"{name}, threads"] = process.num_threads()
        found[f"{name}, processes"] = len(process.children(recursive=True))
    # but for the records, of which each procedure leaves one to keep
    found["files in the state folder"] = _files(site.state) - _files(site.state / "records")
    with suppress(OSError):
        found["files in the runtime folder"] = _files(Path((site.state / "runtime").read_text().strip()))
    return found


def _settle(site: Stand) -> None:
    """Wait until the kernels of procedures that have ended are gone: only the warm one stays."""
    ends = time.monotonic() + 20
    while len(site.kernels()) > 1 and time.monotonic() < ends:
        time.sleep(0.02)  # a kernel that leaves tells nobody but the service


def _files(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("*"))


def slope_of(at: Sequence[float], values: Sequence[float]) -> float:
    """Give the slope of a line through points, heedless of a few that lie elsewhere (Theil 1950, Sen 1968)."""
    slopes = [
        (values[j] - values[i]) / (at[j] - at[i])
        for i in range(len(at))
        for j in range(i + 1, len(at))
        if at[j] > at[i]
    ]
    return statistics.median(slopes) if slopes else 0.0
