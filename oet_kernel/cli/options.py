"""What the commands have in common: the options, the client, printing, and errors without tracebacks."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from oet_kernel.client.errors import ApiError

F = TypeVar("F", bound=Callable[..., Any])

FREE = {"ignore_unknown_options": True, "allow_extra_args": True}
"""Context settings of commands whose further options are arguments of a script."""


class Failure(Exception):
    """Something that ends the command: a sentence on standard error, and a status that is not 0."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def explain(error: Exception) -> str:
    """Say what a client was told, in the words that users know."""
    if isinstance(error, ApiError):
        return f"Server encountered error {error.status}:\n  {error.type}: {error.message}"
    return str(error)


def with_service(command: F) -> F:
    """Add the options that say which service, and how to print."""
    for option in (
        click.option("--server-url", "--server_url", metavar="URL", help="API root of the service [env: OET_URL]."),
        click.option("--token", metavar="T", help="Token of the service [env: OET_TOKEN]."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ):
        command = option(command)
    return command


def truth(*names: str, default: bool, help: str) -> Callable[[F], F]:  # noqa: A002 - click's own name
    """Make an option that is given as ``--name``, ``--name=True`` or ``--name=False``."""
    dashed = [name.replace("_", "-") for name in names if "_" in name]
    return click.option(
        *names,
        *dashed,
        type=click.BOOL,
        is_flag=False,
        flag_value=True,
        default=default,
        show_default=True,
        metavar="[BOOL]",
        help=help,
    )


def print_json(value: Any) -> None:
    """Print one JSON document on one line."""
    click.echo(msgspec.json.encode(value))
