"""Entry point of the service: ``python -m oet_kernel.server.entry``, ``oet serve``, ``jupyter oet``."""

import sys

from oet_kernel.system.blocked_imports import blocked

NEEDS_LINUX = (
    "The service needs Linux, whose processes, pipes and signals it works with; start it on a Linux machine, and name "
    "it here with --server-url or OET_URL"
)


def main(argv: list[str] | None = None) -> None:
    """Start the service stand-alone.

    Parameters
    ----------
    argv
        Options; None for those of the process.
    """
    if sys.platform != "linux":
        sys.stderr.write(f"{NEEDS_LINUX}\n")
        sys.exit(1)
    # jsonschema, by which Jupyter Server validates events of its own, builds a grammar for a second when it is
    # imported: of a format (IRIs) that none of these has
    with blocked("rfc3987_syntax"):
        from oet_kernel.server import command_line
    command_line.main(argv)


if __name__ == "__main__":
    main()
