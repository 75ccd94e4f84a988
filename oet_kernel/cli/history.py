"""``oet history`` and ``oet events``: past procedures, and their events."""

import time
from collections.abc import Sequence

import click

from oet_kernel.cli.grammar import with_id
from oet_kernel.cli.options import PROCEDURE_ID, CommaList, ServiceOptions, split_topics, with_service, with_topics
from oet_kernel.cli.results import Answer, Said
from oet_kernel.formatting import tables
from oet_kernel.formatting.times import read_when
from oet_kernel.models import ProcedureState


def _when(context: click.Context, option: click.Parameter, given: str | None) -> float | None:
    """Convert a point in time to Unix seconds."""
    try:
        return None if given is None else read_when(given, time.time())
    except (ValueError, OverflowError):
        wanted = "2026-11-25 or 2026-11-25T06:30 (UTC), or an age: 30m, 2h, 3d, 1w"
        raise click.BadParameter(f"{given!r} is not a valid time; write {wanted}", context, option) from None


def _states(context: click.Context, option: click.Parameter, given: str) -> tuple[ProcedureState, ...]:
    """Convert names of states, joined by commas."""
    names = [name.strip().upper() for name in given.split(",") if name.strip()]
    if unknown := [name for name in names if name not in ProcedureState.__members__]:
        known = ", ".join(ProcedureState.__members__)
        raise click.BadParameter(f"{unknown[0]!r} is not a valid state; the states are {known}", context, option)
    return tuple(ProcedureState[name] for name in names)


@click.command()
@click.option(
    "--state",
    "states",
    type=CommaList(lambda: ProcedureState.__members__),
    callback=_states,
    default="",
    metavar="STATES",
    help="States, joined by commas: FAILED,STOPPED.",
)
@click.option("--script", metavar="TEXT", help="Part of the script's URI.")
@click.option("--subarray", type=int, metavar="N", help="Subarray of the procedures.")
@click.option(
    "--since",
    callback=_when,
    metavar="WHEN",
    help="Created at or after a time, 2026-11-25T06:30 (UTC), or an age, 2h, 3d, 1w.",
)
@click.option("--until", callback=_when, metavar="WHEN", help="Created before a time or an age.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Maximum number of procedures.")
@with_service
def history(
    states: Sequence[ProcedureState],
    script: str | None,
    subarray: int | None,
    since: float | None,
    until: float | None,
    limit: int,
    service: ServiceOptions,
    as_json: bool,
) -> Answer:
    """List procedures from the archive, the newest first; also those that 'oet list' no longer shows."""
    with service.client() as client:
        summaries = list(client.archive(states, script, subarray, since, until, limit + 1))
    shown, more = summaries[:limit], len(summaries) > limit
    return Answer(shown, tables.list_history(shown, more, time.time()), as_json)


@click.command()
@with_id(PROCEDURE_ID, None)
@with_topics
@with_service
def events(pid: int, topics: str, exclude: str, service: ServiceOptions, as_json: bool) -> Said:
    """Print the past events of the procedure PID, which may have ended long ago."""
    return Said(
        service=service,
        pid=pid,
        topics=split_topics(topics),
        exclude=split_topics(exclude),
        as_json=as_json,
    )
