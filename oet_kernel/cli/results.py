"""Results of commands: values that a terminal prints (`oet_kernel.cli.terminal`) and a notebook shows."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from oet_kernel.cli.options import ServiceOptions
from oet_kernel.client import Client
from oet_kernel.formatting.documents import Document
from oet_kernel.models import KernelInfo, ProcedureInput, ProcedureSummary


class Answer(Struct, frozen=True):
    """Answer to a query."""

    value: Any
    """Records, or other values with a JSON form."""
    document: Document
    """Answer as text for users."""
    as_json: bool = False
    """True if the user wants JSON."""


class Begun(Struct, frozen=True):
    """Procedure that was created or started."""

    summary: ProcedureSummary
    answer: Answer | None = None
    """Answer to print first; None for none."""


class Following(Struct, frozen=True, kw_only=True):
    """Procedure to follow until it ends; it is begun only after the listener is registered."""

    service: ServiceOptions
    begin: Callable[[Client], Begun]
    """Creates or starts the procedure."""
    pid: int | None = None
    """Id of the procedure if it exists already; otherwise None."""
    main: ProcedureInput | None = None
    """Arguments of its main once it is READY; None if the command does not start it."""
    stays: bool = True
    """True if a terminal follows it until its end; otherwise only the beginning is printed."""
    until_ready: bool = False
    """True if the command is complete when the procedure is READY; a waiting caller does not wait for the end."""
    stops: bool = False
    """True if an interrupt of a terminal stops the procedure, which then belongs to this command."""
    run_abort: bool = False
    """True if such a stop runs the abort script."""
    embedded: bool = False
    """True if there is no service, and an embedded one must be started first."""
    as_json: bool = False


class Listening(Struct, frozen=True, kw_only=True):
    """Events to print until the user interrupts."""

    service: ServiceOptions
    topics: tuple[str, ...]
    exclude: tuple[str, ...]
    as_json: bool = False


class Said(Struct, frozen=True, kw_only=True):
    """Past events of a procedure."""

    service: ServiceOptions
    pid: int
    topics: tuple[str, ...]
    exclude: tuple[str, ...]
    as_json: bool = False


class Attaching(Struct, frozen=True, kw_only=True):
    """Kernel to attach to: a terminal opens a console on it, any other front end shows its connection."""

    info: KernelInfo
    answer: Answer
    """Connection of the kernel."""
    leave: Callable[[], None] | None
    """Releases control when the console is left; None if it was not acquired."""


Result = Answer | Following | Listening | Said | Attaching | None
"""Result of a command; None if it has printed its output itself."""
