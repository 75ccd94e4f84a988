"""Entry point of ``oet``: a Ctrl-C while the command is imported ends it silently."""

import _signal  # `signal` without its imports, during which a Ctrl-C would show a traceback


def main() -> None:
    """Import the command, and run it."""
    handler = _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from oet_kernel.system.blocked_imports import blocked

    # httpx imports the libraries of its own command if they are installed, which is slow
    with blocked("pygments"):
        from oet_kernel.cli.main import main as run

    _signal.signal(_signal.SIGINT, handler)
    run()


if __name__ == "__main__":
    main()
