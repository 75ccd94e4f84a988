"""Where the ``oet`` command begins: a Ctrl-C while it is being imported ends it without a word."""

import _signal  # `signal` without what that imports, in the midst of which a Ctrl-C would be shown with a traceback


def main() -> None:
    """Import the command, and run it."""
    handler = _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from oet_kernel.system.blocked_imports import blocked

    # httpx imports the libraries of a command of its own where it finds them, which takes long
    with blocked("pygments"):
        from oet_kernel.cli.main import main as run

    _signal.signal(_signal.SIGINT, handler)
    run()


if __name__ == "__main__":
    main()
