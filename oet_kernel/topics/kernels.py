"""Output of scripts and consoles, and reports of kernels."""

from typing import Annotated, Any

from msgspec import UNSET, Struct, UnsetType

from oet_kernel.models.description import about
from oet_kernel.topics import names
from oet_kernel.topics.data import EventData

Call = Annotated[
    str | None,
    about("Function that was called last, or `console`; null before the first.", examples=["load", "init", "main"]),
]


class StreamOutput(EventData, frozen=True, kw_only=True, tag=names.OUTPUT_STREAM):
    """Text was printed."""

    call: Call
    name: Annotated[str, about("Name of the stream.", examples=["stdout", "stderr"])]
    text: Annotated[str, about("Printed text, not necessarily whole lines.")]


class DisplayOutput(EventData, frozen=True, kw_only=True, tag=names.OUTPUT_DISPLAY):
    """A result, a plot or another rich output was displayed, or an earlier one was updated."""

    call: Call
    data: Annotated[dict[str, Any], about("Representations by MIME type.")]
    metadata: Annotated[dict[str, Any], about("Metadata by MIME type.")]
    display_id: Annotated[str | UnsetType, about("Id by which the output can be updated; only if it has one.")] = UNSET
    update: Annotated[bool | UnsetType, about("True for an update of an earlier output; otherwise absent.")] = UNSET
    execution_count: Annotated[
        int | UnsetType | None, about("Number of the prompt; only for the value of an expression.")
    ] = UNSET


class WidgetBuffer(Struct, frozen=True):
    """Binary part of a widget's state."""

    path: Annotated[list[str | int], about("Keys and indices of the part in the state.")]
    data: Annotated[str, about("The part in base64.")]


class WidgetOutput(EventData, frozen=True, kw_only=True, tag=names.OUTPUT_WIDGET):
    """A widget was created, or its state has changed."""

    call: Call
    model_id: Annotated[str, about("Id of the widget's model.")]
    state: Annotated[dict[str, Any], about("State of the widget, or the changed part of it.")]
    buffers: Annotated[list[WidgetBuffer] | UnsetType, about("Binary parts of the state; only if there are any.")] = (
        UNSET
    )


class OutputCleared(EventData, frozen=True, kw_only=True, tag=names.OUTPUT_CLEAR):
    """The displayed output was cleared."""

    call: Call
    wait: Annotated[bool, about("True to clear only when the next output arrives.")]


class ErrorOutput(EventData, frozen=True, kw_only=True, tag=names.OUTPUT_ERROR):
    """An error was displayed that did not end the script."""

    call: Call
    ename: Annotated[str, about("Class of the exception.")]
    evalue: Annotated[str, about("Message of the exception.")]
    traceback: Annotated[str, about("Traceback; empty if there is none.")]


class ControlChanged(EventData, frozen=True, kw_only=True, tag=names.KERNEL_CONTROL):
    """A user has acquired control of a procedure's kernel, or released it."""

    who: Annotated[str, about("Name of the user.")]
    taken: Annotated[bool, about("True for acquired, false for released.")]


class ConsoleInput(EventData, frozen=True, kw_only=True, tag=names.CONSOLE_INPUT):
    """A user with control has typed code, or an answer to a prompt of it."""

    who: Annotated[str | None, about("Name of the user; null if unknown.")]
    code: Annotated[str, about("Typed code or answer; empty for a password.")]
    msg_id: Annotated[str, about("Id of the Jupyter message that executes the code.")]
    prompt: Annotated[str | UnsetType, about("Text of the prompt; only for an answer.")] = UNSET


class EnvironmentLogged(EventData, frozen=True, kw_only=True, tag=names.ENVIRONMENT_LOG):
    """A step in the preparation of the environment was reported."""

    text: Annotated[str, about("Text of the report.")]


class EnvironmentDescribed(EventData, frozen=True, kw_only=True, tag=names.ENVIRONMENT_DESCRIBED):
    """The environment of the script is known."""

    host: Annotated[str, about("Name of the kernel's machine.")]
    user: Annotated[str, about("Name of the user that the kernel runs as.")]
    python: Annotated[str, about("Version of Python.")]
    packages: Annotated[dict[str, str | None], about("Versions of imported packages by name; null if unknown.")]


class ScriptLoaded(EventData, frozen=True, kw_only=True, tag=names.SCRIPT_LOADED):
    """The script was read, and is about to be executed."""

    path: Annotated[str, about("Path of the file on the kernel's machine.")]
    sha256: Annotated[str, about("SHA-256 of the file, hexadecimal.")]
    commit: Annotated[str | None, about("Commit of the git working tree around the file; null if there is none.")]
    source: Annotated[str | None, about("Text of the file; null if it is too long.")]
    plain: Annotated[
        bool | UnsetType, about("True for a file without `main`, which is executed whole; only for Python files.")
    ] = UNSET
    by_cell: Annotated[
        bool | UnsetType, about("True for a notebook without `main`, which is executed by cell; only for notebooks.")
    ] = UNSET


class ValueReturned(EventData, frozen=True, kw_only=True, tag=names.SCRIPT_RETURNED):
    """`main` has returned a value other than None."""

    type: Annotated[str, about("Name of its class.", examples=["int", "numpy.ndarray"])]
    value: Annotated[Any, about("JSON form of the value; null if `text` is given instead.")]
    text: Annotated[
        str | None,
        about("Shortened `repr` of a value without JSON form, or shortened JSON if that is too long; otherwise null."),
    ]


class CellData(EventData, frozen=True, kw_only=True):
    """Data of an event about a cell of a notebook."""

    call: Call
    id: Annotated[str, about("Id of the cell.")]
    number: Annotated[int, about("Number among the code cells, from 1; 0 for injected arguments before all.")]
    count: Annotated[int, about("Number of code cells in the notebook.")]
    tags: Annotated[list[str], about("Tags of the cell.")]


class CellStarted(CellData, frozen=True, kw_only=True, tag=names.CELL_STARTED):
    """A cell has begun."""

    source: Annotated[str | None, about("Source of a cell with injected arguments; null for a cell of the notebook.")]


class CellFinished(CellData, frozen=True, kw_only=True, tag=names.CELL_FINISHED):
    """A cell has ended without an error."""


class CellFailed(CellData, frozen=True, kw_only=True, tag=names.CELL_FAILED):
    """A cell has raised an exception."""

    stacktrace: Annotated[str, about("Python traceback.")]
    expected: Annotated[bool, about("True if the cell may raise one, by its tag `raises-exception`.")]
