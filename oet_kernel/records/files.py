"""Files of records; all functions block, and are for threads."""

import os
import re
from pathlib import Path

_NAME = re.compile(r"([1-9][0-9]*)\.ipynb|\.([1-9][0-9]*)\.ipynb\.new")


def path_of(folder: Path, pid: int) -> Path:
    """Return the path of a procedure's record.

    Parameters
    ----------
    folder
        Folder of the records.
    pid
        Id of the procedure.
    """
    return folder / f"{pid}.ipynb"


def records_in(folder: Path) -> dict[Path, int]:
    """Return the records in a folder, and unfinished files of interrupted writes, with the ids of their procedures.

    Parameters
    ----------
    folder
        Folder of the records; other files in it are left out.
    """
    found = ((path, _NAME.fullmatch(path.name)) for path in folder.glob("*.ipynb*"))
    return {path: int(match[1] or match[2]) for path, match in sorted(found) if match is not None and path.is_file()}


def unfinished(path: Path) -> Path:
    """Return the path to which a record is written before it replaces the previous one.

    Parameters
    ----------
    path
        Path of the record.
    """
    return path.with_name(f".{path.name}.new")


def remove(path: Path) -> None:
    """Remove a record, and its unfinished file from a crash.

    Parameters
    ----------
    path
        Path of the record, which may be missing.

    Raises
    ------
    OSError
        When the files cannot be removed.
    """
    unfinished(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically: a reader sees the whole old or the whole new content.

    Parameters
    ----------
    path
        Path of the file; a missing folder is created.
    data
        Content of the file.

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
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
