"""Commands of ``%oet`` and ``%%oet_procedure``: those of the command line, and further ones for notebooks.

Every command of ``oet`` is included as the same object; a new one needs no change here.
"""

from collections import ChainMap

import click

from oet_kernel.cli.grammar import TwoCalls, behind_dashes
from oet_kernel.cli.main import cli
from oet_kernel.cli.options import FREE, MoreOptions
from oet_kernel.cli.procedures import create
from oet_kernel.cli.results import Answer, Following
from oet_kernel.cli.run import run
from oet_kernel.formatting.documents import Document
from oet_kernel.magics.cells import store
from oet_kernel.magics.session import Session

_WAIT = "oet_kernel.magics.wait"
_VARIABLE = "oet_kernel.magics.variable"


class Notebook(MoreOptions, frozen=True, kw_only=True):
    """Object of the click contexts in a notebook."""

    session: Session
    cell: str = ""
    """Text below a cell magic."""


def notebook(session: Session, cell: str = "") -> Notebook:
    """Create the object of the click contexts of one magic."""
    wait = click.Option(
        ["--wait"],
        is_flag=True,
        expose_value=False,
        callback=_note_wait,
        help="Show events until the end (create: until READY) before the next cell; an interrupt stops the procedure.",
    )
    return Notebook(options=(wait,), session=session, cell=cell)


def _note_wait(context: click.Context, option: click.Parameter, given: bool) -> None:
    # a command that invokes another has several contexts
    context.meta[_WAIT] = given or waits(context)


def waits(context: click.Context) -> bool:
    """Return whether the user wants the cell to last as long as the work that it starts."""
    return bool(context.meta.get(_WAIT))


def variable(context: click.Context) -> str | None:
    """Return the name of the variable for the result, since a cell magic cannot follow ``=``."""
    name: str | None = context.meta.get(_VARIABLE)
    return name


@click.command()
@click.argument("url", required=False)
@click.option("--token", metavar="T", help="Token of the service; found by default for a service on this machine.")
@click.option("--ca", metavar="FILE", help="Authority (PEM) of the service's certificate.")
@click.option("--embedded", is_flag=True, help="Start a service that ends with this kernel.")
@click.option(
    "--cells",
    metavar="FOLDER",
    type=click.Path(file_okay=False),
    help="Folder for the scripts of %%oet_procedure; the service must be able to read the folder (--scripts-root).",
)
@click.pass_obj
def connect(
    front: Notebook, url: str | None, token: str | None, ca: str | None, embedded: bool, cells: str | None
) -> Answer:
    """Connect this notebook to the service at URL, or to the service that oet finds."""
    if embedded and (url or token or ca):
        raise click.UsageError("--embedded starts its own service; leave out URL, --token and --ca")
    session = front.session
    found = session.embed() if embedded else session.connect(url, token, ca)
    if cells:
        session.cells = click.types.Path(resolve_path=True, path_type=type(session.cells)).convert(cells, None, None)
    return Answer({"url": found}, Document([f"Connected to {found}"]))


@click.command("serve", add_help_option=False, context_settings=FREE)
def no_serve() -> None:
    """Not from a notebook: run oet serve in a terminal, or connect --embedded here."""
    raise click.UsageError(
        "serve is not available in a notebook; run oet serve in a terminal, or %oet connect --embedded here"
    )


@click.command("%%oet_procedure", cls=TwoCalls, context_settings={**FREE, **cli.context_settings})
@click.argument("name")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[INIT ARGUMENTS]... [-- MAIN ARGUMENTS...]")
@click.option("--run", "runs", is_flag=True, help="Start the procedure when it is READY.")
@click.pass_context
def oet_procedure(context: click.Context, name: str, words: tuple[str, ...], runs: bool) -> Following:
    """Create a procedure whose script is the cell, and assign its handle to the variable NAME.

    Further options are those of %oet create, or with --run of %oet run.
    """
    front: Notebook = context.obj
    path = store(front.session.cells, name, front.cell)
    context.meta[_VARIABLE] = name
    rest = [str(path), *words]
    if runs:
        rest += ["--", *behind_dashes(context)]
    elif behind_dashes(context):
        raise click.UsageError("Arguments after -- are for main, which is called only with --run; add --run")
    command = run if runs else create
    with command.make_context(command.name, rest, parent=context) as inner:
        following: Following = command.invoke(inner)
    return following


COMMANDS = click.Group(
    "%oet",
    commands=ChainMap({"serve": no_serve, "connect": connect}, cli.commands),
    params=cli.params,
    callback=cli.callback,
    help=cli.help,
    context_settings=cli.context_settings,
)
"""Command group of ``%oet``."""
