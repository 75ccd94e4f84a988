"""Examples of the documentation, and a newcomer who tries them: shell commands, Python cells, files to save."""

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import httpx
import nbclient
import nbformat

from oet_kernel.client import Client
from oet_kernel.models import ProcedureState
from tests.conftest import DEADLINE

ROOT = Path(__file__).parents[1]
LANGUAGES = frozenset({"sh", "console", "python"})
"""Languages of blocks that are tried; all others show a file or an output."""
_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n\s*)?^(?P<indent> *)```(?P<language>[\w{}-]*)\n(?P<text>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
_FILE = re.compile(r"# (?P<name>[\w-]+\.py)\n")
"""First line of a Python block that is a file to save, and no cell."""
_ENDLESS = re.compile(r"(timeout \S+ )?(curl -N|oet listen)\b")
_PREPARING = {ProcedureState[name] for name in ("CREATING", "IDLE", "PREP_ENV", "LOADING", "INITIALISING")}
_PREPARED = [state for state in ProcedureState if state not in _PREPARING]
_MARK = "---- done:"


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    reason: str | None
    """Why it is not run, from the comment before it; None where it is run."""


def blocks(page):
    """List the fenced blocks of a page."""
    found = []
    for one in _BLOCK.finditer(page):
        lines = [line.removeprefix(one["indent"]) for line in one["text"].splitlines(keepends=True)]
        found.append(Block(one["language"], "".join(lines), one["reason"]))
    return found


def commands(block):
    """List the commands of a shell block: with its continued lines and here-documents, without remarks.

    Of a console block these are the lines behind a ``$``; the others show output.
    """
    lines = block.text.splitlines()
    if block.language == "console":
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    found = []
    while lines:
        line = lines.pop(0).partition("  #")[0].rstrip()
        while line.endswith("\\"):
            line = f"{line}\n{lines.pop(0)}"
        if here := re.search(r"<<'?(\w+)", line):
            body = []
            while not body or body[-1] != here[1]:
                body.append(lines.pop(0))
            line = "\n".join([line, *body])
        if line.strip() and not line.startswith("#"):
            found.append(line)
    return found


class Newcomer:
    """Tries what a page says, in a home without anything; the first service that the page starts is the page's.

    Parameters
    ----------
    home
        An empty folder.
    folder
        The folder in which the page is followed.
    """

    def __init__(self, home, folder):
        self.folder = folder
        self._home = home
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OET_", "XDG_"))}
        self._environ = {
            **inherited,
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "BROWSER": "true",
        }
        self._left = ExitStack()
        self._cells = None
        self.url = None

    def __enter__(self):
        self._shell = subprocess.Popen(
            ["bash"], cwd=self.folder, env={**self._environ, "OET_TOKEN": "secret"}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._left.callback(self._end_shell)
        return self

    def __exit__(self, *exc_info):
        self._left.close()

    def try_page(self, page):
        """Run all blocks of a page, one behind the other, but for those that say why they are not run."""
        for block in blocks(page):
            if block.reason is not None or block.language not in LANGUAGES:
                continue
            if block.language != "python":
                for command in commands(block):
                    self.run(command)
            elif named := _FILE.match(block.text):
                (self.folder / named["name"]).write_text(block.text)
                compile(block.text, named["name"], "exec")
            else:
                self.cell(block.text)

    def run(self, command):
        """Run a command in the page's shell; its output.

        Procedures are given the time that a newcomer takes to type: they are READY first.
        """
        self.settle()
        if re.match(r"(\w+=\S+ )*(oet serve|jupyter (oet|server))\b(?!.*--help)", command):
            self.serve(command)
            return ""
        command = command.replace("http://localhost:5000/api/v1.0", str(self.url).rstrip("/"))
        endless = bool(_ENDLESS.match(command))
        if endless:
            command = f"timeout --signal=INT --kill-after={DEADLINE:g} 2 {command}"
        status, output = self._in_shell(command)
        ended = status in (0, 124, 130) if endless else status == 0
        assert ended, f"{command}\n{output}"
        assert not command.startswith("curl") or '"error":' not in output, f"{command}\n{output}"
        return output

    def cell(self, source):
        """Run a cell of the page's notebook."""
        self.settle()
        if self._cells is None:
            book = nbformat.v4.new_notebook(
                metadata={"kernelspec": {"name": "python3", "language": "python", "display_name": "Python"}}
            )
            self._cells = nbclient.NotebookClient(book, timeout=DEADLINE)
            self._left.enter_context(self._cells.setup_kernel(env=self._environ, cwd=str(self.folder)))
        self._cells.nb.cells.append(nbformat.v4.new_code_cell(source))
        self._cells.execute_cell(self._cells.nb.cells[-1], len(self._cells.nb.cells) - 1)

    def states(self):
        """List the states of all procedures of the page's service, in order of creation."""
        with Client(str(self.url), "secret") as client:
            return [one.state.name for one in client.archive()][::-1]

    def settle(self):
        """Wait until no procedure is being prepared."""
        if self.url is None:
            return
        with Client(str(self.url), "secret") as client:
            for one in client.procedures():
                if one.state in _PREPARING:
                    client.wait(one.id, *_PREPARED)

    def _in_shell(self, command):
        killer = threading.Timer(DEADLINE, os.killpg, (self._shell.pid, signal.SIGKILL))
        killer.start()
        try:
            self._shell.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n{_MARK}%d\\n' $?\n")
            self._shell.stdin.flush()
            output = []
            for line in self._shell.stdout:
                if line.startswith(_MARK):
                    return int(line.removeprefix(_MARK)), "".join(output)
                output.append(line)
        finally:
            killer.cancel()
        raise AssertionError(f"{command}\n{''.join(output)}\ndid not end within {DEADLINE:g} s")

    def serve(self, command):
        """Run a command that starts a service: the page's, or a further one, which ends at once."""
        command = re.sub(r"--port[ =]\d+", "--port=0", re.sub(r"OET_PORT=\d+", "OET_PORT=0", command))
        if self.url is None:
            process, self.url = self._serving(f"{command} --token=secret --port=0 --OetApp.detach=False", {})
            self._left.callback(_end, process)
            return
        if command.startswith("jupyter server") and os.getuid() == 0:
            command += " --allow-root"
        elif "PORT" not in command and "--port" not in command:
            command += " --port=0"
        process, url = self._serving(command, {"OET_STATE_DIR": str(self._home / "another state folder")})
        try:
            assert httpx.get(url, timeout=DEADLINE).status_code < 500
        finally:
            _end(process)

    def _serving(self, command, environ):
        """Start a service, and wait until it says where it is; the process and the address."""
        process = subprocess.Popen(
            ["sh", "-c", f"exec env {command}"], cwd=self.folder, env={**self._environ, **environ}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        killer = threading.Timer(DEADLINE, process.kill)
        killer.start()
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"(?:OET API at|App\]) (http\S*)$", line):
                killer.cancel()
                _drain(process)
                return process, found[1]
        killer.cancel()
        process.wait(DEADLINE)
        raise AssertionError(f"{command}\n{''.join(said)}")

    def _end_shell(self):
        self._shell.stdin.close()
        self._shell.wait(DEADLINE)
        self._shell.stdout.close()


def _drain(process):
    """Read what a service writes, so that it never waits for a reader."""

    def read():
        with process.stdout:
            process.stdout.read()

    threading.Thread(target=read, daemon=True).start()


def _end(process):
    process.terminate()
    try:
        process.wait(DEADLINE)
    finally:
        process.kill()
