"""Nothing that others wrote controls a terminal, by whatever way it gets there."""

import json
import logging
import re
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from hypothesis import given
from hypothesis import strategies as st
from tornado.log import LogFormatter

import oet_kernel
from oet_kernel.bounds import OutOfBounds, check_topic
from oet_kernel.cli.console import _shown
from oet_kernel.cli.main import cli
from oet_kernel.cli.main import main as cli_main
from oet_kernel.cli.options import offered
from oet_kernel.cli.printing import Printer, print_json
from oet_kernel.client import Client, ClientError, Event
from oet_kernel.errors import MalformedRequest
from oet_kernel.formatting.documents import Document, Table
from oet_kernel.magics.magic import RequestFailed
from oet_kernel.maintenance.doctor import Doctor
from oet_kernel.maintenance.findings import Finding
from oet_kernel.models import FileSystemScript, GitArgs, GitScript
from oet_kernel.printable import OutputText, has_controls, one_line, printable
from oet_kernel.server.assembly import script_sources
from oet_kernel.server.logs import Moderator
from tests.conftest import settings

CONTROLS = [
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil.test\x1b\\here\x1b]8;;\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1bP$q\x1b\\",
    "\x1b[2J",
    "\x1b[6n",
    "\x1b[?1049h",
    "\x1b[31;5H",
    "\x1b(0",
    "\x1bc",
    "\r",
    "\x08",
    "\x9b2J",
    "\x9d0;x\x9c",
    "\x7f",
    "\u202e",
    "\u2066",
]
"""Titles, links, clipboard, device control, screen, cursor, reports, character sets, overwriting, C1, direction."""
COLOUR = r"\x1b\[[0-9;:]*m"
FOUND = r"[^\n\t -~\xa0-\u061b\u061d-\u200d\u2010-\u2029\u202f-\u2065\u206a-\U0010ffff]"
PRINTS = r"click\.s?echo\(|\bprint\(|stdout\.write\(|stderr\.write\("


def controls(text):
    """List what controls a terminal in a text, but for lines, tabs and colours."""
    return re.findall(FOUND, re.sub(COLOUR, "", text))


def ran(capsys, *words):
    """Run a command line; gives its status and all that it has printed."""
    with pytest.raises(SystemExit) as ended:
        cli_main(list(words))
    out, err = capsys.readouterr()
    return ended.value.code, out + err


@pytest.fixture
def terminal(capsys, monkeypatch):
    """Have standard output and standard error be a terminal."""
    for kind in {type(sys.stdout), type(sys.stderr)}:
        monkeypatch.setattr(kind, "isatty", lambda stream: True)
    return capsys


def said(text, source="4", name="stdout"):
    return Event("procedure.output.stream", source, {"name": name, "text": text}, "1")


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


@pytest.mark.parametrize(
    ("text", "ended"), [("\x1b[31mred", True), ("\x1b[8mx\x1b[0m", False), ("\x1b[1mx\x1b[m", False)]
)
def test_colour_that_is_left_on_ends_with_the_text(text, ended):
    assert printable(text) == (f"{text}\x1b[0m" if ended else text)


@given(st.text())
def test_nothing_but_lines_tabs_and_colours_is_left(text):
    shown = printable(text)
    assert printable(shown) == shown
    assert not any(letter in shown for letter in "\r\x07\x08\x7f\x9b\u202e")
    assert not has_controls(one_line(text))


# --- what a script writes


@pytest.mark.parametrize("text", [one for one in CONTROLS if one not in ("\r", "\x08")])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_output_of_a_script_controls_no_terminal(terminal, text, name):
    printer = Printer(as_json=False)
    for piece in f"a{text}b\n":
        printer.event(said(piece, name=name))
    shown = "".join(terminal.readouterr())
    assert controls(shown) == []
    assert shown == f"a{printable(text)}b\n"


@pytest.mark.parametrize("text", ["\x1b[31mred\x1b[0m\n", "\r10%\r20%\n", "|\b/\n", "\r\x1b[K50%\n", "a\tb\n"])
def test_script_has_its_colours_and_may_rewrite_its_own_line(terminal, text):
    printer = Printer(as_json=False)
    for piece in text:
        printer.event(said(piece))
    assert terminal.readouterr().out == text


def test_output_to_a_file_is_as_it_was_written(capsys):
    Printer(as_json=False).event(said("a\x1b]0;x\x07\r\n"))
    assert capsys.readouterr().out == "a\x1b]0;x\x07\r\n"


def test_mark_of_a_procedure_is_not_overwritten(terminal):
    printer = Printer(as_json=False, marks=True)
    printer.event(said("ready\r[7] gone\b\b\b\b\n"))
    assert terminal.readouterr().out == "[4] ready\r[4] [7] gone" + "\\x08" * 4 + "\n"


def test_colour_of_a_script_does_not_hide_what_others_say(terminal):
    printer = Printer(as_json=False)
    printer.event(said("\x1b[8mhidden\n"))
    printer.line("Procedure 4 has failed")
    assert terminal.readouterr().out == "\x1b[8mhidden\n\x1b[0mProcedure 4 has failed\n"


@given(st.lists(st.text(st.sampled_from("a\n\r\b\x1b[];0m1K\x07\x9b"), max_size=6), max_size=6))
def test_pieces_of_output_are_shown_as_the_whole_is(pieces):
    output = OutputText()
    shown = "".join(map(output.take, pieces))
    assert shown == OutputText().take("".join(pieces))
    rest = re.sub(r"\x1b\[[0-9;:]{0,32}m|\x1b\[0?K", "", shown)
    assert not set(rest) & set("\x1b\x07\x9b")


# --- what quotes it


@pytest.mark.parametrize("text", CONTROLS)
def test_usage_errors_control_no_terminal(capsys, text):
    commands = [[f"no{text}such"], ["describe", f"--pid={text}"], ["list", f"--x{text}"], ["run", "x.py", f"--={text}"]]
    for words in commands:
        status, said = ran(capsys, *words)
        assert status == 2
        assert controls(said) == []


@pytest.mark.parametrize("text", CONTROLS)
def test_refusals_of_a_service_control_no_terminal(capsys, monkeypatch, text):
    def refuse(*args, **kwargs):
        raise ClientError(f"it says {text}!")

    for name in ("procedures", "kernel", "stop"):
        monkeypatch.setattr(Client, name, refuse)
    for words in (["list"], ["attach", "3"], ["stop", "3"]):
        status, said = ran(capsys, "--server-url=http://127.0.0.1:9/oet", *words)
        assert status == 1
        assert "it says" in said
        assert controls(said) == []
    assert controls("".join(RequestFailed(text)._render_traceback_())) == []


@pytest.mark.parametrize("text", CONTROLS)
def test_findings_of_the_doctor_control_no_terminal(capsys, monkeypatch, tmp_path, text):
    found = Finding(about="leftovers", text=f"x{text}", problem=True, remedy=f"rm {text}")
    monkeypatch.setattr(Doctor, "examine", lambda self: [found])
    status, said = ran(capsys, "doctor", f"--state-dir={tmp_path}")
    assert status == 1
    assert controls(said) == []
    status, said = ran(capsys, "doctor", f"--state-dir={tmp_path}", "--json")
    assert not has_controls(said.rstrip("\n"))
    assert json.loads(said)[0]["text"] == f"x{text}"


@pytest.mark.parametrize("text", CONTROLS)
def test_json_controls_no_terminal_and_says_the_same(capsys, text):
    print_json({text: [f"é{text}"]})
    shown = capsys.readouterr().out
    assert not has_controls(shown.rstrip("\n"))
    assert "é" in shown
    assert json.loads(shown) == {text: [f"é{text}"]}


@pytest.mark.parametrize("text", CONTROLS)
def test_help_of_a_script_controls_no_terminal(capsys, tmp_path, text):
    (tmp_path / "x.py").write_text(f"{text!r}\ndef main(a={text!r}): ...\n")
    status, said = ran(capsys, "run", str(tmp_path / "x.py"), "--help")
    assert status == 0
    assert "Arguments of main" in said
    assert controls(said) == []


@pytest.mark.parametrize("text", [*CONTROLS, "\n", "\t"])
def test_completions_are_one_line_each_without_what_controls_a_terminal(text):
    (item,) = offered([(f"x{text}", "id"), ("3", f"READY {text}")])
    assert item.value == "3"
    assert not has_controls(item.help)


@pytest.mark.parametrize("text", [*CONTROLS, "\n1$(touch x)\n"])
def test_completed_options_of_a_script_are_one_line_each(tmp_path, text):
    (tmp_path / "x.py").write_text(f"def init(a={text!r}): ...\ndef main(): ...\n")
    completing = ShellComplete(cli, {}, "oet", "_OET_COMPLETE")
    (item,) = [one for one in completing.get_completions(["run", str(tmp_path / "x.py")], "--") if one.value == "--a"]
    assert not has_controls(item.help)


@pytest.mark.parametrize("text", CONTROLS)
def test_lines_of_the_service_s_log_control_no_terminal(text):
    try:
        raise ValueError(text)
    except ValueError:
        record = logging.LogRecord("oet", logging.ERROR, __file__, 1, "procedure %s", (text,), sys.exc_info())
    assert Moderator().filter(record)
    assert controls(LogFormatter(color=False).format(record)) == []
    assert controls(logging.Formatter().format(record)) == []


@pytest.mark.parametrize("text", [one for one in CONTROLS if one not in ("\r", "\x08")])
def test_messages_of_a_kernel_control_no_terminal_of_a_console(text):
    content = {"text": text, "traceback": [text], "data": {"text/plain": text}, "n": 1, "metadata": {}}
    shown = _shown(content)
    assert controls(shown["text"] + shown["traceback"][0] + shown["data"]["text/plain"]) == []
    assert shown["n"] == 1


def test_one_place_prints_for_all_commands():
    """What goes around it is not escaped."""
    package = Path(oet_kernel.__file__).parent
    printing = package / "cli" / "printing.py"
    around = [
        str(path.relative_to(package))
        for folder in ("cli", "magics")
        for path in (package / folder).glob("*.py")
        if path != printing and re.search(PRINTS, path.read_text())
    ]
    assert around == []


# --- the door


@pytest.mark.parametrize("text", [*CONTROLS, "\n", "\nplain,1$(touch x)\tx", "\0", "\u2028"])
@pytest.mark.parametrize("kind", ["file", "git"])
def test_address_of_a_script_with_control_characters_is_refused(tmp_path, text, kind):
    sources = script_sources(settings(tmp_path))
    script = FileSystemScript(script_uri=f"file:///x{text}.py")
    if kind == "git":
        script = GitScript(script_uri=f"git://x{text}.py", git_args=GitArgs(git_repo="https://example.org/x.git"))
    with pytest.raises(MalformedRequest):
        sources.admit(script)


@pytest.mark.parametrize("text", [*CONTROLS, "\n", "\0", "\u2028"])
@pytest.mark.parametrize(
    "given",
    [
        lambda text: FileSystemScript(script_uri="file:///x.ipynb", kernel=f"x{text}"),
        lambda text: FileSystemScript(script_uri="file:///x.py", working_folder=f"/x{text}"),
        lambda text: GitScript(script_uri="git://x.py", git_args=GitArgs(git_repo=f"https://example.org/{text}x.git")),
        lambda text: GitScript(
            script_uri="git://x.py", git_args=GitArgs(git_repo="https://example.org/x.git", git_branch=f"x{text}y")
        ),
        lambda text: GitScript(
            script_uri="git://x.py", git_args=GitArgs(git_repo="https://example.org/x.git", git_commit=f"x{text}y")
        ),
    ],
    ids=["kernel", "folder", "repository", "branch", "commit"],
)
def test_names_with_control_characters_are_refused(tmp_path, text, given):
    sources = script_sources(settings(tmp_path))
    with pytest.raises(MalformedRequest) as refused:
        sources.admit(given(text))
    assert controls(str(refused.value)) == []


@pytest.mark.parametrize("text", [*CONTROLS, "\n", "\0", "\u2028"])
def test_topic_with_control_characters_is_refused(text):
    with pytest.raises(OutOfBounds) as refused:
        check_topic(f"user.x{text}y")
    assert controls(str(refused.value)) == []
