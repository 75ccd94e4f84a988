"""Tab offers what can stand there: states, topics, and a script's own options, as the help knows them."""

import os

import pytest
from click.shell_completion import ShellComplete

from oet_kernel.cli.main import cli
from tests.ipynb import notebook

SCRIPT = (
    "def init(subarray_id: int = 1, fields: int = 5, *scans, band='low', **more): ...\n"
    "def main(seconds: float = 1): ...\n"
)
PREFIXES = ["procedure", "procedure.cell", "procedure.cell.failed"]


@pytest.fixture
def complete(tmp_path, monkeypatch):
    """Complete the last word of a line, as a shell does."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "long.py").write_text(SCRIPT)
    (tmp_path / "broken.py").write_text("def init(")
    (tmp_path / "plain.py").write_text("import argparse\nprint('hi')\n")
    (tmp_path / "scan.ipynb").write_text(notebook(("parameters", "count: int = 3"), ("", "print(count)")))

    def ask(line):
        *words, last = line.split(" ")
        return [item.value for item in ShellComplete(cli, {}, "oet", "_OET_COMPLETE").get_completions(words, last)]

    return ask


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("history --state FA", ["FAILED"]),
        ("history --state=fa", ["FAILED"]),
        ("history --state FAILED,STO", ["FAILED,STOPPED"]),
        ("history --state COMPLETE,COM", []),
        ("history --state nonsense", []),
        ("listen --topics scan.lifecycle.st", ["scan.lifecycle.start"]),
        ("listen --exclude user,subarray.scan.f", ["user,subarray.scan.finished"]),
        ("events 3 --topics=al", ["all"]),
    ],
)
def test_states_and_topics(complete, line, offered):
    assert complete(line) == offered


def test_beginnings_of_topics_are_offered_too(complete):
    assert set(PREFIXES) <= set(complete("listen --topics proc"))


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("run long.py --fi", ["--fields"]),
        ("create long.py --fi", ["--fields"]),
        ("procedure create long.py --ba", ["--band"]),
        ("run long.py --fields=3 --fi", []),
        ("run long.py --own_folder --fi", ["--fields"]),
        ("run --git-repo x long.py --fi", ["--fields"]),
        ("run long.py -- --se", ["--seconds"]),
        ("run long.py --fields=3 -- --fi", []),
        ("create long.py -- --fi", ["--fields"]),
        ("run scan.ipynb --co", ["--count"]),
        ("run broken.py --fi", []),
        ("run plain.py --fi", []),
        ("run nowhere.py --fi", []),
        ("run git://x.py --fi", []),
        ("run --fi", []),
        ("run lo", ["long.py"]),
        ("run long.py -- lo", ["long.py"]),
    ],
)
def test_options_of_a_script(complete, line, offered):
    assert complete(line) == offered


def test_options_of_the_command_come_before_those_of_the_script(complete):
    offered = complete("run long.py --")
    assert {"--fields", "--subarray_id", "--band", "--git-repo", "--json"} <= set(offered)
    assert not {"--scans", "--more", "--seconds"} & set(offered)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("start PID --sec", ["--seconds"]),
        ("start --pid PID --sec", ["--seconds"]),
        ("start PID -- --sec", ["--seconds"]),
        ("procedure start PID --fi", []),
        ("start 1000000 --sec", []),
        ("--server-url http://127.0.0.1:1 start PID --sec", []),
    ],
)
def test_options_of_the_main_of_a_procedure(complete, served, line, offered):
    pid = served.create(SCRIPT)
    assert complete(line.replace("PID", str(pid))) == offered
    served.http.put(f"/procedures/{pid}", json={"state": "STOPPED"})


@pytest.mark.parametrize("line", ["run pipe.py --fi", "run . --fi"])
def test_completion_never_waits_for_what_is_no_file(complete, tmp_path, line):
    os.mkfifo(tmp_path / "pipe.py")
    assert complete(line) == []
