"""``oet doctor``: check the state folder of a service."""

import sys
from pathlib import Path

import click
import msgspec

from oet_kernel.cli.options import Failure
from oet_kernel.cli.printing import print_json, say


@click.command()
@click.option(
    "--state-dir",
    "--state_dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="State folder [env: OET_STATE_DIR].",
)
@click.option("--fix", is_flag=True, help="Repair what is safe to repair; no service may be using the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(context: click.Context, state_dir: Path | None, fix: bool, as_json: bool) -> None:
    """Check the state folder, the procedures and the kernels on this machine; needs no service.

    The exit status is 0 without problems or after their repair, else 1.
    """
    if sys.platform != "linux":
        raise Failure(
            "oet doctor checks the state folder of a service, which needs Linux; run it on the service's machine"
        )
    # imported here, since other commands do not need it and must start fast
    from oet_kernel.maintenance.doctor import Doctor
    from oet_kernel.state.folder import usual_folder

    findings = Doctor((state_dir or usual_folder()).expanduser().absolute(), fix=fix).examine()
    if as_json:
        print_json(msgspec.to_builtins(findings))
    else:
        for one in findings:
            mark = "mended" if one.mended else "PROBLEM" if one.problem else "ok"
            remedy = f" -> {one.remedy}" if one.remedy and not one.mended else ""
            say(f"{mark:8} {one.about}: {one.text}{remedy}")
    context.exit(any(one.problem for one in findings))
