"""``oet attach``: a console on a terminal, words elsewhere."""

import json
import os
import sys

import pexpect
import pytest

from oet_kernel.client._address import own_name as who
from tests.conftest import DEADLINE

COUNTS = (
    "import time\ncounter = 41\ndef init(**kwargs): pass\n"
    "def main():\n    while True:\n        print('tick')\n        time.sleep(0.2)\n"
)


@pytest.fixture
def ready(served):
    pid = served.create(COUNTS, subarray_id=8400)
    served.until(pid, "READY")
    yield pid
    served.http.put(f"/procedures/{pid}", json={"state": "STOPPED"})


def test_what_is_no_terminal_is_told_how_to_attach(oet, ready):
    done = oet("attach", str(ready))
    assert done.status == 0
    assert f"Procedure {ready} is READY; its kernel is read-only" in done.out
    assert '"signature_scheme": "hmac-sha256"' in done.out
    assert "jupyter console --existing FILE" in done.out


def test_json_is_what_the_service_says(oet, ready, served):
    done = oet("attach", str(ready), "--json")
    assert json.loads(done.out) == served.http.get(f"/procedures/{ready}/kernel").json()["kernel"]


def test_control_that_is_taken_from_no_terminal_stays_until_it_is_released(oet, ready):
    assert f"{who()} has control" in oet("attach", str(ready), "--control").out
    assert oet("attach", str(ready), "--release").out == (f"Control of procedure {ready} is free ({who()} had it).\n")
    assert oet("attach", str(ready), "--release").out == f"Control of procedure {ready} is free (nobody had it).\n"


def test_options_that_contradict_each_other_are_refused(oet, ready):
    done = oet("attach", str(ready), "--control", "--release")
    assert done.status == 2
    assert "contradict" in done.err


def test_procedure_without_a_kernel_is_said(oet, served, ready):
    served.http.put(f"/procedures/{ready}", json={"state": "STOPPED"})
    done = oet("attach", str(ready))
    assert done.status == 1
    assert "NoKernel" in done.err


def console(served, *words):
    """Run the command on a terminal of its own."""
    environment = {**os.environ, "OET_URL": served.url, "OET_TOKEN": served.token, "JUPYTER_CONSOLE_TEST": "1"}
    argv = ["-m", "oet_kernel.cli", "attach", *words]
    return pexpect.spawn(sys.executable, argv, env=environment, encoding="utf-8", timeout=DEADLINE, echo=False)


def test_console_shows_live_output_and_names_and_refuses_code(served, ready):
    served.http.put(f"/procedures/{ready}", json={"state": "RUNNING"})
    served.until(ready, "RUNNING")
    terminal = console(served, str(ready))
    try:
        terminal.expect_exact(f"Attached to procedure {ready} (RUNNING); its kernel is read-only")
        terminal.expect_exact("In [1]:")
        terminal.sendline("counter")
        terminal.expect("String form:.* 41")
        terminal.sendline("1 + 1")
        terminal.expect_exact(f"procedure {ready} is read-only; take control with: oet attach {ready} --control")
        terminal.expect_exact("tick")
        terminal.sendline("exit")
        terminal.expect(pexpect.EOF)
    finally:
        terminal.close(force=True)
    assert terminal.exitstatus == 0
    assert served.http.get(f"/procedures/{ready}").json()["procedure"]["state"] == "RUNNING"


def test_console_with_control_answers_while_main_runs_and_gives_control_back(served, ready):
    served.http.put(f"/procedures/{ready}", json={"state": "RUNNING"})
    served.until(ready, "RUNNING")
    terminal = console(served, str(ready), "--control")
    try:
        terminal.expect_exact(f"{who()} has control")
        terminal.expect_exact("In [1]:")
        terminal.sendline("counter + 1")
        terminal.expect_exact("42")
        terminal.expect_exact("In [2]:")
        terminal.sendline("while True: pass")
        terminal.expect_exact("tick")  # the script goes on beside it
        terminal.sendintr()
        terminal.expect_exact("KeyboardInterrupt")
        terminal.expect_exact("In [3]:")
        terminal.sendline("exit")
        terminal.expect(pexpect.EOF)
    finally:
        terminal.close(force=True)
    assert terminal.exitstatus == 0
    assert served.http.get(f"/procedures/{ready}/kernel").json()["kernel"]["control"] is None
    events = served.http.get(f"/procedures/{ready}/events").json()["events"]
    typed = [one["data"] for one in events if one["topic"] == "procedure.console.input"]
    assert [(one["who"], one["code"]) for one in typed] == [
        (who(), "counter + 1"),
        (who(), "while True: pass"),
    ]
    assert served.http.get(f"/procedures/{ready}").json()["procedure"]["state"] == "RUNNING"
