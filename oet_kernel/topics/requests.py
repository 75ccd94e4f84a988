"""Requests to the service."""

from typing import Annotated

from oet_kernel.models.commands import (
    ActivityCommand,
    PauseProcessCommand,
    PrepareProcessCommand,
    ResumeProcessCommand,
    StartProcessCommand,
    StopProcessCommand,
)
from oet_kernel.models.description import about
from oet_kernel.topics import names
from oet_kernel.topics.data import RequestData


class CreationRequested(RequestData, frozen=True, kw_only=True, tag=names.REQUEST_CREATE):
    """The creation of a procedure is requested."""

    cmd: Annotated[PrepareProcessCommand, about("Script, and arguments of `init`.")]


class StartRequested(RequestData, frozen=True, kw_only=True, tag=names.REQUEST_START):
    """The start of a procedure is requested."""

    cmd: Annotated[StartProcessCommand, about("Procedure, function and its arguments.")]


class StopRequested(RequestData, frozen=True, kw_only=True, tag=names.REQUEST_STOP):
    """The stop of a procedure is requested."""

    cmd: Annotated[StopProcessCommand, about("Procedure, and whether to run the abort script.")]


class PauseRequested(RequestData, frozen=True, kw_only=True, tag=names.REQUEST_PAUSE):
    """The pause of a procedure is requested."""

    cmd: Annotated[PauseProcessCommand, about("Procedure and checkpoint.")]


class ResumptionRequested(RequestData, frozen=True, kw_only=True, tag=names.REQUEST_RESUME):
    """The end of a procedure's pause is requested."""

    cmd: Annotated[ResumeProcessCommand, about("Procedure.")]


class ProceduresRequested(RequestData, frozen=True, kw_only=True, tag=names.REQUEST_LIST):
    """Summaries of procedures are requested; only if `OetApp.announce_lists` is set."""

    pids: Annotated[list[int] | None, about("Ids of procedures; null for all that are listed.")]


class ActivityRequested(RequestData, frozen=True, kw_only=True, tag=names.REQUEST_ACTIVITY_RUN):
    """The run of an activity is requested."""

    cmd: Annotated[ActivityCommand, about("Activity, and its scheduling block.")]


class ActivitiesRequested(RequestData, frozen=True, kw_only=True, tag=names.REQUEST_ACTIVITY_LIST):
    """Summaries of activities are requested; only if `OetApp.announce_lists` is set."""

    activity_ids: Annotated[list[int] | None, about("Ids of activities; null for all that are listed.")]
