"""``oet activity``: run, list, describe."""

import click
import msgspec

from oet_kernel.cli.grammar import with_id
from oet_kernel.cli.options import ACTIVITY_ID, Failure, Follows, ServiceOptions, truth, with_service
from oet_kernel.cli.results import Answer, Begun, Following
from oet_kernel.client import Client
from oet_kernel.formatting import tables
from oet_kernel.models import ActivityCommand, ProcedureInput


@click.group()
@with_service
def activity(service: ServiceOptions, as_json: bool) -> None:
    """Run, list and describe the activities of scheduling blocks."""


@activity.command(cls=Follows)
@click.argument("name")
@click.argument("sbd_id")
@click.option(
    "--script-args",
    "--script_args",
    metavar="JSON",
    default="{}",
    help='Arguments by function name: {"main": {"args": [1]}}.',
)
@truth("--prepare_only", default=False, help="Prepare the procedure without starting it.")
@truth("--create_env", default=False, help="Run in an environment built from the repository's own dependencies.")
@truth("--listen", default=True, help="Print events until the procedure ends.")
@with_service
def run(
    name: str,
    sbd_id: str,
    script_args: str,
    prepare_only: bool,
    create_env: bool,
    listen: bool,
    service: ServiceOptions,
    as_json: bool,
) -> Following:
    """Run the activity NAME of the scheduling block SBD_ID."""
    try:
        calls = msgspec.json.decode(script_args, type=dict[str, ProcedureInput])
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--script-args is not valid: {error}; see oet activity run --help") from None
    command = ActivityCommand(
        sbd_id=sbd_id, activity_name=name, script_args=calls, prepare_only=prepare_only, create_env=create_env
    )

    def begin(client: Client) -> Begun:
        summary = client.run_activity(command)
        answer = Answer(summary, tables.list_activities([summary]), as_json)
        return Begun(client.procedure(summary.procedure_id), answer)

    stays = listen and not prepare_only
    return Following(service=service, begin=begin, stays=stays, as_json=as_json)


@activity.command("list")
@with_id(ACTIVITY_ID, "all")
@with_service
def list_(aid: int | None, service: ServiceOptions, as_json: bool) -> Answer:
    """List activities, in order of creation."""
    with service.client() as client:
        summaries = client.activities() if aid is None else [client.activity(aid)]
    return Answer(summaries, tables.list_activities(summaries), as_json)


@activity.command()
@with_id(ACTIVITY_ID, "the newest")
@with_service
def describe(aid: int | None, service: ServiceOptions, as_json: bool) -> Answer:
    """Show an activity: states, script, arguments."""
    with service.client() as client:
        if aid is None:
            summaries = client.activities()
            if not summaries:
                raise Failure("No activities exist; run one with 'oet activity run'")
            summary = summaries[-1]
        else:
            summary = client.activity(aid)
    return Answer(summary, tables.describe_activity(summary), as_json)
