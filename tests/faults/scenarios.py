"""All scenarios, and how much of each is tried in the short form (with the other tests) and in the long one."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.faults.commands_cut import commands_cut
from tests.faults.dropped import messages_dropped
from tests.faults.kernel_killed import kernel_killed
from tests.faults.listeners_cut import listeners_cut
from tests.faults.load import load
from tests.faults.outcome import Outcome
from tests.faults.pauses_cut import pauses_cut
from tests.faults.service_killed import service_killed
from tests.faults.soak import soak


class Scenario(NamedTuple):
    """Something that goes wrong, so many times."""

    play: Callable[..., Outcome]
    short: dict[str, Any]
    long: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return self.play.__name__


ALL = [
    Scenario(service_killed, {"trials": 2}, {"trials": 50}),
    Scenario(kernel_killed, {"trials": 4}, {"trials": 50}),
    Scenario(listeners_cut, {"trials": 10, "listeners": 6, "rate": 50}, {"trials": 100, "listeners": 20}),
    Scenario(commands_cut, {"trials": 6}, {"trials": 150}),
    Scenario(pauses_cut, {"trials": 3}, {"trials": 75}),
    Scenario(messages_dropped, {"trials": 1, "count": 10_000}, {"trials": 3, "count": 120_000}),
    Scenario(load, {"trials": 12, "clients": 8, "scripts": 2}, {"trials": 200, "clients": 50, "scripts": 20}),
    Scenario(soak, {"trials": 60}, {"trials": 2000}),
]
