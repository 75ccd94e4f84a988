"""Tables of procedures and activities, as existing users know them; pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from tabulate import tabulate

from oet_kernel.models import ActivitySummary, GitScript, ProcedureState, ProcedureSummary

DETAILS = "For more details:- oet procedure describe --pid=<id>"
ACTIVITY_DETAILS = "For more details:- oet activity describe --aid=<id>"


def list_procedures(summaries: Sequence[ProcedureSummary]) -> str:
    """Tabulate procedures, a line each."""
    rows = [
        (one.id, one.script.script_uri, _second(one.history.process_states[0][1]), one.state.name) for one in summaries
    ]
    return _table(rows, ["ID", "Script", "Creation Time", "State"])


def describe_procedure(summary: ProcedureSummary) -> str:
    """Tell all about a procedure, table by table."""
    parts = [_table([(summary.id, summary.script.script_uri, summary.uri)], ["ID", "Script", "URI"])]
    parts.append(_table(_states(summary), ["Time", "State"]))
    calls = [
        (number, name, str(call.args), str(call.kwargs))
        for number, (name, call) in enumerate(summary.script_args.items(), 1)
    ]
    parts.append(_table(calls, ["Index", "Method", "Arguments", "Keyword Arguments"]))
    if isinstance(summary.script, GitScript):
        git = summary.script.git_args
        parts.append(_table([(git.git_repo, git.git_branch, git.git_commit)], ["Repository", "Branch", "Commit"]))
    if summary.history.stacktrace:
        parts.append(f"Stack Trace:\n------------\n{summary.history.stacktrace.rstrip()}")
    return "\n\n".join(parts)


def list_activities(summaries: Sequence[ActivitySummary]) -> str:
    """Tabulate activities, a line each."""
    rows = [
        (one.id, one.activity_name, one.sbd_id, _second(one.activity_states[0][1]), one.procedure_id, one.state.name)
        for one in summaries
    ]
    return _table(rows, ["ID", "Activity", "SBD ID", "Creation Time", "Procedure ID", "State"])


def describe_activity(summary: ActivitySummary) -> str:
    """Tell all about an activity, table by table."""
    head = (summary.id, summary.activity_name, summary.sbd_id, summary.sbi_id, summary.procedure_id, summary.uri)
    parts = [_table([head], ["ID", "Activity", "SBD ID", "SBI ID", "Procedure ID", "URI"])]
    parts.append(_table([(_microsecond(at), state.name) for state, at in summary.activity_states], ["Time", "State"]))
    calls = [
        (number, name, str(call.args), str(call.kwargs))
        for number, (name, call) in enumerate(summary.script_args.items(), 1)
    ]
    parts.append(_table(calls, ["Index", "Method", "Arguments", "Keyword Arguments"]))
    return "\n\n".join(parts)


def _states(summary: ProcedureSummary) -> list[tuple[str, str]]:
    """List times and states; a RUNNING has its number, as it has always had."""
    rows, runs = [], 0
    for state, at in summary.history.process_states:
        name = state.name
        if state is ProcedureState.RUNNING:
            runs += 1
            name = f"{name} {runs}"
        rows.append((_microsecond(at), name))
    return rows


def _table(rows: Sequence[tuple[object, ...]], headers: Sequence[str]) -> str:
    # numbers in a state or a path are text, and are not to be aligned or rewritten
    return str(
        tabulate(rows, headers=headers, tablefmt="simple", disable_numparse=[n for n in range(len(headers)) if n])
    )


def _second(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _microsecond(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
