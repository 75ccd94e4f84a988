"""Goes on with random values until one does harm: ``python -m tests.fuzz [--minutes N] [ARGUMENT OF PYTEST ...]``."""

import argparse
import random
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    """Do what the command line says; the exit status is that of the round that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no round begins later; default: no end")
    options, words = parser.parse_known_args()
    ends = time.monotonic() + 60 * options.minutes
    rounds = 0
    while time.monotonic() < ends:
        seed = random.randrange(1 << 32)
        argv = [sys.executable, "-m", "pytest", "-q", "-n", "0", str(Path(__file__).parent)]
        argv += ["--hypothesis-profile=explore", f"--hypothesis-seed={seed}", *words]
        if status := subprocess.run(argv, check=False).returncode:
            print(f"round {rounds + 1} has failed; to repeat it: {' '.join(argv)}")
            sys.exit(status)
        rounds += 1
        print(f"{rounds} rounds", flush=True)


if __name__ == "__main__":
    main()
