"""The command line of a kernel, as a forked process reads it."""

from collections.abc import Sequence
from typing import NamedTuple, Self


class Launch(NamedTuple):
    """Options of a kernel's command line."""

    connection_file: str
    journal_folder: str
    orphan_seconds: float

    @classmethod
    def of(cls, argv: Sequence[str]) -> Self:
        """Parse a command line.

        Parameters
        ----------
        argv
            ``... -f FILE --journal FOLDER --orphan-seconds N``.
        """
        words = list(argv)
        file, journal, seconds = (words[words.index(name) + 1] for name in ("-f", "--journal", "--orphan-seconds"))
        return cls(file, journal, float(seconds))
