"""``oet record``: record of a run, as a file."""

import sys
import webbrowser
from pathlib import Path

import click

from oet_kernel.cli.grammar import with_id
from oet_kernel.cli.options import PROCEDURE_ID, Failure, ServiceOptions, with_service
from oet_kernel.cli.printing import print_json, say
from oet_kernel.cli.procedures import newest


@click.command()
@with_id(PROCEDURE_ID, "the newest")
@click.option("--html", "as_html", is_flag=True, help="Write a self-contained HTML page instead of a notebook.")
@click.option("-o", "--output", metavar="FILE", help="File to write; - for standard output.")
@click.option("--open", "show", is_flag=True, help="Write the page, and open the page in a browser.")
@with_service
def record(
    pid: int | None,
    as_html: bool,
    output: str | None,
    show: bool,
    service: ServiceOptions,
    as_json: bool,
) -> None:
    """Write the record of procedure PID: an executed notebook with its calls, output and events.

    The record of a running procedure holds its output up to now. The default file is procedure-PID.ipynb in the
    current folder.
    """
    if show and output == "-":
        raise click.UsageError("--open needs a file; leave out -o -")
    kind = "html" if as_html or show else "ipynb"
    with service.client() as client:
        if pid is None:
            pid = newest(client).id
            say(f"[record of procedure {pid}, the newest]", err=True)
        data = client.record(pid, kind)
    if output == "-":
        if sys.stdout.isatty():
            say(data.decode())
        else:
            sys.stdout.buffer.write(data)
        return
    path = Path(output or f"procedure-{pid}.{kind}")
    try:
        path.write_bytes(data)
    except OSError as error:
        raise Failure(f"Cannot write the record to {path}: {error.strerror}; name another file with -o") from None
    if as_json:
        print_json({"record": str(path)})
    else:
        say(str(path))
    if show and not webbrowser.open(path.resolve().as_uri()):
        say("No browser was found; open the file above in a browser", err=True)
