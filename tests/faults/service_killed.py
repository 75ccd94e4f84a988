"""The service is killed at a random moment while scripts publish; the next one takes everything up."""

import time
from random import Random

from tests.faults.outcome import Outcome
from tests.faults.stand import COUNTING, Follower, Stand, about, data, lines, numbers, stand

_SCRIPTS = 4
_RATE = 200
_COUNT = 400
"""Two seconds' worth."""
_STATES = ["CREATING", "IDLE", "LOADING", "IDLE", "INITIALISING", "READY", "RUNNING", "READY", "COMPLETE"]


def service_killed(trials: int, seed: int) -> Outcome:
    """Kill the service (-9) while four scripts publish 200 numbers a second each, and print as many lines.

    Three of them come to an end of their own, one is stopped by the service that was started again.
    """
    outcome = Outcome("service_killed", seed, trials)
    random = Random(seed)
    with stand("--warm-kernels=0") as site:
        site.start()
        for trial in range(1, trials + 1):
            _trial(site, random, outcome, f"trial {trial}")
    return outcome


def _trial(site: Stand, random: Random, outcome: Outcome, name: str) -> None:
    pids = [site.create(COUNTING, subarray) for subarray in range(1, _SCRIPTS + 1)]
    first = site.events(pids[0])[0]["id"]
    follower = Follower(site)
    follower.last_id = first - 1
    follower.start()
    try:
        for pid in pids:
            assert follower.state(pid, "READY"), f"{name}: PID {pid} does not get READY"
        *ending, endless = pids
        for pid in pids:
            site.run(pid, 0 if pid == endless else _COUNT, _RATE)
        time.sleep(random.uniform(0, 1.8))  # the fault comes at a random moment
        site.kill()
        time.sleep(random.choice([0, 0, random.uniform(0, 2)]))  # and lasts as long as it will
        began = time.monotonic()
        site.start()
        outcome.most("longest restart, s", round(time.monotonic() - began, 2))
        for pid in ending:
            outcome.check(follower.state(pid, "COMPLETE", "FAILED", "STOPPED"), f"{name}: PID {pid} does not end")
        reply = site.stop(endless)
        outcome.check(reply.status_code == 200, f"{name}: the stop was answered {reply.text}")
        follower.state(endless, "COMPLETE", "FAILED", "STOPPED")
        follower.until(lambda one: one.get("topic") == "procedure.lifecycle.stopped" and one["id"] > first)
    finally:
        follower.leave()
    outcome.check(not follower.remarks, f"{name}: the listener was told {follower.remarks}")
    heard = [one["id"] for one in follower.events]
    outcome.compare(f"{name}, numbers of events", range(first, max(heard) + 1), heard)
    for pid in pids:
        _look(site, outcome, f"{name}, PID {pid}", pid, follower, None if pid == endless else _COUNT)


def _look(site: Stand, outcome: Outcome, name: str, pid: int, follower: Follower, count: int | None) -> None:
    history = site.describe(pid)["history"]["process_states"]
    states = [state for state, _ in history]
    wanted = _STATES if count else [*_STATES[:7], "STOPPED"]
    outcome.check(states == wanted, f"{name}: states {states}")
    times = [at for _, at in history]
    outcome.check(times == sorted(times), f"{name}: times of states are out of order")
    journal = data(site.events(pid))
    for where, events in (("journal", journal), ("listener", about(pid, follower.events))):
        published, printed = numbers(events), lines(events)
        # one that was stopped has said all up to where it was interrupted
        outcome.compare(f"{name}, events, {where}", range(count or max(published, default=0) + 1), published)
        outcome.compare(f"{name}, lines, {where}", range(count or max(printed, default=0) + 1), printed)
