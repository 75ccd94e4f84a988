"""A real IPython in this process, whose magics talk to a service in a process of its own."""

from typing import NamedTuple

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from tests.conftest import DEADLINE

NOTHING = "def init(**kwargs): pass\ndef main(*args, **kwargs): pass\n"
FOREVER = "import time\ndef init(**kwargs): pass\ndef main(): time.sleep(1000)\n"


class Ran(NamedTuple):
    """What became of a cell."""

    value: object
    error: BaseException | None
    out: str
    err: str
    shown: list[str]
    """What it displayed, as text."""


class Notebook:
    """Runs cells."""

    def __init__(self, shell, capsys, folder):
        self.shell = shell
        self.folder = folder
        self._capsys = capsys
        self._published = CapturingDisplayPublisher(shell=shell)
        shell.display_pub = self._published

    def __call__(self, source):
        """Run a cell."""
        self._published.outputs.clear()
        self._capsys.readouterr()
        result = self.shell.run_cell(source, store_history=True)
        out, err = self._capsys.readouterr()
        shown = [one["data"]["text/plain"] for one in self._published.outputs]
        return Ran(result.result, result.error_in_exec or result.error_before_exec, out, err, shown)

    def __getitem__(self, name):
        return self.shell.user_ns[name]

    def script(self, text, name="script.py"):
        """Write a script."""
        path = self.folder / name
        path.write_text(text)
        return path

    def ended(self, name):
        """Wait for the end of a procedure that a cell has assigned."""
        return self[name].wait(DEADLINE)


@pytest.fixture
def bare_shell(tmp_path, monkeypatch):
    """An IPython without the magics, which leaves nothing of the user's or the process's own changed."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    shell = InteractiveShell(config=config)
    yield shell
    shell.run_line_magic("unload_ext", "oet_kernel")
    shell.restore_sys_module_state()


@pytest.fixture
def served(server, monkeypatch):
    """The shared service, named in the environment as users do."""
    monkeypatch.setenv("OET_URL", server.url)
    monkeypatch.setenv("OET_TOKEN", server.token)
    return server


@pytest.fixture
def notebook(served, bare_shell, capsys, tmp_path):
    """An IPython with the magics."""
    bare_shell.run_line_magic("load_ext", "oet_kernel")
    return Notebook(bare_shell, capsys, tmp_path)
