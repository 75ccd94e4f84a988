"""Output whose reader has left, that is closed, or has no place: no traceback, and the status that tools have."""

import os
import shlex
import subprocess
import sys
import threading

import pytest

from oet_kernel.cli.streams import until_reader_leaves
from tests.conftest import DEADLINE

PRINTS = "def main():\n    for number in range(50_000): print(number)\n"  # more than a pipe holds


@pytest.fixture(scope="module")
def pid(server):
    made = server.create(PRINTS, subarray_id=9100)
    server.until(made, "READY")
    server.http.put(f"/procedures/{made}", json={"state": "RUNNING"})
    server.until(made)
    return made


@pytest.fixture
def shell(server):
    """Run a line of bash, in which oet is this project's, and gives what it printed, each command's status last."""

    def run(line):
        oet = shlex.join([sys.executable, "-m", "oet_kernel.cli.entry"])
        text = f'oet() {{ {oet} "$@"; }}; {line}; echo "${{PIPESTATUS[@]}}"'
        env = {**os.environ, "OET_URL": server.url, "OET_TOKEN": server.token}
        done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, env=env, timeout=DEADLINE)
        return [*done.stdout.splitlines()][-1].split(), done.stderr

    return run


COMMANDS = [
    "list",
    "list --json",
    "events PID",
    "events PID --json",
    "describe --pid=PID",
    "history",
    "record PID -o -",
    "-h",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_reader_that_leaves_ends_a_command_quietly(shell, pid, command):
    # its reader has left long before the command is imported
    status, err = shell(f"oet {command.replace('PID', str(pid))} | true")
    assert (status[0] in ("141", "1"), err) == (True, "")  # 1 where click meets the closed pipe


@pytest.mark.parametrize("command", ["events PID", "events PID --json"])
@pytest.mark.parametrize("reader", ["head -1", "grep -q ."])
def test_reader_that_has_enough_ends_a_command_quietly(shell, pid, command, reader):
    status, err = shell(f"oet {command.replace('PID', str(pid))} | {reader}")
    assert (status, err) == (["141", "0"], "")


@pytest.mark.parametrize("command", COMMANDS)
def test_output_that_is_closed_goes_nowhere(shell, pid, command):
    status, err = shell(f"oet {command.replace('PID', str(pid))} >&-")
    assert (status, err) == (["0"], "")


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- >&- 2>&-"])
def test_other_streams_may_be_closed_too(shell, pid, closed):
    assert shell(f"oet attach {pid} --json {closed}")[0] in (["0"], ["1"])
    assert shell(f"oet events {pid} {closed} | cat")[0] == ["0", "0"]


@pytest.mark.parametrize("command", COMMANDS)
def test_full_disk_is_said(shell, pid, command):
    status, err = shell(f"oet {command.replace('PID', str(pid))} > /dev/full")
    assert (status, err) == (["1"], "Cannot write the output: No space left on device\n")


def test_error_that_cannot_be_written_ends_quietly_too(shell):
    assert shell("oet describe --pid=99999999 2> /dev/full")[0] == ["1"]
    assert shell("oet describe --pid=99999999 2>&1 | true")[0][0] in ("1", "141")


def test_listener_ends_with_its_reader_and_not_with_the_next_event(server):
    argv = [sys.executable, "-m", "oet_kernel.cli.entry", "listen", "--topics=nothing.that.ever.happens"]
    env = {**os.environ, "OET_URL": server.url, "OET_TOKEN": server.token}
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    process.stdout.close()
    assert (process.stderr.read(), process.wait(DEADLINE)) == (b"", 141)
    process.stderr.close()


def test_reader_that_has_left_before_is_told_at_once_wherever_the_main_thread_is(monkeypatch):
    for _ in range(300):
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "w") as output:
            monkeypatch.setattr(sys, "stdout", output)
            with pytest.raises(BrokenPipeError), until_reader_leaves():
                assert not threading.Event().wait(DEADLINE)
            monkeypatch.undo()


@pytest.mark.parametrize("words", ["start --pid=PID", "procedure start --pid=PID"])
def test_command_that_follows_ends_with_its_reader_and_not_with_the_next_event(server, words):
    made = server.create("import threading\ndef main(): threading.Event().wait()\n", subarray_id=9101)
    server.until(made, "READY")
    argv = [sys.executable, "-m", "oet_kernel.cli.entry", *words.replace("PID", str(made)).split()]
    env = {**os.environ, "OET_URL": server.url, "OET_TOKEN": server.token}
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True)
    for line in process.stdout:
        if "started execution" in line:
            break
    process.stdout.close()
    assert process.wait(DEADLINE) == 141
    assert f"Procedure {made} goes on; stop it with: oet procedure stop --pid={made}\n" in process.stderr.read()
    process.stderr.close()
    server.http.put(f"/procedures/{made}", json={"state": "STOPPED"})
    assert server.until(made)["state"] == "STOPPED"
