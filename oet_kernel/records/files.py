"""Records on disk; all of it blocks, and is for threads."""

import os
import re
from pathlib import Path

_NAME = re.compile(r"([1-9][0-9]*)\.ipynb|\.([1-9][0-9]*)\.ipynb\.new")


def path_of(folder: Path, pid: int) -> Path:
    """Name the file of a procedure's record.

    Parameters
    ----------
    folder
        Where records are.
    pid
        Id of the procedure.
    """
    return folder / f"{pid}.ipynb"


def records_in(folder: Path) -> dict[Path, int]:
    """List the records in a folder, and the unfinished writings of some, with the ids of their procedures.

    Parameters
    ----------
    folder
        Where records are; what else is there is left out.
    """
    found = ((path, _NAME.fullmatch(path.name)) for path in folder.glob("*.ipynb*"))
    return {path: int(match[1] or match[2]) for path, match in sorted(found) if match is not None and path.is_file()}


def unfinished(path: Path) -> Path:
    """Name the file in which a record is written, until it takes the place of the one before.

    Parameters
    ----------
    path
        The record.
    """
    return path.with_name(f".{path.name}.new")


def remove(path: Path) -> None:
    """Remove a record, and what a crash has left of its writing.

    Parameters
    ----------
    path
        The record; may be missing.

    Raises
    ------
    OSError
        When it cannot be removed.
    """
    unfinished(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees all of the old one or all of the new one, and never a part.

    Parameters
    ----------
    path
        The file; its folder is made where it is missing.
    data
        What it is to hold.

    Raises
    ------
    OSError
        When it cannot be written; the old file is as it was.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = unfinished(path)
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
