"""Commands of the service, and bodies of requests."""

from typing import Annotated

from msgspec import Meta, Struct, field

from oet_kernel.bounds import PATTERN_CHARACTERS
from oet_kernel.models.calls import ProcedureInput, ScriptArgs
from oet_kernel.models.description import about
from oet_kernel.models.procedures import ProcedureId, ProcedureState
from oet_kernel.models.scripts import Script

USER = "X-OET-User"
"""Header with the name of the requester, percent-encoded."""

CheckpointPattern = Annotated[
    Annotated[str, Meta(extra_json_schema={"maxLength": PATTERN_CHARACTERS})] | None,
    about(
        "Pattern of the checkpoint's whole name, as for file names (`*`, `?`, `[2-9]`, `[!2-9]`); null for the next "
        "checkpoint, whatever its name.",
        examples=["scan *"],
    ),
]


class PrepareProcessCommand(Struct, frozen=True):
    """Load a script and call its ``init``."""

    script: Annotated[Script, about("Script to load.")]
    init_args: Annotated[ProcedureInput, about("Arguments of `init`.")] = field(default_factory=ProcedureInput)


class StartProcessCommand(Struct, frozen=True):
    """Call a function of a prepared script."""

    process_uid: ProcedureId
    fn_name: Annotated[str, about("Name of the function: `main`.")] = "main"
    run_args: Annotated[ProcedureInput, about("Arguments of the function.")] = field(default_factory=ProcedureInput)
    force_start: Annotated[bool, about("Start even if the subarray is busy.")] = False


class StopProcessCommand(Struct, frozen=True):
    """Stop a procedure."""

    process_uid: ProcedureId
    run_abort: Annotated[bool, about("Run the abort script on the procedure's subarray afterwards.")] = False


class PauseProcessCommand(Struct, frozen=True):
    """Pause a procedure at a checkpoint."""

    process_uid: ProcedureId
    at: CheckpointPattern = None


class ResumeProcessCommand(Struct, frozen=True):
    """Resume a procedure that is paused, or withdraw a requested pause."""

    process_uid: ProcedureId


class ActivityCommand(Struct, frozen=True, kw_only=True):
    """Run an activity of a scheduling block; body of ``POST /activities``."""

    sbd_id: Annotated[str, about("Id of the scheduling block definition in the archive.")]
    activity_name: Annotated[str, about("Name of the activity in the block.")]
    script_args: Annotated[
        dict[str, ProcedureInput], about("Arguments by function name; they override the block's, key by key.")
    ] = field(default_factory=dict)
    prepare_only: Annotated[bool, about("Prepare the procedure without starting it.")] = False
    create_env: Annotated[
        bool, about("Run the script in an environment of its own, even if the block does not ask for it.")
    ] = False


class PrepareRequest(Struct, frozen=True):
    """Body of ``POST /procedures``."""

    script: Annotated[Script, about("Script to load.")]
    script_args: Annotated[
        ScriptArgs,
        about("Arguments by function name; those of `main` are only checked, and must be given again with the start."),
    ] = field(default_factory=ScriptArgs)
    require_script: Annotated[
        bool,
        about(
            "Refuse the request (404, 403) if the script's file cannot be read, instead of creating a procedure that "
            "becomes FAILED."
        ),
    ] = False


class ProcedureUpdate(Struct, frozen=True):
    """Body of ``PUT /procedures/<id>``."""

    state: Annotated[
        ProcedureState | None, about("RUNNING to start it, STOPPED to stop it; any other, or null, changes nothing.")
    ] = None
    script_args: Annotated[ScriptArgs, about("Arguments of `main`, for a start.")] = field(default_factory=ScriptArgs)
    abort: Annotated[bool, about("Run the abort script on the procedure's subarray after a stop.")] = False


class PauseRequest(Struct, frozen=True):
    """Body of ``POST /procedures/<id>/pause``."""

    at: CheckpointPattern = None


class ControlUpdate(Struct, frozen=True, kw_only=True):
    """Acquire control of a kernel, or release it; body of ``PUT /procedures/<id>/kernel``."""

    control: Annotated[bool, about("True to acquire control, false to release it.")]
