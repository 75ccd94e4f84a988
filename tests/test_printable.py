"""Nothing that others wrote controls a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.cli.documents import Document, Table
from oet_kernel.cli.printing import Printer
from oet_kernel.errors import MalformedRequest
from oet_kernel.models import FileSystemScript, GitArgs, GitScript
from oet_kernel.printable import has_controls, printable
from oet_kernel.scripts.sources import ScriptSources

CONTROLS = [
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b[2J",
    "\x1bc",
    "\r",
    "\x08",
    "\x9b2J",
    "\x9d0;x\x9c",
    "\x7f",
    "\u202e",
    "\u2066",
]


@pytest.mark.parametrize("text", CONTROLS)
def test_control_characters_are_shown_as_escapes(text, capsys):
    assert not has_controls(printable(text))
    Printer(as_json=False).line(f"a{text}b")
    print(Document([Table(["x"], [[f"a{text}b"]]), f"a{text}b"]))  # noqa: T201
    assert not has_controls(capsys.readouterr().out.replace("\n", ""))


@pytest.mark.parametrize(
    "text", ["", "plain", "lines\nand\ttabs\n", "\x1b[31mred\x1b[0m", "\x1b[38;2;1;2;3mx\x1b[m", "ø 日本"]
)
def test_lines_tabs_and_colours_stay(text):
    assert printable(text) == text


@given(st.text())
def test_nothing_but_lines_tabs_and_colours_is_left(text):
    shown = printable(text)
    assert printable(shown) == shown
    assert not any(letter in shown for letter in "\r\x07\x08\x7f\x9b\u202e")


@pytest.mark.parametrize("text", [*CONTROLS, "\n", "\nplain,1$(touch x)\tx", "\0", "\u2028"])
@pytest.mark.parametrize("kind", ["file", "git"])
def test_address_of_a_script_with_control_characters_is_refused(tmp_path, text, kind):
    sources = ScriptSources(tmp_path, [], git_deadline=1, environment_deadline=1, keep=1)
    script = FileSystemScript(script_uri=f"file:///x{text}.py")
    if kind == "git":
        script = GitScript(script_uri=f"git://x{text}.py", git_args=GitArgs(git_repo="https://example.org/x.git"))
    with pytest.raises(MalformedRequest):
        sources.admit(script)
