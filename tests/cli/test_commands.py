"""The commands of existing users against a service: what they print, and their exit status."""

import json
import re

import pytest

from tests.conftest import Listener, serve
from tests.ipynb import notebook

TALK = (
    "from pubsub import pub\n"
    "def init(*args, **kwargs): pass\n"
    "def main(*args, **kwargs):\n"
    "    pub.sendMessage('user.script.announce', msg=f'{args} {kwargs}')\n"
    "    print('printed')\n"
)
FOREVER = "import time\ndef init(**kwargs): pass\ndef main(**kwargs): time.sleep(1000)\n"
FAIL = "def init(**kwargs): pass\ndef main(*args, **kwargs): raise ValueError('on purpose')\n"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture
def script(tmp_path):
    """Write a script; its URI."""

    def write(text: str) -> str:
        path = tmp_path / "script.py"
        path.write_text(text)
        return path.as_uri()

    return write


@pytest.fixture
def created(served, oet, script):
    """Create a procedure on a subarray of its own, wait until it is READY, and end it with the test."""
    made = []

    def create(text: str, *words: str) -> int:
        result = oet("procedure", "create", script(text), "--subarray_id=900", "--json", *words)
        assert result.status == 0, result.err
        made.append(json.loads(result.out)["id"])
        served.until(made[-1], "READY")
        return made[-1]

    yield create
    for pid in made:
        served.http.put(f"/procedures/{pid}", json={"state": "STOPPED"})


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """A service of the test's own, found as on any machine: without being named."""
    with serve(tmp_path / "fresh") as server:
        monkeypatch.setenv("OET_RUNTIME_DIR", str(tmp_path / "fresh" / "runtime"))
        yield server


@pytest.mark.parametrize("group", [["procedure"], []])
def test_create_passes_free_arguments_to_init_and_shows_the_table(served, oet, script, group):
    uri = script(TALK)
    result = oet(*group, "create", uri, "hello", "--subarray_id=2", "--verbose=true", "--json")
    assert json.loads(result.out)["script_args"] == {
        "init": {"args": ["hello"], "kwargs": {"subarray_id": 2, "verbose": True}}
    }
    shown = oet(*group, "create", uri)
    head, rule, row, *rest = shown.out.splitlines()
    assert re.fullmatch(r"\s*ID  Script +Creation Time +State", head)
    assert set(rule) == {"-", " "}
    assert re.fullmatch(rf"\s*\d+  {uri}  {TIME}  CREATING", row)
    assert "describe --pid=<id>" in "".join(rest)
    pid = int(row.split()[0])
    described = json.loads(oet("describe", f"--pid={pid}", "--json").out)
    assert described["script_args"]["init"]["kwargs"] == {"subarray_id": 1}, "subarray 1 unless another is given"
    for one in (pid - 1, pid):
        served.until(one, "READY")
        oet("stop", f"--pid={one}")


def test_list_of_nothing_is_the_head_of_the_table(fresh, oet):
    assert re.match(r"ID +Script +Creation Time +State\n", oet("procedure", "list").out)
    assert json.loads(oet("list", "--json").out) == []


def test_list_shows_all_or_one(created, oet):
    first, second = created(TALK), created(TALK)
    ids = [one["id"] for one in json.loads(oet("procedure", "list", "--json").out)]
    assert {first, second} <= set(ids)
    (row,) = [line for line in oet("list", f"--pid={first}").out.splitlines() if "script.py" in line]
    assert row.split()[0] == str(first)
    assert row.split()[-1] == "READY"


def test_start_shows_the_procedure_then_its_events_and_ends_with_it(created, oet):
    pid = created(TALK)
    result = oet("procedure", "start", "7", f"--pid={pid}", "--foo=bar")
    assert result.status == 0
    table, events = result.out.split("\nEvents\n------\n")
    assert re.search(rf"{pid}  file://.*script.py  {TIME}  READY", table)
    assert "- Script message: (7,) {'foo': 'bar'}\n" in events
    assert "printed\n" in events
    assert f"Procedure {pid} is COMPLETE" in result.err


def test_start_without_a_pid_takes_the_newest(fresh, oet, script):
    oet("create", script(TALK))
    fresh.until(1, "READY")
    result = oet("start", "--listen=False", "--json")
    assert (result.status, json.loads(result.out)["id"]) == (0, 1)
    fresh.until(1)
    again = oet("start")
    assert again.status == 1
    assert again.out == ""
    assert again.err == (
        "The last procedure created is in COMPLETE state and cannot be started, please specify a valid procedure ID.\n"
    )
    assert oet("start", "--pid=1").err == "Cannot start a procedure in state COMPLETE.\n"


def test_start_of_a_script_that_fails_shows_the_stack_trace_and_has_status_1(created, oet):
    result = oet("start", f"--pid={created(FAIL)}")
    assert result.status == 1
    assert "ValueError: on purpose" in result.err


def test_start_with_json_is_a_json_object_a_line_and_the_procedure_at_last(created, oet):
    pid = created(TALK)
    lines = [json.loads(line) for line in oet("start", f"--pid={pid}", "--json").out.splitlines()]
    assert [one["msg"] for one in lines if one.get("topic") == "user.script.announce"] == ["() {}"]
    assert (lines[-1]["id"], lines[-1]["state"]) == (pid, "COMPLETE")


def test_start_that_is_refused_says_who_has_the_subarray(created, oet):
    first, second = created(FOREVER), created(FOREVER)
    assert oet("start", f"--pid={first}", "--listen=False").status == 0
    refused = oet("start", f"--pid={second}", "--listen=False")
    assert refused.status == 1
    assert refused.err == (
        f"Server encountered error 409 Conflict:\n  StartRefused: Cannot start PID {second}: PID #{first} is RUNNING\n"
    )


def test_stop_takes_the_only_one_that_runs_and_prints_the_services_words(fresh, oet, script):
    nothing = oet("stop")
    assert (nothing.status, nothing.err) == (1, "No procedures to stop\n")
    for subarray in (1, 2):
        oet("create", script(FOREVER), f"--subarray_id={subarray}")
        fresh.until(subarray, "READY")
        oet("start", "--listen=False", f"--pid={subarray}")
        fresh.until(subarray, "RUNNING")
    both = oet("stop")
    assert (both.status, both.err) == (1, "Procedures 1, 2 are running; name one with --pid\n")
    assert oet("stop", "--pid=1", "--run_abort=False").out == "Successfully stopped script with ID 1\n"
    assert json.loads(oet("procedure", "stop", "--json").out) == {
        "abort_message": "Successfully stopped script with ID 2"
    }
    ended = oet("stop", "--pid=2")
    assert (ended.status, ended.out) == (0, "Cannot stop script with ID 2: Script is not running\n")


def test_stop_runs_the_abort_script_unless_told_otherwise(tmp_path, monkeypatch, oet, script):
    abort = tmp_path / "abort.py"
    abort.write_text("def main(): pass\n")
    with serve(tmp_path / "server", f"--abort-script={abort}") as server:
        monkeypatch.setenv("OET_RUNTIME_DIR", str(tmp_path / "server" / "runtime"))
        oet("create", script(FOREVER))
        server.until(1, "READY")
        oet("start", "--listen=False")
        server.until(1, "RUNNING")
        assert oet("stop").out == "Successfully stopped script with ID 1 and aborted subarray activity\n"


def test_describe_shows_uri_times_calls_and_the_stack_trace(served, created, oet):
    pid = created(FAIL)
    oet("start", "5", f"--pid={pid}", "--foo=bar")
    shown = oet("procedure", "describe", f"--pid={pid}").out
    assert f"{served.url}/procedures/{pid}" in shown
    assert re.search(rf"^{TIME}\.\d{{6}}  RUNNING 1$", shown, re.MULTILINE)
    assert re.search(r"^ +1  init +\[\] +\{'subarray_id': 900\}$", shown, re.MULTILINE)
    assert re.search(r"^ +2  main +\[5\] +\{'foo': 'bar'\}$", shown, re.MULTILINE)
    _, trace = shown.split("Stack Trace:\n------------\n")
    assert trace.rstrip().endswith("ValueError: on purpose")


def test_what_does_not_exist_is_said_in_the_services_words(served, oet):
    for words in (
        ("list", "--pid=99999"),
        ("describe", "--pid=99999"),
        ("start", "--pid=99999"),
        ("stop", "--pid=99999"),
    ):
        result = oet("procedure", *words)
        assert (result.status, result.out) == (1, "")
        assert result.err == (
            "Server encountered error 404 Not Found:\n  ResourceNotFound: No information available for PID=99999\n"
        )


def test_activity_is_run_listed_and_described(tmp_path, monkeypatch, oet, script):
    archive = tmp_path / "archive"
    archive.mkdir()
    path = script("def init(**k): pass\ndef main(sb_json, sbi_id, a=0): print('a is', a)\n").removeprefix("file://")
    block = {"sbd_id": "sbd-1", "activities": {"observe": {"kind": "filesystem", "path": path}}}
    (archive / "sbd-1.json").write_text(json.dumps(block))
    with serve(tmp_path / "server", f"--archive={archive}"):
        monkeypatch.setenv("OET_RUNTIME_DIR", str(tmp_path / "server" / "runtime"))
        args = '{"main": {"kwargs": {"a": 3}}}'
        ran = oet("activity", "run", "observe", "sbd-1", f"--script-args={args}")
        assert ran.status == 0, ran.err
        assert "a is 3\n" in ran.out
        prepared = json.loads(oet("activity", "run", "observe", "sbd-1", "--prepare-only", "--json").out)
        assert (prepared["id"], prepared["state"] in ("REQUESTED", "PREPARED")) == (2, True)
        first, second = json.loads(oet("activity", "list", "--json").out)
        assert (first["state"], second["prepare_only"]) == ("COMPLETE", True)
        (only,) = json.loads(oet("activity", "list", "--aid=1", "--json").out)
        assert only == first == json.loads(oet("activity", "describe", "--aid=1", "--json").out)
        assert "observe" in oet("activity", "list").out
        assert "sbi-oet-" in oet("activity", "describe").out
        wrong = oet("activity", "run", "observe", "sbd-1", "--script-args=[1]")
        assert (wrong.status, wrong.out) == (2, "")
        missing = oet("activity", "run", "nothing", "sbd-1")
        assert missing.status == 1
        assert "its activities are: observe" in missing.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nothing"], "No such command 'nothing'"),
        (["list", "--pid=x"], "'x' is not a valid integer"),
        (["create"], "No script is given"),
        (["create", "ftp://x"], "Script URI type not handled: ftp://x"),
        (["create", "git://x.py"], "--git-repo"),
        (["create", "/x.py", "--git_branch=b"], "are for git:// scripts"),
        (["create", "/x.py", "--=5"], "without a name"),
        (["create", "/x.ipynb", "--kernel"], "requires an argument"),
        (["create", "/x.ipynb", "--own-folder=perhaps"], "not a valid boolean"),
        (["listen", "extra"], "unexpected extra argument"),
        (["--token=x", "serve"], "after serve"),
        (["stop", "--run_abort=perhaps"], "not a valid boolean"),
        (["start", "--listen=perhaps"], "not a valid boolean"),
        (["activity", "run", "one"], "Missing argument"),
        (["run"], "No script is given"),
        (["create", "/\udcff.py"], "is not UTF-8 text"),
    ],
)
def test_wrong_command_line_has_status_2_and_says_what_is_wrong(oet, words, says):
    result = oet(*words)
    assert (result.status, result.out) == (2, "")
    assert says in result.err


@pytest.mark.parametrize(
    ("words", "script"),
    [
        (["--kernel=python3"], {"kernel": "python3"}),
        (["--kernel", "ir", "--own_folder"], {"kernel": "ir", "own_folder": True}),
        (["--own-folder=True"], {"own_folder": True}),
        (["--own_folder=False"], {}),
        ([], {}),
    ],
)
def test_script_says_in_which_kernel_and_folder_it_is_run(served, oet, tmp_path, words, script):
    path = tmp_path / "x.ipynb"
    path.write_text(notebook(("", "1")))
    made = json.loads(oet("create", str(path), *words, "--json").out)
    assert made["script"] == {"script_type": "filesystem", "script_uri": path.as_uri(), **script}
    described = oet("describe", f"--pid={made['id']}").out
    assert ("Kernel: " in described, "Working folder: " in described) == ("kernel" in script, "own_folder" in script)
    served.http.put(f"/procedures/{made['id']}", json={"state": "STOPPED"})


def test_kernel_of_a_script_that_is_no_notebook_is_refused(served, oet, tmp_path):
    path = tmp_path / "x.py"
    path.write_text("def main(): pass\n")
    refused = oet("create", str(path), "--kernel=python3")
    assert refused.status == 1
    assert f"{path.as_uri()} is not a notebook" in refused.err


def test_script_that_is_not_there_is_refused_with_what_to_do(served, oet, tmp_path):
    for words, says in (
        (["nowhere.py"], "does not exist on the service's machine; give the path of an existing file"),
        ([str(tmp_path)], "is a folder, not a script; name a file in it"),
        ([""], "is a folder, not a script"),
    ):
        refused = oet("create", *words)
        assert (refused.status, refused.out) == (1, ""), words
        assert says in refused.err


@pytest.mark.parametrize(
    "words", [["list"], ["create", "/x.py"], ["start"], ["stop"], ["describe"], ["listen"], ["activity", "list"]]
)
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/api/v1.0", "http://127.0.0.1:1", "nonsense", "http://[bad", "http://127.0.0.1:x/"]
)
def test_absent_service_is_said_in_one_line(oet, words, url):
    result = oet(f"--server-url={url}", *words)
    assert (result.status, result.out) == (1, "")
    address = url.rstrip("/")
    said = result.err.replace("/api/v1.0", "", 1) if address.startswith("http://") else result.err
    address = address.removesuffix("/api/v1.0")
    assert said.startswith((f"No service answers at {address} ", f"{address!r} is not a valid address"))
    assert result.err.count("\n") == 1


def test_address_of_older_clients_is_understood(fresh, monkeypatch, oet):
    monkeypatch.setenv("OET_REST_URI", f"{fresh.url}/procedures")
    monkeypatch.setenv("OET_RUNTIME_DIR", "/nowhere")
    monkeypatch.setenv("OET_TOKEN", fresh.token)
    assert (oet("list").status, oet("list", "--json").out) == (0, "[]\n")


def test_address_of_the_server_alone_is_enough(served, oet):
    assert oet("--server-url", served.url.removesuffix("/api/v1.0"), "list").status == 0


def test_wrong_path_is_told_and_not_read_as_a_wrong_token(served, oet):
    for words in (["list"], ["listen"]):
        result = oet("--server-url", served.url.removesuffix("/api/v1.0") + "/tree", *words)
        assert (result.status, "token" in result.err) == (1, False), result.err
        assert f"is not the root of this API, which ends in /api/v1.0: {served.url}" in result.err


def test_wrong_token_is_said(served, oet):
    result = oet("--token=wrong", "list")
    assert result.status == 1
    assert result.err.startswith("Server encountered error 403 Forbidden:\n  Forbidden: ")


def test_tables_are_plain_text_where_there_is_no_terminal(created, oet):
    pid = created(TALK)
    for words in (("list",), ("describe", f"--pid={pid}"), ("start", f"--pid={pid}")):
        result = oet(*words)
        assert "\x1b" not in result.out + result.err


WAITS = """
from oet_kernel.api import checkpoint
def init(**kwargs): pass
def main():
    checkpoint("scan 1")
    print("went on")
"""


@pytest.mark.parametrize("group", [["procedure"], []])
def test_a_procedure_is_paused_and_resumed(served, created, oet, group):
    pid = created(WAITS)
    paused = oet(*group, "pause", f"--pid={pid}", "--at", "scan ?")
    assert paused.status == 0, paused.err
    assert paused.out.splitlines()[2].endswith("  READY (pausing at scan ?)")
    with Listener(served, f"?procedure={pid}&topic=procedure.lifecycle.paused") as listener:
        oet("start", f"--pid={pid}", "--listen=False")
        assert next(listener.events())["checkpoint"] == "scan 1"
    listed = oet("list", f"--pid={pid}").out
    assert listed.splitlines()[2].endswith("  RUNNING (paused at scan 1)")
    assert json.loads(oet("describe", f"--pid={pid}", "--json").out)["pause"]["checkpoint"] == "scan 1"
    resumed = oet(*group, "resume", f"--pid={pid}")
    assert (resumed.status, "(paused" in resumed.out) == (0, False)
    served.until(pid, "COMPLETE")
    again = oet(*group, "resume", f"--pid={pid}")
    assert again.status == 1
    assert f"NotPaused: Cannot resume PID {pid}: the procedure is COMPLETE, and not paused" in again.err


def test_without_a_pid_the_only_one_is_meant(fresh, oet, script):
    assert oet("pause").err == "No procedures to pause\n"
    assert oet("resume").err == "No procedures to resume\n"
    oet("create", script(FOREVER))
    fresh.until(1, "READY")
    oet("start", "--pid=1", "--listen=False")
    fresh.until(1, "RUNNING")
    assert oet("pause").out.splitlines()[2].endswith("RUNNING (pausing)")
    assert oet("resume").out.splitlines()[2].endswith("RUNNING")
