"""Files that are written whole: to another name first, and renamed when all is there. Functions block."""

import os
from pathlib import Path


def unfinished(path: Path) -> Path:
    """Return the path to which a file is written before it replaces the previous one.

    Parameters
    ----------
    path
        Path of the file.
    """
    return path.with_name(f".{path.name}.new")


def write_whole(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file atomically, readable by this user alone: a reader sees the whole old or the whole new content.

    Parameters
    ----------
    path
        Path of the file, which one process writes at a time; a missing folder is created.
    data
        Content of the file.
    durable
        Whether the content is on disk before it replaces the old one, so that a loss of power leaves one of the two.

    Raises
    ------
    OSError
        When the file cannot be written; the old file is unchanged then.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = unfinished(path)
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
