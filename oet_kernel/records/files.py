"""Files of records; all functions block, and are for threads."""

import re
from pathlib import Path

from oet_kernel.system.files import unfinished

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
