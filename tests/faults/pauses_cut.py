"""The service is killed in the middle of pauses and resumes; what waits, and what is told of it, agree all the same."""

from random import Random
from typing import Any

from oet_kernel import topics
from tests.faults.commands_cut import Request, cut
from tests.faults.outcome import Outcome
from tests.faults.stand import Follower, Stand, data, numbers, stand

_COUNTING = """
import itertools, time
from oet_kernel.api import checkpoint, publish
def init(subarray_id): pass
def main():
    for number in itertools.count():
        checkpoint(f"number {number}")
        publish("user.count", number=number)
        time.sleep(0.005)
"""
_LONGEST = 0.008
"""Seconds after the request within which the service is killed; an answer takes a few thousandths."""


def pauses_cut(trials: int, seed: int) -> Outcome:
    """Kill the service up to 8 ms after it was sent a pause, and again after a resume, of one script that counts."""
    outcome = Outcome("pauses_cut", seed, trials)
    random = Random(seed)
    with stand() as site:
        site.start("--warm-kernels=0")
        pid = site.create(_COUNTING)
        site.server.until(pid, "READY")
        site.run(pid)
        follower = Follower(site, f"?procedure={pid}&after=0")
        follower.start()
        for trial in range(1, trials + 1):
            _cut(site, random, outcome, pid, "pause")
            paused = follower.until(lambda one: one["topic"] == topics.PAUSED, times=trial)
            outcome.check(paused, f"trial {trial}: has not paused")
            outcome.check(_waits(site, pid), f"trial {trial}: is not said to be paused")
            if trial < trials:
                _cut(site, random, outcome, pid, "resume")
                resumed = follower.until(lambda one: one["topic"] == topics.RESUMED, times=trial)
                outcome.check(resumed, f"trial {trial}: has not been resumed")
                counted = len(numbers(follower.events))
                goes_on = follower.until(lambda one: one["topic"] == "user.count", times=counted + 1)
                outcome.check(goes_on, f"trial {trial}: does not go on")
        follower.leave()
        reply = site.stop(pid)
        state = site.describe(pid)["state"]
        outcome.check(state == "STOPPED", f"is {state} after its stop, which was answered: {reply.text}")
        _judge(outcome, data(site.events(pid)))
    return outcome


def _cut(site: Stand, random: Random, outcome: Outcome, pid: int, command: str) -> None:
    """Kill the service in the middle of a command, and see that it holds once a service has answered it."""
    request = Request(site, "POST", f"/procedures/{pid}/{command}", {})
    cut(site, random, request, _LONGEST)
    holds = (site.describe(pid)["pause"] is not None) is (command == "pause")
    outcome.count(f"{command}: {'answered' if request.status else 'held, not answered' if holds else 'not heard'}")
    outcome.check(request.status in (None, 200), f"{command} was answered {request.status}")
    outcome.check(holds or not request.status, f"{command} was answered and does not hold")
    if not holds:
        reply = site.server.http.post(f"/procedures/{pid}/{command}")
        outcome.check(reply.status_code == 200, f"{command} is refused: {reply.text}")


def _waits(site: Stand, pid: int) -> bool:
    told = site.describe(pid)
    return told["state"] == "RUNNING" and told["pause"] is not None and told["pause"]["checkpoint"] is not None


def _judge(outcome: Outcome, events: list[dict[str, Any]]) -> None:
    """See in the journal that nothing was said while it waited, and that it waited where it said."""
    counted = numbers(events)
    outcome.compare("numbers", range(max(counted, default=-1) + 1), counted)
    waits, number = False, 0
    for one in events:
        match one["topic"]:
            case topics.PAUSED:
                where = one["checkpoint"]
                outcome.check(where == f"number {number}", f"paused at {where}, having come to {number}")
                outcome.check(not waits, f"is told twice to be paused at {where}")
                waits = True
            case topics.RESUMED:
                outcome.check(waits, "is told to be resumed and did not wait")
                waits = False
            case "user.count":
                outcome.check(not waits, f"has counted {one['number']} while it was paused")
                number = one["number"] + 1
