"""What commands come to: values that a terminal prints (`oet_kernel.cli.terminal`) and a notebook shows."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from oet_kernel.cli.options import ServiceOptions
from oet_kernel.client import Client
from oet_kernel.formatting.documents import Document
from oet_kernel.models import KernelInfo, ProcedureInput, ProcedureSummary


class Answer(Struct, frozen=True):
    """What was asked for."""

    value: Any
    """Records, or what has a JSON form."""
    document: Document
    """The same for a person."""
    as_json: bool = False
    """Whether the user wants JSON."""


class Begun(Struct, frozen=True):
    """A procedure that was created or started."""

    summary: ProcedureSummary
    answer: Answer | None = None
    """What is said about it first."""


class Following(Struct, frozen=True, kw_only=True):
    """A procedure to follow until it ends; nothing has begun yet, so that the service can have the listener first."""

    service: ServiceOptions
    begin: Callable[[Client], Begun]
    """Creates or starts the procedure."""
    pid: int | None = None
    """Id of the procedure, where it is known before."""
    main: ProcedureInput | None = None
    """What its main is called with once it is READY; None where this is none of the command's business."""
    stays: bool = True
    """Whether a terminal stays with it until it ends; else it says only what has begun."""
    until_ready: bool = False
    """Whether the command is carried out when the procedure is READY; who waits for it does not wait for the end."""
    stops: bool = False
    """Whether an interrupt of a terminal stops the procedure, which is this command's own then."""
    run_abort: bool = False
    """Whether such a stop runs the abort script."""
    embedded: bool = False
    """Whether there is no service, and one is to be started first."""
    as_json: bool = False


class Listening(Struct, frozen=True, kw_only=True):
    """Events to hear until the user has heard enough."""

    service: ServiceOptions
    topics: tuple[str, ...]
    exclude: tuple[str, ...]
    as_json: bool = False


class Said(Struct, frozen=True, kw_only=True):
    """What a procedure has said up to now."""

    service: ServiceOptions
    pid: int
    topics: tuple[str, ...]
    exclude: tuple[str, ...]
    as_json: bool = False


class Attaching(Struct, frozen=True, kw_only=True):
    """A kernel to look into: a terminal opens a console on it, what is no terminal is told how."""

    info: KernelInfo
    answer: Answer
    """How it is reached."""
    leave: Callable[[], None] | None
    """Gives control back when the console is left; None where it was not taken."""


Result = Answer | Following | Listening | Said | Attaching | None
"""None: the command has printed what there was to say."""
