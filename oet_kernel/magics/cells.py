"""Cells as scripts: the text of a cell, in a file that the service can read."""

import hashlib
import os
import tempfile
from pathlib import Path

import click
import platformdirs


def default_folder() -> Path:
    """Name the folder for cells; services of the same user on the same machine can read it."""
    return platformdirs.user_state_path("oet") / "cells"


def store(folder: Path, name: str, cell: str) -> Path:
    """Write a cell into a file that is named for what it holds; what is there already is left as it is.

    The magic's own line comes first, as a comment: lines have the numbers in a traceback that they have in the cell.

    Parameters
    ----------
    folder
        Made if it is not there.
    name
        Of the procedure; a name that a variable can have.
    cell
        What stands below the magic.

    Returns
    -------
    Path
        ``NAME-<hash>.py``, absolute.

    Raises
    ------
    click.UsageError
        When the name is none, or the folder cannot be written to.
    """
    if not (name.isidentifier() and name.isascii()):
        raise click.UsageError(f"{name!r} is no name that a variable can have; write %%oet_procedure NAME [OPTIONS]")
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
            f"The cell cannot be stored in {path.parent} ({error.strerror}); name a folder of yours that the service "
            "can read: %oet connect --cells FOLDER"
        ) from None
    return path
