"""Help shows what a script takes; no other command pays for it."""

import subprocess
import sys

import pytest

from tests.ipynb import TEXT, notebook

SCRIPT = '''"""Observe a block.

Use it so:

    oet run observe.py --sb=x
"""
from enum import Enum
from typing import Literal


class Band(Enum):
    LOW = 1
    MID = 2


def init(subarray_id: int, sb: "str | None" = None, /, *scans: str, band: Band = Band.LOW, **limits: float):
    """Read the block.

    Parameters
    ----------
    subarray_id
        Which subarray.
    *scans
        Which scans.
    """


def main(mode: Literal["fast", "slow"] = "fast", other=1):
    """Observe it."""
'''
COMMANDS = (["run"], ["procedure", "create"], ["create"])


@pytest.fixture
def script(tmp_path, monkeypatch):
    path = tmp_path / "observe.py"
    path.write_text(SCRIPT)
    monkeypatch.setenv("COLUMNS", "100")
    return path


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_describes_the_script_and_its_arguments(oet, script, command):
    result = oet(*command, str(script), "--help")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith(f"Usage: oet {' '.join(command)} "), "the command's own help comes first"
    ours = result.out[result.out.index("Script ") :]
    assert ours.splitlines() == [
        f"Script {script}:",
        "  Observe a block.",
        "",
        "  Use it so:",
        "",
        "      oet run observe.py --sb=x",
        "",
        "Arguments of init:",
        "  Read the block.",
        "  SUBARRAY_ID int  Which subarray.  [required]",
        "  SB str | None    [default: None]",
        "  [SCANS]... str   Which scans.",
        "  --band Band      [one of LOW, MID]  [default: Band.LOW]",
        "  --ANY float",
        "",
        "Arguments of main:",
        "  Observe it.",
        "  --mode Literal['fast', 'slow']  [default: 'fast']",
        "  --other                         [default: 1]",
    ]


@pytest.mark.parametrize(
    "words", [["--help", "{}"], ["-h", "{}"], ["--json", "{}", "x", "--a=1", "--help"], ["{}", "-h"]]
)
def test_help_finds_the_script_wherever_it_stands(oet, script, words):
    result = oet("run", *(word.format(script) for word in words))
    assert "Arguments of main:" in result.out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_without_a_script_is_the_commands_own(oet, command):
    result = oet(*command, "--help")
    assert (result.status, result.err) == (0, "")
    assert "Script " not in result.out.split("Options:")[1]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("gone.py", None, "cannot be read here: No such file or directory"),
        ("broken.py", "x = 1\ndef main(:\n", "cannot be run: line 2: SyntaxError"),
        ("broken.ipynb", "{}", "cannot be run: this is no notebook"),
        ("any.ipynb", notebook((TEXT, "# Scan it"), ("", "1")), "Scan it Arguments of init: --ANY"),
        ("some.ipynb", notebook(("parameters", "n: int = 1  # how many")), "--n int how many [default: 1]"),
        ("bare.py", "def main(): pass\n", "None."),
        ("open.py", "from common import main\n", "Not known: main is imported (common.main)"),
    ],
)
def test_script_of_which_little_can_be_said(oet, tmp_path, name, text, says):
    if text is not None:
        (tmp_path / name).write_text(text)
    result = oet("run", (tmp_path / name).as_uri(), "--help")
    assert result.status == 0
    assert says in " ".join(result.out.split())


def test_script_in_a_git_repository_is_not_fetched_for_help(oet):
    said = " ".join(oet("create", "git://x.py", "--git-repo=nowhere", "--help").out.split())
    assert "the script is in a git repository" in said


def test_other_commands_do_not_load_what_reads_scripts():
    code = (
        "import sys, oet_kernel.cli; print([m for m in sys.modules if 'docstring' in m or 'oet_kernel.scripts' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
