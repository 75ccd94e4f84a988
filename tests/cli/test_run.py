"""``oet run`` and ``oet listen`` as a user starts them: in a process of their own, interrupted at any moment."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager

import psutil
import pytest

from oet_kernel.cli.embedded import embedded_service
from tests.conftest import DEADLINE, serve

TALK = (
    "from pubsub import pub\n"
    "def init(*args, **kwargs): print('init', args, kwargs)\n"
    "def main(*args, **kwargs):\n"
    "    pub.sendMessage('user.script.announce', msg='hello')\n"
    "    print('main', args, kwargs)\n"
)
ENDLESS = {
    "LOADING": "import time\nprint('here')\ntime.sleep(1000)\ndef main(): pass\n",
    "INITIALISING": "import time\ndef init(**k):\n    print('here')\n    time.sleep(1000)\ndef main(): pass\n",
    "RUNNING": "import time\ndef init(**k): pass\ndef main():\n    print('here')\n    time.sleep(1000)\n",
}
SWALLOWS = (
    "import signal, time\ndef init(**k): pass\ndef main():\n"
    "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    word = 'here'\n"
    "    while True:\n        try:\n            print(word)\n            time.sleep(1000)\n"
    "        except KeyboardInterrupt: word = 'no'\n"
)


@pytest.fixture
def script(tmp_path):
    """Write a script; its path, as it is typed in its folder."""

    def write(text):
        (tmp_path / "script.py").write_text(text)
        return "script.py"

    return write


@pytest.fixture
def oet(tmp_path):
    """Start `oet` in a session of its own, and see that nothing of it is left when it has ended."""

    @contextmanager
    def start(*words, **environment):
        mark = uuid.uuid4().hex
        env = {**os.environ, "OET_RUNTIME_DIR": str(tmp_path / "runtime"), "OET_TEST_MARK": mark, **environment}
        process = subprocess.Popen(
            [sys.executable, "-m", "oet_kernel.cli", *words],
            env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            left = {one: one.cmdline() for one in psutil.process_iter() if _marked(one, mark)}
            _, alive = psutil.wait_procs(left, timeout=DEADLINE)
            for one in alive:
                one.kill()
            process.communicate()
            assert not alive, f"left behind: {[left[one] for one in alive]}"

    return start


def _marked(process, mark):
    try:
        return process.environ().get("OET_TEST_MARK") == mark
    except psutil.Error:
        return False


def result(process):
    out, err = process.communicate(timeout=DEADLINE)
    assert "oet_kernel" not in err, f"a traceback of our own: {err}"
    return process.returncode, out, err


def interrupt(process):
    """Press Ctrl-C: the terminal sends it to the whole foreground group."""
    os.killpg(process.pid, signal.SIGINT)


def until(stream, text):
    for line in stream:
        if text in line:
            return
    raise AssertionError(f"{text!r} was not said")


# --- where no service runs


def test_run_needs_no_service_passes_both_calls_their_arguments_and_has_status_0(oet, script):
    with oet("run", script(TALK), "a", "--subarray_id=3", "--", "b", "--n=2") as process:
        status, out, err = result(process)
    assert status == 0, err
    said = [line for line in out.splitlines() if not line.startswith("- Procedure 1 ")]
    assert said == ["init ('a',) {'subarray_id': 3}", "- Script message: hello", "main ('b',) {'n': 2}"]
    assert "starting one for this command" in err
    assert "its history and records are not kept" in err
    assert "Procedure 1 is COMPLETE" in err


def test_sigterm_stops_the_procedure_too(oet, script):
    with oet("run", script(ENDLESS["RUNNING"])) as process:
        until(process.stdout, "here")
        process.terminate()
        status, _, err = result(process)
    assert status == 3, err


def test_ctrl_c_ends_a_script_that_defends_itself(oet, script):
    with oet("run", script(SWALLOWS)) as process:
        until(process.stdout, "here")
        interrupt(process)
        status, out, _ = result(process)
    assert status == 3
    assert "no\n" in out, "it has tried"


def test_ctrl_c_while_the_service_starts_leaves_nothing_behind(oet, script):
    with oet("run", script(TALK)) as process:
        until(process.stderr, "starting one for this command")
        interrupt(process)
        status, out, err = result(process)
    assert status == 130
    assert out == ""
    assert "Traceback" not in err


def test_second_ctrl_c_leaves_without_waiting(oet, script):
    with oet("run", script(SWALLOWS)) as process:
        until(process.stdout, "here")
        interrupt(process)
        until(process.stderr, "Ctrl-C again")
        interrupt(process)
        status, _, err = result(process)
    assert status in (3, 130)
    assert "Traceback" not in err


def test_service_of_a_killed_run_ends_with_it(oet, script):
    """What the fixture checks: nothing is left, though the command had no chance to clean up."""
    with oet("run", script(ENDLESS["RUNNING"])) as process:
        until(process.stdout, "here")
        process.kill()
        process.wait(DEADLINE)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["the service starts", "the script runs"])
def test_no_folder_is_left_whatever_ends_it(oet, script, tmp_path, signum, moment):
    (tmp_path / "tmp").mkdir()
    with oet("run", script(ENDLESS["RUNNING"]), TMPDIR=str(tmp_path / "tmp")) as process:
        until(process.stderr, "starting one for this command")
        if moment == "the script runs":
            until(process.stdout, "here")
        process.send_signal(signum)
        status, _, err = result(process)
    assert status == (128 + signum if moment == "the service starts" or signum == signal.SIGHUP else 3), err
    assert "Traceback" not in err
    assert not list((tmp_path / "tmp").iterdir())


def test_folder_of_a_killed_run_is_swept_by_the_next_and_one_that_is_in_use_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, fresh = tmp_path / "oet-run-left", tmp_path / "oet-run-fresh"
    left.mkdir()
    fresh.mkdir()
    os.utime(left, (0, 0))
    os.utime(fresh, (time.time() + 3600,) * 2)  # fresh, however long two services take to start
    with embedded_service(), embedded_service():
        assert not left.exists()
        assert fresh.exists()
        assert len(list(tmp_path.glob("oet-run-*"))) == 3


# --- where one runs


@pytest.fixture
def service(tmp_path):
    """A service that commands in this test's runtime folder find."""
    with serve(tmp_path / "service", OET_RUNTIME_DIR=str(tmp_path / "runtime")) as made:
        yield made


@pytest.fixture
def named(server):
    """The shared service, as the environment names it."""
    return {"OET_URL": server.url, "OET_TOKEN": server.token}


def test_run_with_json_prints_events_and_the_procedure_at_last(oet, script, named):
    with oet("run", "--json", script(TALK), "--subarray_id=910", **named) as process:
        status, out, _ = result(process)
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [one["msg"] for one in lines if one.get("topic") == "user.script.announce"] == ["hello"]
    assert lines[-1]["state"] == "COMPLETE"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def main(**k): raise ValueError('on purpose')\n", "ValueError: on purpose"),
        ("def init(**k): 1 / 0\ndef main(): pass\n", "ZeroDivisionError"),
        ("def main(:\n", "SyntaxError"),
        ("x = 1\n", "has no function main()"),
        ("import os\ndef init(**k): pass\ndef main(): os._exit(3)\n", "exit code 3"),
    ],
)
def test_run_of_a_script_that_fails_has_status_1_and_shows_why(oet, script, named, text, says):
    with oet("run", script(text), "--subarray_id=911", **named) as process:
        status, _, err = result(process)
    assert status == 1
    assert says in err
    assert re.search(r"^Procedure \d+ is FAILED$", err, re.MULTILINE)


def test_run_of_what_is_not_there_is_said(oet, named):
    with oet("run", "nowhere.py", **named) as process:
        status, _, err = result(process)
    assert status == 1
    assert re.search(r"ResourceNotFound: Script \S+/nowhere\.py does not exist on the service's machine", err)
    assert "FAILED" not in err


def test_arguments_of_main_that_do_not_fit_are_refused_before_init_is_called(oet, script, named):
    path = script("def init(subarray_id): print('INIT RAN')\ndef main(seconds: float = 1): ...\n")
    with oet("run", path, "--subarray_id=913", "--", "--secnds=4", **named) as process:
        status, out, err = result(process)
    assert (status, "INIT RAN" in out, "READY" in err) == (1, False, False)
    assert "$.script_args.main.kwargs.secnds: unexpected" in err


READS = "from pathlib import Path\ndef init(subarray_id, sb: Path): open(sb)\ndef main(): print('observed')\n"


def test_relative_path_means_the_folder_of_the_caller_whether_a_service_runs_or_not(oet, script, tmp_path):
    path = script(READS)
    (tmp_path / "sb.json").write_text("{}")
    with oet("run", path, "--sb=sb.json") as process:
        alone = result(process)
    service = serve(tmp_path / "elsewhere", OET_RUNTIME_DIR=str(tmp_path / "runtime"))
    with service, oet("run", path, "--sb=sb.json") as process:
        served = result(process)
    assert (alone[0], served[0]) == (0, 0), alone[2] + served[2]
    assert "starting one" not in served[2]


@pytest.mark.parametrize("state", ENDLESS)
def test_ctrl_c_stops_the_procedure_in_every_state_and_has_status_3(oet, script, named, state):
    with oet("run", script(ENDLESS[state]), "--subarray_id=912", **named) as process:
        until(process.stdout, "here")
        interrupt(process)
        status, _, err = result(process)
    assert status == 3, err
    assert re.search(r"^\[stopping procedure \d+; Ctrl-C again to leave it\]$", err, re.MULTILINE)
    assert re.search(r"^Successfully stopped script with ID \d+$", err, re.MULTILINE)
    assert re.search(r"^Procedure \d+ is STOPPED$", err, re.MULTILINE)


def test_run_uses_the_service_that_is_there(oet, script, service):
    with oet("run", script(TALK)) as process:
        status, _, err = result(process)
    assert (status, "starting one" in err) == (0, False)
    assert service.http.get("/procedures/1").json()["procedure"]["state"] == "COMPLETE"


def test_run_on_a_busy_subarray_is_refused_and_leaves_no_procedure_behind(oet, script, service):
    first = service.create(ENDLESS["RUNNING"], subarray_id=1)
    service.until(first, "READY")
    service.http.put(f"/procedures/{first}", json={"state": "RUNNING"})
    with oet("run", script(TALK)) as process:
        status, _, err = result(process)
    assert status == 1
    assert f"Cannot start PID 2: PID #{first} is RUNNING" in err
    assert service.http.get("/procedures/2").json()["procedure"]["state"] == "STOPPED"


def test_ctrl_c_on_a_start_leaves_the_procedure_and_says_how_to_stop_it(oet, script, service):
    pid = service.create(ENDLESS["RUNNING"])
    service.until(pid, "READY")
    with oet("procedure", "start") as process:
        until(process.stdout, "here")
        interrupt(process)
        status, _, err = result(process)
    assert status == 130
    assert err.endswith(f"Procedure {pid} goes on; stop it with: oet procedure stop --pid={pid}\n")
    assert service.http.get(f"/procedures/{pid}").json()["procedure"]["state"] == "RUNNING"


TICKS = (
    "from oet_kernel.api import publish\nimport threading\n"
    "def main():\n    while not threading.Event().wait(0.05):\n"
    "        publish('user.script.announce', msg='tick')\n        print('tock')\n"
)
"""A script that goes on talking, since nobody can say when a listener in another process has begun to hear."""


def test_listen_prints_events_until_ctrl_c(oet, service):
    pid = service.create(TICKS)
    service.until(pid, "READY")
    service.http.put(f"/procedures/{pid}", json={"state": "RUNNING"})
    with oet("listen") as process, oet("listen", "--topics=user", "--json") as chosen:
        until(process.stdout, "- Script message: tick")
        until(process.stdout, "tock")
        for _ in range(3):
            event = json.loads(chosen.stdout.readline())
            assert event == {"topic": "user.script.announce", "msg_src": str(pid), "msg": "tick"}
        for one in (process, chosen):
            interrupt(one)
            status, _, err = result(one)
            assert (status, err.strip()) == (130, "")


def test_listen_says_when_the_service_goes_and_waits_for_it_until_ctrl_c(oet, service):
    pid = service.create(TICKS)
    service.until(pid, "READY")
    service.http.put(f"/procedures/{pid}", json={"state": "RUNNING"})
    with oet("listen") as process:
        until(process.stdout, "tick")
        service.process.terminate()
        until(process.stderr, "[the service does not answer; waiting for it]")
        process.send_signal(signal.SIGINT)
        status, _, err = result(process)
    assert (status, err.strip()) == (130, "")
