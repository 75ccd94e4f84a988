"""Tables of procedures and activities, in the layout of the original. Pure functions."""

from collections.abc import Sequence

from oet_kernel.formatting.documents import Document, State, Table
from oet_kernel.formatting.times import duration, moment
from oet_kernel.models import ActivitySummary, GitScript, ProcedureState, ProcedureSummary

_DETAILS = " For more details:- oet procedure describe --pid=<id>"
_ACTIVITY_DETAILS = (
    " For details on activity:- oet activity describe --aid=<ID>\n"
    " For details on script execution:- oet procedure describe --pid=<Procedure ID>"
)
_ACTIVITY_SCRIPT = (
    "For details on script execution related to the activity\nuse `oet procedure` commands with the Procedure ID"
)


def list_procedures(summaries: Sequence[ProcedureSummary]) -> Document:
    """Return a table of procedures, with a hint on further details."""
    rows = [
        (one.id, one.script.script_uri, _created(one.history.process_states), State(one.standing)) for one in summaries
    ]
    table = Table(["ID", "Script", "Creation Time", "State"], rows)
    return Document([table, _DETAILS] if rows else [table], "\n")


def list_history(summaries: Sequence[ProcedureSummary], more: bool, now: float) -> Document:
    """Return a table of procedures and their durations, with hints on further procedures and details.

    Parameters
    ----------
    summaries
        Procedures, the newest first.
    more
        Whether there are older procedures.
    now
        Present time in Unix seconds.
    """
    rows = [
        (
            one.id,
            one.script.script_uri,
            _created(one.history.process_states),
            State(one.standing),
            _ran(one.history.process_states, now),
            one.requested_by.get("start") or one.requested_by.get("create", ""),
        )
        for one in summaries
    ]
    parts: list[Table | str] = [Table(["ID", "Script", "Creation Time", "State", "Ran", "By"], rows)]
    if more:
        parts.append(
            " There are more: raise --limit, or say which ones by --state, --script, --subarray, --since, --until"
        )
    return Document([*parts, _DETAILS] if rows else parts, "\n")


def describe_procedure(summary: ProcedureSummary) -> Document:
    """Return all details of a procedure as tables."""
    parts: list[Table | str] = [
        Table(["ID", "Script", "URI"], [(summary.id, summary.script.script_uri, summary.uri)]),
        Table(["Time", "State"], _states(summary)),
    ]
    calls = [
        (number, name, str(call.args), str(call.kwargs))
        for number, (name, call) in enumerate(summary.script_args.items(), 1)
    ]
    parts.append(Table(["Index", "Method", "Arguments", "Keyword Arguments"], calls))
    if isinstance(summary.script, GitScript):
        git = summary.script.git_args
        parts.append(Table(["Repository", "Branch", "Commit"], [(git.git_repo, git.git_branch, git.git_commit)]))
    if summary.script.kernel is not None:
        parts.append(f"Kernel: {summary.script.kernel}")
    if summary.script.own_folder:
        parts.append("Working folder: the script's own")
    if summary.script.working_folder is not None:
        parts.append(f"Working folder: {summary.script.working_folder}")
    if summary.requested_by:
        parts.append(Table(["Request", "By"], list(summary.requested_by.items())))
    if summary.pause is not None:
        who = f" by {summary.pause.who}" if summary.pause.who is not None else ""
        parts.append(f"Pause: {summary.pause}, asked for at {moment(summary.pause.asked, 6)}{who}")
    if summary.returned is not None:
        parts.append(f"Returned ({summary.returned.type}): {summary.returned}")
    if summary.history.stacktrace:
        parts.append(f"Stack Trace:\n------------\n{summary.history.stacktrace.rstrip()}")
    return Document(parts)


def list_activities(summaries: Sequence[ActivitySummary]) -> Document:
    """Return a table of activities, with a hint on further details."""
    rows = [
        (
            one.id,
            one.activity_name,
            one.sbd_id,
            _created(one.activity_states),
            one.procedure_id,
            State(one.state.name),
        )
        for one in summaries
    ]
    table = Table(["ID", "Activity", "SB ID", "Creation Time", "Procedure ID", "State"], rows)
    return Document([table, _ACTIVITY_DETAILS] if rows else [table], "\n")


def describe_activity(summary: ActivitySummary) -> Document:
    """Return all details of an activity as tables."""
    state = State(summary.state.name)
    head = (summary.id, summary.activity_name, summary.sbd_id, summary.sbi_id, summary.procedure_id, state)
    calls = [(name, str(call.args), str(call.kwargs)) for name, call in summary.script_args.items()]
    states = [(moment(at, 6), State(state.name)) for state, at in summary.activity_states]
    return Document(
        [
            Table(["ID", "Activity", "SB ID", "SBI ID", "Procedure ID", "State"], [head]),
            Table(["URI", "Prepare Only"], [(summary.uri, str(summary.prepare_only))]),
            Table(["Time", "State"], states),
            "Script Arguments\n-----------------------",
            Table(["Method", "Arguments", "Keyword Arguments"], calls),
            _ACTIVITY_SCRIPT,
        ]
    )


def _states(summary: ProcedureSummary) -> list[tuple[str, State]]:
    """Return times and states; RUNNING is followed by its number, as in the original."""
    rows, runs = [], 0
    for state, at in summary.history.process_states:
        name = state.name
        if state is ProcedureState.RUNNING:
            runs += 1
            name = f"{name} {runs}"
        rows.append((moment(at, 6), State(name)))
    return rows


def _ran(states: Sequence[tuple[ProcedureState, float]], now: float) -> str:
    """Return the duration of ``main`` so far; empty if it never ran."""
    times = [at for _, at in states] + [now]
    runs = [times[number + 1] - at for number, (state, at) in enumerate(states) if state is ProcedureState.RUNNING]
    return duration(sum(runs)) if runs else ""


def _created(states: Sequence[tuple[object, float]]) -> str:
    """Return the time of the first state, to the second."""
    return moment(states[0][1]) if states else ""
