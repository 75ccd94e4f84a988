"""``python -m oet_kernel.kernel``: start the kernel of a procedure."""

import sys
from pathlib import Path

from oet_kernel.kernel.collector import start_collector
from oet_kernel.kernel.last_words import ending_unstarted
from oet_kernel.system.blocked_imports import blocked
from oet_kernel.system.process_identity import write_identity


def main() -> None:
    """Start the kernel; ipykernel's debugger, which costs a fifth of the start, is left out."""
    collector = None
    if "--journal" in sys.argv:
        write_identity(Path(sys.argv[sys.argv.index("--journal") + 1]), forked=False)
        collector, _ = start_collector(detached=True)  # while the process is small
    with ending_unstarted(), blocked("debugpy"):  # a script may import it
        from oet_kernel.kernel.app import OetKernelApp

        app = OetKernelApp.instance()
        app.collector = collector
        app.initialize()
    app.start()


if __name__ == "__main__":
    main()
