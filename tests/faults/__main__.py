"""Breaks things at random and counts what was lost: ``python -m tests.faults [--only NAME,...] [--seed N]``."""

import argparse
import json
import random
import sys
import time
from pathlib import Path

import msgspec
from tabulate import tabulate

from tests.faults.outcome import Outcome
from tests.faults.scenarios import ALL


def main() -> None:
    """Do what the command line says; the exit status is 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="scenarios: " + ", ".join(one.name for one in ALL))
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="repeats a run's random moments")
    parser.add_argument("--trials", type=int, help="how many trials instead of the usual number")
    parser.add_argument("--short", action="store_true", help="the short form that the tests use")
    parser.add_argument("--json", type=Path, help="where to write the outcomes")
    options = parser.parse_args()
    outcomes = []
    for scenario in ALL:
        if options.only and scenario.name not in options.only.split(","):
            continue
        began = time.perf_counter()
        amount = {**(scenario.short if options.short else scenario.long)}
        if options.trials:
            amount["trials"] = options.trials
        print(f"{scenario.name}, seed {options.seed} ...", end=" ", file=sys.stderr, flush=True)
        outcomes.append(scenario.play(**amount, seed=options.seed))
        print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr)
    print(table(outcomes))
    for outcome in outcomes:
        for line in [*(f"  {name}: {value:g}" for name, value in outcome.notes.items()), *outcome.problems]:
            print(f"{outcome.name}: {line.strip()}")
    if options.json:
        options.json.write_text(json.dumps(msgspec.to_builtins(outcomes), indent=1) + "\n")
    sys.exit(not all(outcome.sound for outcome in outcomes))


def table(outcomes: list[Outcome]) -> str:
    """Lay outcomes out for people."""
    rows = [
        (one.name, one.trials, one.events, one.lost, one.doubled, one.disordered, "sound" if one.sound else "BROKEN")
        for one in outcomes
    ]
    return str(tabulate(rows, ["scenario", "trials", "events", "lost", "doubled", "out of order", "verdict"]))


if __name__ == "__main__":
    main()
