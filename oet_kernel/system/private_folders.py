"""Private folders of the service: created, checked, and repaired where that is safe."""

import errno
import os
import stat
from pathlib import Path


def private_folder(path: Path) -> None:
    """Create a folder that only this user can access, with missing parents; check an existing one.

    Parameters
    ----------
    path
        Path of the folder.

    Raises
    ------
    PermissionError
        When the folder belongs to another user, or other users may write there: its content may be theirs.
    OSError
        When the folder cannot be created.
    """
    missing = []
    place = path
    while not place.exists() and not place.is_symlink():
        missing.append(place)
        place = place.parent
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
    found = path.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "the path is not a folder", str(path))
    if found.st_uid != os.getuid():
        raise PermissionError(
            errno.EPERM, f"the folder belongs to user {found.st_uid}, not to this user, {os.getuid()}", str(path)
        )
    if found.st_mode & 0o022:
        mode = stat.S_IMODE(found.st_mode)
        why = (
            f"the folder is not private: others can write to it (mode {mode:04o}); check its content, then chmod 700 it"
        )
        raise PermissionError(errno.EPERM, why, str(path))
    if found.st_mode & 0o077:
        path.chmod(0o700)
