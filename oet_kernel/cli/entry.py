"""Entry point of ``oet``: a Ctrl-C while the command is imported, or before it takes one, ends it silently."""

import _signal  # `signal` without its imports, during which a Ctrl-C would show a traceback
import sys


def main() -> None:
    """Import the command, and run it."""
    handler = _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from oet_kernel.system.blocked_imports import blocked

    # httpx imports the libraries of its own command if they are installed, which is slow
    with blocked("pygments"):
        from oet_kernel.cli.main import main as run

    try:
        _signal.signal(_signal.SIGINT, handler)
        run()
    except KeyboardInterrupt:  # before the command could take it, or behind it
        sys.exit(130)


if __name__ == "__main__":
    main()
