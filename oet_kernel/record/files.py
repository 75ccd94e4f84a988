"""Records on disk and as web pages; all of it blocks, and is for threads."""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_quiet = logging.getLogger(f"{__name__}.nbconvert")
_quiet.setLevel(logging.ERROR)
"""It warns of each figure without a description, which is no fault of an operator's."""


FOLDER = "records"
"""Name of the folder in the state folder."""
_PIECE = re.compile(r".{1,8000}(?:.{,1000}?(?:\n|(?=\x1b)|\Z))?", re.DOTALL)
"""Text that is coloured at once: a colour ends with its line, or with the piece."""
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


def to_html(notebook: bytes, title: str) -> bytes:
    """Convert a notebook to a page that stands alone.

    Parameters
    ----------
    notebook
        A notebook file.
    title
        Of the page.
    """
    # takes a second to import, once, and only where somebody wants a page
    import nbformat
    from jinja2 import pass_context
    from nbconvert.exporters import HTMLExporter
    from nbconvert.filters import ansi2html
    from nbconvert.filters.markdown_mistune import InvalidNotebook

    class PageExporter(HTMLExporter):
        """Exports what nbconvert's own exporter fails on: images that are not attached, much coloured text."""

        def default_filters(self) -> Iterator[tuple[str, Any]]:
            yield from super().default_filters()
            # its time grows with the square of the colour changes in one text
            yield "ansi2html", lambda text: "".join(map(ansi2html, _PIECE.findall(text)))

        @pass_context
        def markdown2html(self, context: Any, source: str) -> str:
            try:
                return str(super().markdown2html(context, source))
            except InvalidNotebook:
                return str(super().markdown2html(context, source.replace("attachment:", "missing:")))

    node = nbformat.reads(notebook.decode(), as_version=nbformat.NO_CONVERT)
    page, _ = PageExporter(log=_quiet).from_notebook_node(node, resources={"metadata": {"name": title}})
    return str(page).encode()
