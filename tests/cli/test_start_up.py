"""The command starts fast: it imports no server, no kernel and no IPython."""

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import entry_points

HEAVY = (
    "IPython", "ipykernel", "jupyter_server", "jupyter_client", "tornado", "traitlets", "zmq", "pubsub", "git", "yaml",
    "asyncio.unix_events", "sqlalchemy", "numpy",
)  # fmt: skip
LIST = f"""
import json, sys
from oet_kernel.cli.main import main
try:
    main(["procedure", "list", "--json"])
finally:
    print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""


def test_list_imports_no_server_and_no_ipython(served):
    done = subprocess.run([sys.executable, "-c", LIST], capture_output=True, text=True, timeout=60, check=True)
    procedures, heavy = done.stdout.splitlines()
    assert isinstance(json.loads(procedures), list), "it has done its work"
    assert json.loads(heavy) == []


def test_ctrl_c_while_the_command_is_imported_ends_it_without_a_word(tmp_path):
    """A module that the command needs presses Ctrl-C as it is imported."""
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, "-m", "oet_kernel.cli.entry", "list"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_the_installed_command_is_this_one():
    (command,) = entry_points(group="console_scripts", name="oet")
    assert command.value == "oet_kernel.cli.entry:main"


def test_ctrl_c_before_the_command_takes_one_or_behind_it_shows_no_traceback():
    code = """
import oet_kernel.cli.main as command

def main():
    raise KeyboardInterrupt

command.main = main
from oet_kernel.cli.entry import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
