"""Listeners are cut off at random and come back; each hears everything once."""

from random import Random

from tests.faults.outcome import Outcome
from tests.faults.stand import COUNTING, Follower, Stand, data, lines, numbers, stand

_SCRIPTS = 4
_MOST_BYTES = 8000


def listeners_cut(trials: int, seed: int, listeners: int = 20, rate: int = 200) -> Outcome:
    """Cut each of some listeners so often, after random numbers of bytes, while four scripts publish at a rate."""
    outcome = Outcome("listeners_cut", seed, trials * listeners)
    random = Random(seed)
    with stand() as site:
        site.start()
        _cut(site, random, outcome, trials, listeners, rate)
    return outcome


def _cut(site: Stand, random: Random, outcome: Outcome, cuts: int, count: int, rate: int) -> None:
    def follower() -> Follower:
        own = Random(random.random())
        left = iter(range(cuts))
        return Follower(site, patience=lambda: None if next(left, None) is None else own.randrange(1, _MOST_BYTES))

    steady = Follower(site)
    steady.start()
    followers = [follower() for _ in range(count)]
    for one in followers:
        one.start()
    pids = [site.create(COUNTING, subarray) for subarray in range(1, _SCRIPTS + 1)]
    try:
        for pid in pids:
            assert steady.state(pid, "READY")
            site.run(pid, 0, rate)
        deadline = 60 + cuts
        for number, one in enumerate(followers, 1):
            # while there are cuts to come, each connection makes one: the last is for all that there is
            cut = one.until(lambda event, one=one: one.connections > cuts, deadline=deadline)  # type: ignore[misc]
            outcome.check(cut, f"listener {number}: {one.connections} connections, {cuts + 1} expected")
        for pid in pids:
            assert site.stop(pid).status_code == 200
        for one in (steady, *followers):
            one.until(lambda event: event["topic"] == "procedure.lifecycle.stopped", _SCRIPTS)
    finally:
        for one in (steady, *followers):
            one.leave()
    last = steady.events[-1]["id"]
    for number, one in enumerate(followers, 1):
        outcome.check(not one.remarks, f"listener {number} was told {one.remarks}")
        outcome.compare(f"listener {number}", range(1, last + 1), [event["id"] for event in one.events])
        for pid in pids:
            said = [event for event in one.events if event["msg_src"] == str(pid)]
            outcome.compare(f"listener {number}, PID {pid}", _range(numbers(said)), numbers(said))
            outcome.compare(f"listener {number}, lines of PID {pid}", _range(lines(said)), lines(said))
    for pid in pids:
        journal = numbers(data(site.events(pid, "user.count")))
        outcome.compare(f"journal, PID {pid}", _range(journal), journal)


def _range(found: list[int]) -> range:
    return range(max(found, default=0) + 1)
