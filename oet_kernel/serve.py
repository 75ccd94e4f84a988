"""``python -m oet_kernel.serve``, ``oet serve``, ``jupyter oet``: where the service begins."""

from oet_kernel.hidden import hidden


def main(argv: list[str] | None = None) -> None:
    """Start the service stand-alone.

    Parameters
    ----------
    argv
        Options; those of the process when None.
    """
    # jsonschema, by which Jupyter Server validates events of its own, builds a grammar for a second when it is
    # imported: of a format (IRIs) that none of these has
    with hidden("rfc3987_syntax"):
        from oet_kernel import app
    app.main(argv)


if __name__ == "__main__":
    main()
