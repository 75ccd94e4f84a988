"""Measures everything: ``python -m tests.benchmarks [--only NAME,...] [--scale 0.1] [--json FILE] [--docs]``."""

import argparse
import json
import os
import platform
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path

import msgspec

from tests.benchmarks import figures
from tests.benchmarks.measures import rows, table

_BEGIN, _END = "<!-- benchmark -->", "<!-- end of benchmark -->"
_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "figures.md"


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="figures to measure: " + ", ".join(f.__name__ for f in figures.ALL))
    parser.add_argument("--scale", type=float, default=1.0, help="how much of the full number of runs to make")
    parser.add_argument("--json", type=Path, default=Path("benchmark.json"), help="where to write the results")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/reference/figures.md")
    options = parser.parse_args()
    chosen = [f for f in figures.ALL if not options.only or f.__name__ in options.only.split(",")]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    measured = []
    for figure in chosen:
        began = time.perf_counter()
        print(f"{figure.__name__} ...", end=" ", file=sys.stderr, flush=True)
        measured += figure(options.scale)
        print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr)
    print(table(measured, "simple"))
    about = {
        "when": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("ipykernel", "jupyter_client", "jupyter_server", "tornado")},
        "scale": options.scale,
    }
    document = {"about": about, "rows": list(rows(measured)), "figures": msgspec.to_builtins(measured)}
    options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.docs:
        before, _, rest = _PAGE.read_text().partition(_BEGIN)
        _, _, after = rest.partition(_END)
        _PAGE.write_text(f"{before}{_BEGIN}\n\n{table(measured, 'github')}\n\n{_END}{after}")


if __name__ == "__main__":
    main()
