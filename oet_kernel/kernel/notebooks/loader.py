"""Opening of a notebook: read it, choose the kernel for its cells, run the cells that define its functions."""

import atexit
import tempfile
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from oet_kernel import topics
from oet_kernel.bounds import SCRIPT_BYTES, read_file
from oet_kernel.kernel.iopub import Publisher
from oet_kernel.kernel.loader import module_name
from oet_kernel.kernel.notebooks.cells import Cells, OwnCells
from oet_kernel.kernel.notebooks.program import NotebookProgram
from oet_kernel.kernel.provenance import SOURCE_LIMIT, script_facts
from oet_kernel.kernel.runner import Opening
from oet_kernel.scripts.notebook import OWN_KERNELS, Notebook, functions, python_source, read_notebook, without_outputs


def open_notebook(
    opening: Opening, shell: Any, publisher: Publisher, folder: str, sockets: str | None
) -> NotebookProgram:
    """Open a notebook in a kernel.

    Parameters
    ----------
    opening
        The notebook's path, kernel and arguments, and functions of the procedure.
    shell
        The kernel's shell.
    publisher
        Publishes the output.
    folder
        The kernel's private folder; empty for none.
    sockets
        Beginning of the paths of the kernel's own sockets; None where it has no IPC sockets.

    Raises
    ------
    NotebookUnreadable
        When the notebook cannot be run.
    OSError
        When the file cannot be read, or is not a regular one.
    OutOfBounds
        When the file exceeds `SCRIPT_BYTES`.
    NoKernel
        When the notebook's kernel is not available.
    """
    path = opening.path
    data = read_file(path, SCRIPT_BYTES)
    notebook = read_notebook(data)
    if opening.kernel is not None:
        notebook = replace(notebook, kernel=opening.kernel)
    defined = functions(notebook)
    shown = without_outputs(data)
    facts = {
        **script_facts(path, data),
        "source": shown.decode() if len(shown) <= SOURCE_LIMIT else None,
        "by_cell": not defined,
    }
    opening.loading(python_source(notebook.cells) if notebook.python else "", facts)
    cells: Cells
    if _is_own(notebook):
        shell.enter_notebook()
        cells = OwnCells(shell, opening.await_, opening.call, publisher.show)
        cells.enter(path, module_name(path) if defined else None)
    else:
        cells = _start_foreign(notebook, publisher, folder, sockets, opening, defined)
    program = NotebookProgram(path, notebook, defined, cells, publisher, opening.tell, opening.checkpoint)
    program.load()
    if not program.has_init:
        program.hold(opening.init)
    atexit.register(program.leave)
    return program


def _is_own(notebook: Notebook) -> bool:
    """Return whether this kernel runs the cells: those of a Python notebook that names no other environment."""
    if not notebook.python:
        return False
    if notebook.kernel is None or notebook.kernel in OWN_KERNELS:
        return True
    from oet_kernel.kernel.notebooks.foreign_kernel import find_spec, is_own_environment  # few need it

    return is_own_environment(find_spec(notebook.kernel))


def _start_foreign(
    notebook: Notebook,
    publisher: Publisher,
    folder: str,
    sockets: str | None,
    opening: Opening,
    defined: dict[str, bool],
) -> Cells:
    from oet_kernel.kernel.notebooks.foreign_kernel import ForeignCells  # few need it

    cells = ForeignCells(
        notebook.kernel or notebook.language,
        publisher,
        opening.publish,
        Path(folder or tempfile.mkdtemp()),
        f"{sockets}-nb" if sockets else None,
        opening.path,
        frozenset(name for name, coroutine in defined.items() if coroutine),
    )
    cells.start()
    text = (
        f"The cells run in the kernel {cells.name} ({cells.display_name}), a child of the procedure's own. It keeps no "
        "journal: if it dies, output that it has not yet sent is lost, and a burst of output may lose messages."
    )
    opening.tell(topics.ENVIRONMENT_LOG, {"text": text})
    return cells
