"""Cells as scripts: the text of a cell in a file that the service can read."""

import hashlib
import os
import tempfile
from pathlib import Path

import click
import platformdirs


def default_folder() -> Path:
    """Return the default folder for cells, which services of the same user on the same machine can read."""
    return platformdirs.user_state_path("oet") / "cells"


def store(folder: Path, name: str, cell: str) -> Path:
    """Write a cell to a file named by its content; an existing file is left unchanged.

    The magic's own line is the first, as a comment, so that lines have the same numbers in tracebacks as in the cell.

    Parameters
    ----------
    folder
        Folder of the file; created if it is missing.
    name
        Name of the procedure, a valid name of a variable.
    cell
        Text of the cell below the magic.

    Returns
    -------
    Path
        Absolute path of the file, ``NAME-<hash>.py``.

    Raises
    ------
    click.UsageError
        When the name is not valid, or the folder cannot be written.
    """
    if not (name.isidentifier() and name.isascii()):
        raise click.UsageError(f"{name!r} is not a valid variable name; write %%oet_procedure NAME [OPTIONS]")
    text = f"# %%oet_procedure {name}\n{cell}".encode()
    path = folder.expanduser().absolute() / f"{name}-{hashlib.sha256(text).hexdigest()[:12]}.py"
    try:
        if path.exists() and path.read_bytes() == text:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{name}-", delete=False) as file:
            file.write(text)
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise click.UsageError(
            f"The cell cannot be stored in {path.parent} ({error.strerror}); name another folder, which the service "
            "can read: %oet connect --cells FOLDER"
        ) from None
    return path
