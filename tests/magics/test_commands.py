"""There is one definition of the commands: what the command line has, the magics have."""

import click
import pytest

from oet_kernel.cli.main import cli
from oet_kernel.magics.commands import COMMANDS, notebook, oet_procedure, waits
from oet_kernel.magics.session import Session

NOT_IN_A_NOTEBOOK = {"serve"}
SETTINGS = cli.context_settings
"""As in every real context: a command keeps the names of its help option from its first one."""


def walk(group, path=()):
    """List all commands below a group, with their paths."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from walk(command, (*path, name))


def find(group, path):
    """Give the command of a path."""
    for name in path:
        group = group.commands[name]
    return group


@pytest.fixture
def session(bare_shell):
    made = Session(bare_shell)
    yield made
    made.close()


EVERY = [pytest.param(path, command, id=" ".join(path)) for path, command in walk(cli)]


@pytest.mark.parametrize(("path", "command"), EVERY)
def test_every_command_is_the_same_object_behind_the_magic(path, command):
    if path[0] not in NOT_IN_A_NOTEBOOK:
        assert find(COMMANDS, path) is command


@pytest.mark.parametrize(("path", "command"), EVERY)
def test_every_option_is_offered_behind_the_magic(session, path, command):
    if path[0] in NOT_IN_A_NOTEBOOK:
        return
    context = command.make_context(path[-1], [], obj=notebook(session), resilient_parsing=True, **SETTINGS)
    offered = [name for one in find(COMMANDS, path).get_params(context) for name in one.opts]
    terminal = command.make_context(path[-1], [], resilient_parsing=True, **SETTINGS)
    assert [name for one in command.get_params(terminal) for name in one.opts] == [
        name for name in offered if name != "--wait"
    ]


def test_a_command_that_is_added_to_the_command_line_is_there_at_once(monkeypatch):
    @click.command()
    def later():
        """Added by somebody else."""

    monkeypatch.setitem(cli.commands, "later", later)
    assert COMMANDS.get_command(click.Context(COMMANDS), "later") is later
    assert "later" in COMMANDS.list_commands(click.Context(COMMANDS))


def test_only_a_notebook_can_do_otherwise_than_wait(session):
    run = cli.commands["run"]
    words = ["x.py", "--wait"]
    assert run.make_context("run", list(words), **SETTINGS).params["words"] == ("x.py", "--wait"), "for the script"
    context = run.make_context("run", list(words), obj=notebook(session), **SETTINGS)
    assert context.params["words"] == ("x.py",)
    assert waits(context)
    assert not waits(run.make_context("run", ["x.py"], obj=notebook(session), **SETTINGS))


@pytest.mark.parametrize("words", [["n", "--wait", "--run"], ["n", "--run", "--wait"], ["n", "--wait"]])
def test_a_cell_waits_wherever_the_option_stands(session, words, tmp_path):
    session.cells = tmp_path
    with oet_procedure.make_context("%%oet_procedure", words, obj=notebook(session, "def main(): pass\n")) as context:
        oet_procedure.invoke(context)
    assert waits(context)
