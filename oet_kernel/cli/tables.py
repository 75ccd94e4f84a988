"""Tables of procedures and activities, as existing users know them; pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from tabulate import tabulate

from oet_kernel.cli.printing import coloured
from oet_kernel.models import ActivitySummary, GitScript, ProcedureState, ProcedureSummary

_DETAILS = " For more details:- oet procedure describe --pid=<id>"
_ACTIVITY_DETAILS = (
    " For details on activity:- oet activity describe --aid=<ID>\n"
    " For details on script execution:- oet procedure describe --pid=<Procedure ID>"
)
_ACTIVITY_SCRIPT = (
    "For details on script execution related to the activity\nuse `oet procedure` commands with the Procedure ID"
)


def list_procedures(summaries: Sequence[ProcedureSummary]) -> str:
    """Tabulate procedures, a line each, and say where there is more."""
    rows = [
        (one.id, one.script.script_uri, _second(one.history.process_states), coloured(one.state.name))
        for one in summaries
    ]
    table = _table(rows, ["ID", "Script", "Creation Time", "State"])
    return f"{table}\n{_DETAILS}" if rows else table


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
    """Tabulate activities, a line each, and say where there is more."""
    rows = [
        (
            one.id,
            one.activity_name,
            one.sbd_id,
            _second(one.activity_states),
            one.procedure_id,
            coloured(one.state.name),
        )
        for one in summaries
    ]
    table = _table(rows, ["ID", "Activity", "SB ID", "Creation Time", "Procedure ID", "State"])
    return f"{table}\n{_ACTIVITY_DETAILS}" if rows else table


def describe_activity(summary: ActivitySummary) -> str:
    """Tell all about an activity, table by table."""
    state = coloured(summary.state.name)
    head = (summary.id, summary.activity_name, summary.sbd_id, summary.sbi_id, summary.procedure_id, state)
    calls = [(name, str(call.args), str(call.kwargs)) for name, call in summary.script_args.items()]
    return "\n\n".join(
        [
            _table([head], ["ID", "Activity", "SB ID", "SBI ID", "Procedure ID", "State"]),
            _table([(summary.uri, str(summary.prepare_only))], ["URI", "Prepare Only"]),
            _table(
                [(_microsecond(at), coloured(state.name)) for state, at in summary.activity_states], ["Time", "State"]
            ),
            "Script Arguments\n-----------------------",
            _table(calls, ["Method", "Arguments", "Keyword Arguments"]),
            _ACTIVITY_SCRIPT,
        ]
    )


def _states(summary: ProcedureSummary) -> list[tuple[str, str]]:
    """List times and states; a RUNNING has its number, as it has always had."""
    rows, runs = [], 0
    for state, at in summary.history.process_states:
        name = state.name
        if state is ProcedureState.RUNNING:
            runs += 1
            name = f"{name} {runs}"
        rows.append((_microsecond(at), coloured(name)))
    return rows


def _table(rows: Sequence[tuple[object, ...]], headers: Sequence[str]) -> str:
    # numbers in a name or a path are text, and are not to be aligned or rewritten
    text = [column for column in range(len(headers)) if not all(isinstance(row[column], int) for row in rows)]
    return str(tabulate(rows, headers=headers, tablefmt="simple", disable_numparse=text))


def _second(states: Sequence[tuple[object, float]]) -> str:
    """Give the time of the first state, to the second."""
    return datetime.fromtimestamp(states[0][1], UTC).strftime("%Y-%m-%d %H:%M:%S") if states else ""


def _microsecond(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
