"""Vocabulary of the project: procedure states, scripts, commands, histories, summaries.

Typed immutable records, with the same meaning in the service, on the wire and in the clients; the description of each
field is part of its type. Names of classes and fields are those of the original Observation Execution Tool.
"""

from oet_kernel.models.activities import ActivityState, ActivitySummary
from oet_kernel.models.calls import FunctionName, ProcedureInput, ScriptArgs, Typed, subarray_id_of
from oet_kernel.models.commands import (
    USER,
    ActivityCommand,
    ControlUpdate,
    PauseProcessCommand,
    PauseRequest,
    PrepareProcessCommand,
    PrepareRequest,
    ProcedureUpdate,
    ResumeProcessCommand,
    StartProcessCommand,
    StopProcessCommand,
)
from oet_kernel.models.encoding import to_json
from oet_kernel.models.kernels import Connection, KernelInfo
from oet_kernel.models.procedures import (
    DONE,
    INACTIVE,
    Pause,
    ProcedureHistory,
    ProcedureState,
    ProcedureSummary,
    RequestName,
    Returned,
)
from oet_kernel.models.scripts import (
    FileSystemScript,
    GitArgs,
    GitScript,
    ListedScript,
    Script,
    ScriptList,
    ScriptSchema,
)

__all__ = [
    "DONE",
    "INACTIVE",
    "USER",
    "ActivityCommand",
    "ActivityState",
    "ActivitySummary",
    "Connection",
    "ControlUpdate",
    "FileSystemScript",
    "FunctionName",
    "GitArgs",
    "GitScript",
    "KernelInfo",
    "ListedScript",
    "Pause",
    "PauseProcessCommand",
    "PauseRequest",
    "PrepareProcessCommand",
    "PrepareRequest",
    "ProcedureHistory",
    "ProcedureInput",
    "ProcedureState",
    "ProcedureSummary",
    "ProcedureUpdate",
    "RequestName",
    "ResumeProcessCommand",
    "Returned",
    "Script",
    "ScriptArgs",
    "ScriptList",
    "ScriptSchema",
    "StartProcessCommand",
    "StopProcessCommand",
    "Typed",
    "subarray_id_of",
    "to_json",
]
