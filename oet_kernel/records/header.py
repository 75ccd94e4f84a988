"""Heading of a record, with the facts of the run, and the table of its states at the end; pure."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from msgspec import Struct
from msgspec.structs import replace

from oet_kernel.formatting.python_call import call
from oet_kernel.formatting.times import moment
from oet_kernel.models import DONE, FileSystemScript, ProcedureSummary, Script
from oet_kernel.records.html import code, table
from oet_kernel.scripts.addresses import parse


class About(Struct, frozen=True, kw_only=True):
    """Facts for the record of a run that are not in its events."""

    service: str | None = None
    """Name and version of the service; None to leave them out."""
    events: str = "the service's archive"
    """Place of all events of the procedure, named where the record leaves some out."""


def heading(summary: ProcedureSummary, loaded: Mapping[str, Any], environment: Mapping[str, Any], about: About) -> str:
    """Create the heading of a record: script, user, host, environment, times and outcome.

    Parameters
    ----------
    summary
        Summary of the procedure.
    loaded, environment
        The kernel's facts about the script and its environment; empty where they are missing.
    about
        Further facts.

    Returns
    -------
    str
        Markdown.
    """
    script = summary.script
    states = summary.history.process_states
    rows = [("Script", code(script.script_uri))]
    if not isinstance(script, FileSystemScript):
        rows.append(("Repository", code(script.git_args.git_repo)))
        if script.git_args.git_branch:
            rows.append(("Branch", code(script.git_args.git_branch)))
    commit = loaded.get("commit") or (None if isinstance(script, FileSystemScript) else script.git_args.git_commit)
    packages = environment.get("packages")
    if not isinstance(packages, dict):
        packages = {}
    known = {
        "Git commit": commit,
        "SHA-256 of the source": loaded.get("sha256"),
        **{f"{DONE[name].capitalize()} by": one for name, one in summary.requested_by.items()},
        "Run by": environment.get("user"),
        "Host": environment.get("host"),
        "Python": environment.get("python"),
        "Packages": ", ".join(f"{name} {version or '(no version)'}" for name, version in packages.items()),
        "Service": about.service,
    }
    rows += [(f"<code>{name}</code>", code(call(name, one))) for name, one in summary.script_args.items()]
    if states:
        rows.append(("Created", f"{moment(states[0][1], 3)} UTC"))
        last = f"{moment(states[-1][1], 3)} UTC, after {states[-1][1] - states[0][1]:.3f} s"
        rows.append(("Ended" if summary.state.inactive else "Until now", f"{summary.state.name}, {last}"))
    rows += [(name, code(str(value))) for name, value in known.items() if value]
    if summary.history.stacktrace:
        rows.append(("Error", code(summary.history.stacktrace.rstrip().rpartition("\n")[2])))
    title = code(unquote(script.script_uri.rpartition("/")[2]).replace("\n", " "))
    return f"# Procedure {summary.id}: {title} {summary.state.name}\n\n{table((), rows)}"


def public(script: Script) -> Script:
    """Remove the credentials from a repository's address, since records are passed on."""
    if isinstance(script, FileSystemScript):
        return script
    return replace(script, git_args=replace(script.git_args, git_repo=parse(script.git_args.git_repo).shown))


def states_table(summary: ProcedureSummary) -> str:
    """Return the table of the states that a procedure has entered, with the seconds in each."""
    states = summary.history.process_states
    rows = []
    for (state, at), (_, until) in zip(states, [*states[1:], (None, None)], strict=True):
        rows.append((moment(at, 3), state.name, "" if until is None else f"{until - at:.3f}"))
    return f"## States\n\n{table(('Time (UTC)', 'State', 'Seconds'), rows)}"
