"""Common options of the commands, and the error that ends a command."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem
from msgspec import Struct

from oet_kernel.client import ApiError, Client, ClientError
from oet_kernel.printable import has_controls, one_line
from oet_kernel.topics import TOPICS

if TYPE_CHECKING:
    from oet_kernel.client import AsyncClient

F = TypeVar("F", bound=Callable[..., Any])

_SERVICE = ("server_url", "token", "ca")
"""Names of the options of `with_service` that identify the service."""
_ID_DIGITS = 18
"""Maximum number of digits of an id, which a database stores in 64 bits."""
FREE = {"ignore_unknown_options": True, "allow_extra_args": True}
"""Context settings of commands whose further options are arguments of a script."""


class ServiceOptions(Struct, frozen=True):
    """Service of a command, as given by the user."""

    url: str | None = None
    """API root; None for that in the environment, or of the one service on this machine."""
    token: str | None = None
    ca: str | None = None
    """PEM file of the authority that issued its certificate; None for the default authorities."""

    def client(self, timeout: float = 90.0) -> Client:
        """Create a client of this service.

        Parameters
        ----------
        timeout
            Timeout of a reply in seconds.
        """
        return Client(self.url, self.token, timeout, ca=self.ca)

    def async_client(self) -> "AsyncClient":
        """Create an asynchronous client of this service."""
        from oet_kernel.client import AsyncClient

        return AsyncClient(self.url, self.token, ca=self.ca)


class MoreOptions(Struct, frozen=True):
    """Options that a front end adds to commands that follow a procedure; stored as the context's object."""

    options: Sequence[click.Parameter] = ()


class Follows(click.Command):
    """Command that follows a procedure; a notebook, unlike a terminal, need not wait for its end."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters and those of the front end."""
        front = ctx.find_object(MoreOptions)
        return [*super().get_params(ctx), *(front.options if front else ())]


class ServiceId(click.types.IntParamType):
    """Parameter type of ids of procedures or activities, with completion.

    Parameters
    ----------
    noun
        Noun for the identified thing.
    option
        Option for the id.
    listing
        Command that lists the ids.
    list_ids
        Requests the ids from a service, each with a short description.
    """

    def __init__(
        self, noun: str, option: str, listing: str, list_ids: Callable[[Client], Iterable[tuple[int, str]]]
    ) -> None:
        self.noun = noun
        self.option = option
        self._listing = listing
        self._list_ids = list_ids

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Convert an id, which must consist of decimal digits."""
        text = str(value)
        if not (text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS):
            what = (
                f"{text!r} is not a valid integer: the id of a {self.noun} is expected; {self._listing!r} shows the ids"
            )
            self.fail(what, param, ctx)
        return int(text)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the ids with this beginning; none if no service answers at once."""
        try:
            with _asking(ctx) as client:
                listed = list(self._list_ids(client))
        except ClientError:
            return []
        return offered((str(one), text) for one, text in listed if str(one).startswith(incomplete))


def _asking(ctx: click.Context) -> Client:
    """Create a client with a short timeout, for completions."""
    return ServiceOptions(*(_inherited(ctx, name, ctx.params.get(name)) for name in _SERVICE)).client(timeout=2.0)


def main_options(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the options of the ``main`` of the procedure to start; none if they are unknown.

    Parameters
    ----------
    ctx
        Context of a command with a procedure and the arguments of its main.
    incomplete
        Beginning of the options.
    """
    words = [word for word in ctx.params.get("words") or () if word.isdecimal()]
    named = ctx.params.get(PROCEDURE_ID.option) or (int(words[0]) if words else None)
    try:
        with _asking(ctx) as client:
            procedures = client.procedures() if named is None else [client.procedure(named)]
            schema = client.schema(procedures[-1].script.script_uri).main if procedures else None
    except ClientError:
        return []
    options = [f"--{name}" for name in (schema or {}).get("properties", {})]
    return [CompletionItem(option) for option in options if option.startswith(incomplete)]


def _procedures(client: Client) -> Iterator[tuple[int, str]]:
    return ((one.id, f"{one.state.name} {one.script.script_uri}") for one in client.procedures())


def _activities(client: Client) -> Iterator[tuple[int, str]]:
    return ((one.id, f"{one.state.name} {one.activity_name} on {one.sbd_id}") for one in client.activities())


def offered(values: Iterable[tuple[str, str | None]]) -> list[CompletionItem]:
    """Return completions with descriptions; a shell reads them line by line, and inserts them into the command line.

    Parameters
    ----------
    values
        Values and descriptions; values with control characters are left out.
    """
    return [
        CompletionItem(value, help=None if text is None else one_line(text))
        for value, text in values
        if not has_controls(value)
    ]


class StartWords(click.types.UnprocessedParamType):
    """Parameter type of a procedure and the arguments of its main, with completion of the id and the options."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the ids with this beginning if none is given yet; after ``--`` the options of main."""
        if incomplete.startswith("-"):
            return main_options(ctx, incomplete)
        given = ctx.params.get(param.name or "") or ctx.params.get(PROCEDURE_ID.option)
        return [] if given else PROCEDURE_ID.shell_complete(ctx, param, incomplete)


class CommaList(click.types.StringParamType):
    """Parameter type of names joined by commas, with completion.

    Parameters
    ----------
    names
        Returns the valid names.
    """

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._names = names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the completions of the last name, ignoring case, without the names before it."""
        before, comma, last = incomplete.rpartition(",")
        given = before.split(",")
        return [
            CompletionItem(f"{before}{comma}{name}")
            for name in self._names()
            if name.lower().startswith(last.lower()) and name not in given
        ]


def _topics() -> list[str]:
    """Return the topics of the catalogue, and their beginnings."""
    words = [topic.split(".") for topic in TOPICS]
    return sorted({"all", *(".".join(parts[:count]) for parts in words for count in range(1, len(parts) + 1))})


class ScriptWords(click.types.UnprocessedParamType):
    """Parameter type of a script and its arguments, with completion of paths and of options after ``--``."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the folders, scripts and notebooks with this beginning; after ``--`` options of the second call."""
        if incomplete.startswith("-"):
            from oet_kernel.cli.scripthelp import second_options  # which imports this module

            return second_options(ctx, incomplete)
        folder, slash, start = incomplete.rpartition("/")
        try:
            places = sorted(Path(folder + slash or ".").expanduser().iterdir())
        except OSError:
            return []
        return offered(
            (f"{folder}{slash}{place.name}{'/' if place.is_dir() else ''}", None)
            for place in places
            if place.name.startswith(start) and (start.startswith(".") or not place.name.startswith("."))
            if place.is_dir() or place.suffix in (".py", ".ipynb")
        )


PROCEDURE_ID = ServiceId("procedure", "pid", "oet list", _procedures)
ACTIVITY_ID = ServiceId("activity", "aid", "oet activity list", _activities)
SCRIPT_WORDS = ScriptWords()
TOPIC_LIST = CommaList(_topics)
START_WORDS = StartWords()


class Failure(Exception):
    """Error that ends the command, with a sentence on standard error and a non-zero status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def explain(error: Exception) -> str:
    """Return the message of a client's error, with the original's wording where users know it."""
    if isinstance(error, ApiError):
        return f"Server encountered error {error.status}:\n  {error.type}: {error.message}"
    return str(error)


def _inherited(context: click.Context, name: str, value: Any) -> Any:
    """Return an option's value, taken from the groups of the command if the command itself has none."""
    while not value and context.parent is not None:
        context = context.parent
        value = context.params.get(name)
    return value


def _from_groups(context: click.Context, option: click.Parameter, value: Any) -> Any:
    return _inherited(context, option.name or "", value)


def with_service(command: F) -> F:
    """Add the options for the service and for JSON output; a group's values apply to its commands.

    The command gets them as ``service`` and ``as_json``.
    """

    @wraps(command)
    def called(*args: Any, server_url: str | None, token: str | None, ca: str | None, **options: Any) -> Any:
        return command(*args, service=ServiceOptions(server_url, token, ca), **options)

    wrapped: Any = called
    for option in (
        click.option("--json", "as_json", is_flag=True, callback=_from_groups, help="Print JSON."),
        click.option(
            "--ca",
            metavar="FILE",
            callback=_from_groups,
            help="Authority (PEM) of the service's certificate [env: OET_CA, SSL_CERT_FILE].",
        ),
        click.option("--token", metavar="T", callback=_from_groups, help="Token of the service [env: OET_TOKEN]."),
        click.option(
            "--server-url",
            "--server_url",
            metavar="URL",
            callback=_from_groups,
            help="API root of the service [env: OET_URL].",
        ),
    ):
        wrapped = option(wrapped)
    return cast(F, wrapped)


def with_topics(command: F) -> F:
    """Add the options for topics to include and to exclude."""
    for option in (
        click.option(
            "--exclude",
            type=TOPIC_LIST,
            metavar="TEXT",
            default="request,procedure.pool",
            show_default=True,
            help="Topics, or beginnings of topics, to leave out, joined by commas.",
        ),
        click.option(
            "--topics",
            type=TOPIC_LIST,
            metavar="TEXT",
            default="all",
            show_default=True,
            help="Topics, or beginnings of topics, joined by commas.",
        ),
    ):
        command = option(command)
    return command


def split_topics(joined: str) -> tuple[str, ...]:
    """Split topics that are joined by commas."""
    return tuple(filter(None, joined.split(",")))


class ScriptOptions(Struct, frozen=True):
    """Options of a command about its script."""

    git_repo: str | None
    git_branch: str | None
    git_commit: str | None
    create_env: bool
    kernel: str | None
    own_folder: bool


def with_script(command: F) -> F:
    """Add the options for the source and the execution of a script; the command gets them as ``options``."""
    names = ScriptOptions.__struct_fields__

    @wraps(command)
    def called(*args: Any, **given: Any) -> Any:
        options = ScriptOptions(*(given.pop(name) for name in names))
        return command(*args, options=options, **given)

    wrapped: Any = called
    for option in (
        truth("--own_folder", default=False, help="Run in the script's folder instead of the current folder."),
        click.option("--kernel", metavar="NAME", help="Kernelspec for a notebook; default: the notebook's own."),
        truth("--create_env", default=False, help="Run in an environment built from the repository's dependencies."),
        click.option("--git-commit", "--git_commit", help="Commit; takes precedence over a branch."),
        click.option("--git-branch", "--git_branch", help="Branch or tag; default: the repository's default branch."),
        click.option("--git-repo", "--git_repo", help="Repository of a git:// script."),
    ):
        wrapped = option(wrapped)
    return cast(F, wrapped)


def truth(*names: str, default: bool, help: str) -> Callable[[F], F]:  # noqa: A002 - click's own name
    """Create an option that is given as ``--name``, ``--name=True`` or ``--name=False``."""
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
