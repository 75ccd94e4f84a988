"""A script that has left something at work is known."""

import subprocess
import sys

import pytest

HEAD = """\
import subprocess, sys, threading
from oet_kernel.kernel.background_work import at_work
before = threading.enumerate()
"""
THREAD = "gate = threading.Event()\nthread = threading.Thread(target=gate.wait, name={name!r})\nthread.start()\n"
PROCESS = "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
SAY = "print(at_work(before))\n"


def said(code: str) -> str:
    """Run code in a process of its own, which has no threads and no children."""
    return subprocess.run([sys.executable, "-c", HEAD + code], text=True, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("code", "answers"),
    [
        (SAY, ["False"]),
        (THREAD.format(name="scan") + SAY + "gate.set()\nthread.join()\n" + SAY, ["True", "False"]),
        (THREAD.format(name="oet-events") + SAY + "gate.set()\n", ["False"]),
        (PROCESS + SAY + "child.communicate(b'\\n')\n" + SAY, ["True", "False"]),
    ],
    ids=["nothing", "thread", "thread of the kernel itself", "process"],
)
def test_what_a_script_has_left_is_at_work_until_it_ends(code, answers):
    assert said(code).split() == answers
