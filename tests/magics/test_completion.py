"""Completion offers what can stand there: commands, options, ids of procedures, paths of scripts."""

import pytest
from IPython.core.completer import provisionalcompleter

from tests.magics.conftest import NOTHING


@pytest.fixture
def complete(notebook, monkeypatch):
    """Complete a cell at its end, as a notebook does; gives the lines that could come of it."""
    monkeypatch.chdir(notebook.folder)
    notebook.shell.Completer.use_jedi = False

    def ask(cell):
        with provisionalcompleter():
            found = list(notebook.shell.Completer.completions(cell, len(cell)))
        return [cell[: one.start] + one.text for one in found]

    return ask


@pytest.mark.parametrize(
    ("typed", "among", "alone"),
    [
        ("%oet li", ["%oet list", "%oet listen"], True),
        ("run = %oet ru", ["run = %oet run"], True),
        ("%oet conn", ["%oet connect"], True),
        ("%oet ", ["%oet run", "%oet stop", "%oet connect", "%oet activity"], False),
        ("%oet procedure st", ["%oet procedure start", "%oet procedure stop"], True),
        ("%oet connect --em", ["%oet connect --embedded"], True),
        ("%oet stop --run", ["%oet stop --run_abort", "%oet stop --run-abort"], True),
        ("%oet run x.py --wa", ["%oet run x.py --wait"], True),
        ("%oet run x.py --git-r", ["%oet run x.py --git-repo"], True),
        ("%%oet_procedure made --ru", ["%%oet_procedure made --run"], False),
        ("%oet list --server-url=http://127.0.0.1:1 --pid ", [], False),
        ("%oet nonsense ", [], False),
    ],
)
def test_commands_and_options(complete, typed, among, alone):
    offered = complete(typed)
    assert set(among) <= set(offered)
    if alone:
        assert sorted(offered) == sorted(among)


def test_paths_of_scripts_and_folders(complete, notebook):
    (notebook.folder / "observing").mkdir()
    for name in ("observe.py", "observe.ipynb", "observe.txt", "other.py", ".observe.py", "observing/deep.py"):
        (notebook.folder / name).write_text("")
    names = ["observe.ipynb", "observe.py", "observing/"]
    assert sorted(complete("%oet run obs")) == [f"%oet run {name}" for name in names]
    assert complete("%oet create --subarray_id=2 observing/") == ["%oet create --subarray_id=2 observing/deep.py"]
    assert complete("%oet run nowhere/") == []


@pytest.mark.parametrize("start", ["%oet stop --pid ", "%oet stop --pid=", "%oet describe --pid ", "%oet start --pid="])
def test_ids_of_procedures(complete, notebook, start):
    notebook(f"made = %oet create {notebook.script(NOTHING)} --wait")
    assert f"{start}{notebook['made'].id}" in complete(start)
    notebook["made"].stop()


@pytest.mark.parametrize("typed", ["x = 'unrelated", "oet ru", "%oetru", "# %oeta ru"])
def test_other_cells_are_left_alone(complete, typed):
    assert not [one for one in complete(typed) if one.endswith((" run", "oetrun"))]
