"""What the commands have in common: their options, and the error that ends one."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

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


def _inherited(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """Take from the groups that a command stands in what was not given to the command itself."""
    while not value and context.parent is not None:
        context = context.parent
        value = context.params.get(option.name or "")
    return value


def with_service(command: F) -> F:
    """Add the options that say which service, and how to print; a group's hold for the commands in it."""
    for option in (
        click.option("--json", "as_json", is_flag=True, callback=_inherited, help="Print JSON."),
        click.option("--token", metavar="T", callback=_inherited, help="Token of the service [env: OET_TOKEN]."),
        click.option(
            "--server-url",
            "--server_url",
            metavar="URL",
            callback=_inherited,
            help="API root of the service [env: OET_URL].",
        ),
    ):
        command = option(command)
    return command


def with_git(command: F) -> F:
    """Add the options that say which version of which repository a script comes from."""
    for option in (
        truth("--create_env", default=False, help="Run in an environment built from the repository's dependencies."),
        click.option("--git-commit", "--git_commit", help="Commit; wins over a branch."),
        click.option("--git-branch", "--git_branch", help="Branch; without it the default branch."),
        click.option("--git-repo", "--git_repo", help="Repository of a git:// script."),
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
