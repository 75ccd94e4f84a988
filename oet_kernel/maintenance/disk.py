"""Sizes, notes and removal of what is on the disk, for checks."""

import shutil
from contextlib import suppress
from pathlib import Path

from oet_kernel.state.folder import read_note


def note_in(path: Path) -> str:
    """Return the text of a file of one line; "unknown" if it cannot be read."""
    return read_note(path) or "unknown"


def remove(paths: list[Path]) -> None:
    """Remove files and folders; of a link, the link alone."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def size_of(paths: list[Path]) -> str:
    """Return what files and folders occupy on the disk, in megabytes with the unit."""
    total = 0
    for one in paths:
        for path in (one, *one.rglob("*")):
            with suppress(OSError):
                total += path.lstat().st_blocks * 512
    return megabytes(total)


def megabytes(size: int) -> str:
    """Return a number of bytes in megabytes, with the unit."""
    return f"{size / 1e6:,.1f} MB"
