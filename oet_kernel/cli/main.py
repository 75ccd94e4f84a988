"""Command ``oet``."""

import sys
from collections.abc import Sequence
from io import StringIO, TextIOWrapper

import click

from oet_kernel._version import __version__
from oet_kernel.cli.activities import activity
from oet_kernel.cli.attach import attach
from oet_kernel.cli.doctor import doctor
from oet_kernel.cli.history import events, history
from oet_kernel.cli.options import Failure, Follows, ServiceOptions, explain, split_topics, with_service, with_topics
from oet_kernel.cli.printing import say
from oet_kernel.cli.procedures import create, describe, list_, pause, procedure, resume, start, stop
from oet_kernel.cli.records import record
from oet_kernel.cli.results import Listening
from oet_kernel.cli.run import run
from oet_kernel.cli.streams import cannot_write, open_missing
from oet_kernel.cli.terminal import present
from oet_kernel.client.errors import ClientError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="oet")
@with_service
def cli(service: ServiceOptions, as_json: bool) -> None:
    """Prepare, run, watch and stop observing scripts, each in a Jupyter kernel of its own."""


@cli.command(cls=Follows)
@with_topics
@with_service
def listen(topics: str, exclude: str, service: ServiceOptions, as_json: bool) -> Listening:
    """Print events as they happen, until Ctrl-C."""
    return Listening(
        service=service,
        topics=split_topics(topics),
        exclude=split_topics(exclude),
        as_json=as_json,
    )


@cli.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def serve(context: click.Context, options: tuple[str, ...]) -> None:
    """Run the service; oet serve --help lists its options.

    The usual ones: --ip --port --token --insecure-no-token --scripts-root --abort-script --archive --state-dir.
    """
    if context.parent is not None and any(context.parent.params.values()):
        raise click.UsageError("Give the options of a service after serve: oet serve --token=...")
    from oet_kernel.server.entry import main as serve_main

    serve_main(list(options))


cli.add_command(procedure)
cli.add_command(activity)
cli.add_command(run)
cli.add_command(record)
cli.add_command(history)
cli.add_command(events)
cli.add_command(doctor)
cli.add_command(attach)
for short in (create, list_, start, pause, resume, stop, describe):
    cli.add_command(short)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command line, and exit with its status, never with a traceback.

    Parameters
    ----------
    argv
        Words after ``oet``; None for those of the process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    open_missing()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # any text of a script can be printed in any locale
    try:
        try:
            status = _carry_out(words)
        finally:
            sys.stdout.flush()
    except OSError as error:
        status = cannot_write(error)
    sys.exit(status)


def _carry_out(words: list[str]) -> int:
    """Run a command line, and print its error if there is one; return its status."""
    try:
        if unreadable := [word for word in words if not _has_utf8(word)]:
            raise click.UsageError(f"{unreadable[0]!r} is not UTF-8 text")
        result = cli.main(words, prog_name="oet", standalone_mode=False)
        status = result if isinstance(result, int) else present(result)  # an int is the status of a command's Exit
    except click.ClickException as error:
        said = StringIO()
        error.show(said)
        say(said.getvalue().rstrip("\n"), err=True)
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        status = 130
    except Failure as error:
        say(str(error), err=True)
        status = error.status
    except ClientError as error:
        say(explain(error), err=True)
        status = 1
    return status


def _has_utf8(word: str) -> bool:
    """Return whether a word of the command line was valid UTF-8: other bytes become lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in word)
