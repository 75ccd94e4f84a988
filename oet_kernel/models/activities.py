"""States and summaries of activities."""

from enum import Enum
from typing import Annotated

from msgspec import Struct

from oet_kernel.models.calls import ProcedureInput
from oet_kernel.models.description import about
from oet_kernel.models.procedures import ProcedureId


class ActivityState(Enum):
    """State of an activity."""

    REQUESTED = "REQUESTED"
    """Its procedure is being prepared."""
    PREPARED = "PREPARED"
    """Its procedure is READY."""
    RUNNING = "RUNNING"
    """Its procedure is running."""
    COMPLETE = "COMPLETE"
    """Its procedure is COMPLETE."""
    FAILED = "FAILED"
    """Its procedure is FAILED."""
    STOPPED = "STOPPED"
    """Its procedure is STOPPED."""


class ActivitySummary(Struct, frozen=True, kw_only=True):
    """Activity as sent to clients."""

    id: Annotated[int, about("Id of the activity, counted from 1 and never reused.", minimum=1)]
    uri: Annotated[str, about("Absolute URL of the activity.", format="uri")]
    activity_name: Annotated[str, about("Name of the activity in the block.")]
    sbd_id: Annotated[str, about("Id of the scheduling block definition in the archive.")]
    sbi_id: Annotated[str, about("Id of the block instance that the archive recorded for this execution.")]
    procedure_id: ProcedureId
    prepare_only: Annotated[bool, about("True if its procedure is prepared without being started.")]
    script_args: Annotated[dict[str, ProcedureInput], about("Arguments of its procedure, by function name.")]
    activity_states: Annotated[
        list[tuple[ActivityState, float]], about("Each state entered and its time (Unix seconds, UTC), in order.")
    ]
    state: Annotated[ActivityState, about("Present state.")]
