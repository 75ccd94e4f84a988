"""``oet history``, ``oet events``, ``oet describe`` of what is long gone; commands that follow over a restart."""

import json
import os
import signal
import subprocess
import sys

import httpx
import pytest

from tests.conftest import serve

LONG_AGO = 1_700_000_000.0
"""Before any event of these tests, in Unix seconds."""
SAYS = """
from oet_kernel.api import publish
def init(subarray_id): pass
def main(text):
    print(text)
    publish("user.script.announce", msg="said " + text)
"""


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    """A service that lists one procedure only, and has run three on different subarrays."""
    with serve(tmp_path_factory.mktemp("past"), "--OetApp.history=1") as service:
        for number in (1, 2, 3):
            pid = service.create(
                SAYS.replace("print(text)", "1 / 0" if number == 2 else "print(text)"), subarray_id=number
            )
            service.until(pid, "READY")
            calls = {"main": {"args": [f"word{number}"]}}
            service.http.put(f"/procedures/{pid}", json={"state": "RUNNING", "script_args": calls})
            service.until(pid)
        yield service


@pytest.fixture
def called(oet, past, monkeypatch):
    monkeypatch.setenv("OET_URL", past.url)
    monkeypatch.setenv("OET_TOKEN", past.token)
    return oet


def ids(result):
    assert result.status == 0, result.err
    return [int(line.split()[0]) for line in result.out.splitlines() if line.split()[0].isdigit()]


def test_history_lists_all_that_was_run_the_newest_first_how_long_and_for_whom(called):
    result = called("history")
    assert result.out.splitlines()[0].split() == ["ID", "Script", "Creation", "Time", "State", "Ran", "By"]
    assert ids(result) == [3, 2, 1]
    lines = [line.split() for line in result.out.splitlines() if line.split()[0].isdigit()]
    assert {line[-4] for line in lines} == {"s"}
    assert {" ".join(line[-3:]) for line in lines} == {"somebody at 127.0.0.1"}
    assert ids(called("list")) == [3]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--state=failed"], [2]),
        (["--state", "COMPLETE,FAILED"], [3, 2, 1]),
        (["--subarray=1"], [1]),
        (["--script=no-such"], []),
        (["--script=script-"], [3, 2, 1]),
        (["--since=1h"], [3, 2, 1]),
        (["--until=1h"], []),
        (["--since=2020-01-01", "--limit=2"], [3, 2]),
    ],
)
def test_history_is_filtered(called, options, found):
    result = called("history", *options)
    assert ids(result) == found
    assert ("There are more" in result.out) is ("--limit=2" in options)


def test_history_as_json_holds_the_summaries(called):
    assert [one["id"] for one in json.loads(called("history", "--json", "--limit=2").out)] == [3, 2]


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--since=soon", "'soon' is not a valid time"),
        ("--state=LOST", "'LOST' is not a valid state"),
        ("--limit=0", "0"),
    ],
)
def test_wrong_filter_is_a_wrong_command_line(called, option, says):
    result = called("history", option)
    assert result.status == 2
    assert says in result.err


def test_procedure_that_is_no_longer_listed_is_described(called):
    result = called("describe", "--pid=2")
    assert result.status == 0
    assert "ZeroDivisionError" in result.out
    assert called("describe", "--pid=99").err == (
        "Server encountered error 404 Not Found:\n  ResourceNotFound: No information available for PID=99\n"
    )


def test_events_of_a_procedure_that_is_no_longer_listed_are_printed_as_they_were(called):
    result = called("events", "1")
    assert "word1\n- Script message: said word1\n" in result.out
    assert "User request" not in result.out
    assert called("events", "1", "--topics=user").out == "- Script message: said word1\n"
    (line,) = called("events", "1", "--topics=user", "--json").out.splitlines()
    event = json.loads(line)
    assert event.pop("time") > LONG_AGO
    assert event == {"topic": "user.script.announce", "msg_src": "1", "msg": "said word1"}
    assert called("events", "99").status == 1


def test_command_that_follows_goes_on_over_a_restart_of_the_service_to_the_end(tmp_path):
    """The procedure ends while the service is away."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with serve(tmp_path / "x", "--OetApp.detach=True") as service:
        pid = service.create("def main(gate):\n    print('one')\n    open(gate).close()\n    print('two')\n")
        service.until(pid, "READY")
        argv = [sys.executable, "-m", "oet_kernel.cli", "--server-url", service.url, "start", f"--pid={pid}", str(gate)]
        env = {**os.environ, "OET_TOKEN": service.token}
        command = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        for line in command.stdout:
            if line == "one\n":
                break
        service.process.send_signal(signal.SIGKILL)
        service.process.wait(30)
        err = [command.stderr.readline()]
        while "does not answer" not in err[-1]:
            assert err[-1]
            err.append(command.stderr.readline())
    gate.write_text("")
    with serve(tmp_path / "x", port=httpx.URL(service.url).port):
        out, rest = command.communicate(timeout=60)
    assert command.returncode == 0, rest
    assert "two\n" in out
    assert "".join([*err, rest]).splitlines() == [
        f"[procedure {pid} RUNNING]",
        "[the service does not answer; waiting for it]",
        "[the service answers again]",
        f"[procedure {pid} READY]",
        f"[procedure {pid} COMPLETE]",
        f"Procedure {pid} is COMPLETE",
    ]
