"""Magics do what the command line does, and show it as a notebook should."""

import asyncio
import json
import os
import threading
from itertools import count

import certifi
import httpx
import pytest
from IPython.core.error import UsageError

from oet_kernel.client import ClientError
from oet_kernel.magics.handle import ProcedureHandle
from oet_kernel.magics.magic import RequestFailed
from tests.conftest import DEADLINE, serve
from tests.magics.conftest import FOREVER, NOTHING

subarrays = count(8100)


def test_a_run_is_shown_once_and_does_not_block_its_cell(notebook):
    path = notebook.script(FOREVER)
    ran = notebook(f"run = %oet run {path} --subarray_id={next(subarrays)}")
    assert [text.split(" is ")[0] for text in ran.shown] == [f"Procedure {notebook['run'].id} (script.py)"]
    assert not notebook["run"].state.inactive
    assert notebook("run.stop()").value == f"Successfully stopped script with ID {notebook['run'].id}"
    assert notebook.ended("run").state.name == "STOPPED"


def test_a_run_that_is_the_value_of_its_cell_is_not_shown_twice_and_is_shown_again_elsewhere(notebook):
    path = notebook.script(NOTHING)
    ran = notebook(f"%oet run {path} --subarray_id={next(subarrays)}")
    assert isinstance(ran.value, ProcedureHandle)
    assert len(ran.shown) == 1
    ran.value.wait(DEADLINE)
    (text,) = notebook("_").shown
    assert "is COMPLETE" in text


def test_await_gives_the_summary_of_the_end(notebook):
    path = notebook.script("def init(**k): print('made')\ndef main(x): print(x * 2); return {'doubled': x * 2}\n")
    notebook(f"run = %oet run {path} --subarray_id={next(subarrays)} -- 21")
    ran = notebook("await run")
    assert ran.value.state.name == "COMPLETE"
    assert notebook["run"].output == "made\n42\n"
    assert ran.value.script_args["main"].args == [21]
    assert notebook["run"].summary == ran.value
    assert ran.value.returned.value == {"doubled": 42}


def test_an_await_that_is_given_up_leaves_the_procedure_and_its_handle(notebook):
    notebook(f"run = %oet run {notebook.script(FOREVER)} --subarray_id={next(subarrays)}")
    run = notebook["run"]

    async def give_up():
        await asyncio.wait_for(_awaiting(run), 0.01)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert not run.state.inactive
    run.stop()
    assert run.wait(DEADLINE).state.name == "STOPPED"


async def _awaiting(run):
    return await run


def test_a_failure_is_told_with_its_stack_trace(notebook):
    notebook(f"run = %oet run {notebook.script('def main(**k): 1/0')} --subarray_id={next(subarrays)}")
    notebook.ended("run")
    notebook("await run")
    assert notebook["run"].error.endswith("ZeroDivisionError: division by zero\n")
    assert notebook["run"].error.strip() in repr(notebook["run"])


def test_a_run_that_may_not_start_says_why_and_leaves_nothing(notebook):
    subarray = next(subarrays)
    notebook(f"first = %oet run {notebook.script(FOREVER)} --subarray_id={subarray}")
    first = notebook["first"]
    events = first.hear()
    while first.state.name != "RUNNING":
        events.get(timeout=DEADLINE)
    notebook(f"second = %oet run {notebook.script(NOTHING, 'second.py')} --subarray_id={subarray}")
    assert notebook.ended("second").state.name == "STOPPED"
    assert f"PID #{first.id} is RUNNING" in notebook["second"].error
    first.stop()


def test_a_script_that_says_it_has_ended_has_not(notebook):
    text = (
        "from pubsub import pub\ndef main(): print('not yet')\ndef init(**k):\n"
        "  pub.sendMessage('procedure.lifecycle.statechange', new_state='COMPLETE')\n"
    )
    notebook(f"run = %oet run {notebook.script(text)} --subarray_id={next(subarrays)}")
    assert notebook.ended("run").state.name == "COMPLETE"
    assert notebook["run"].output == "not yet\n"


def test_script_is_run_in_its_own_folder_where_that_is_asked_for(notebook):
    path = notebook.script("import os\ndef main(): print(os.getcwd())\n")
    notebook(f"made = %oet run {path} --subarray_id={next(subarrays)} --own_folder --wait")
    assert notebook["made"].summary.script.own_folder
    assert notebook["made"].output == f"{path.parent}\n"


def test_json_is_printed_instead_of_a_picture(notebook):
    ran = notebook(f"%oet create {notebook.script(NOTHING)} --subarray_id={next(subarrays)} --json")
    assert ran.shown == []
    made = json.loads(ran.out)
    assert notebook(f"%oet stop --pid={made['id']}").error is None


def test_create_waits_until_ready_and_start_calls_main(notebook):
    path = notebook.script("def init(a, **k): print('init', a)\ndef main(b=None): print('main', b)\n")
    notebook(f"made = %oet create {path} 1 --subarray_id={next(subarrays)} --wait")
    assert notebook["made"].state.name == "READY"
    ran = notebook("started = %oet procedure start --pid={made.id} --b=2")
    assert ran.error is None
    notebook.ended("started")
    assert notebook["started"].output == "main 2\n"
    assert notebook.ended("made").state.name == "COMPLETE"
    assert notebook["made"].output == "init 1\nmain 2\n"


def test_list_describe_and_stop_answer_with_the_command_lines_words(notebook):
    notebook(f"made = %oet create {notebook.script(NOTHING)} --subarray_id={next(subarrays)} --wait")
    pid = notebook["made"].id
    ran = notebook("%oet list --pid={made.id}")
    assert ran.shown[0].split()[:6] == ["ID", "Script", "Creation", "Time", "State", "----"]
    assert ran.value.value[0].id == pid
    assert "READY" in notebook("%oet describe --pid={made.id}").shown[0]
    assert notebook("%oet stop --pid={made.id}").shown == [f"Successfully stopped script with ID {pid}"]
    assert json.loads(notebook("%oet describe --pid={made.id} --json").out)["state"] == "STOPPED"


def test_listening_does_not_block_and_can_be_stopped(notebook):
    subarray = next(subarrays)
    notebook(f"heard = %oet listen --topics=user.of{subarray}")
    text = f"from oet_kernel.api import publish\ndef init(**k): pass\ndef main(): publish('user.of{subarray}', n=1)\n"
    events = notebook["heard"]
    queue = events.hear()
    notebook(f"run = %oet run {notebook.script(text)} --subarray_id={subarray}")
    notebook.ended("run")
    assert queue.get(timeout=DEADLINE).fields == {"n": 1}
    assert [event.fields for event in events.events] == [{"n": 1}]
    assert f"user.of{subarray}: n=1" in repr(events)
    events.stop()
    assert queue.get(timeout=DEADLINE) is None


# --- waiting


def test_waiting_shows_events_and_ends_with_the_procedure(notebook):
    path = notebook.script("def init(**k): pass\ndef main(): print('said')\n")
    ran = notebook(f"run = %oet run --wait {path} --subarray_id={next(subarrays)}")
    assert "said\n" in ran.out
    assert notebook["run"].state.name == "COMPLETE"


def test_an_interrupt_of_a_wait_stops_its_own_procedure_alone(notebook):
    notebook(f"other = %oet run {notebook.script(FOREVER)} --subarray_id={next(subarrays)}")
    path = notebook.script(
        "import time\ndef init(**k): pass\ndef main():\n  print('go')\n  time.sleep(1000)\n", "own.py"
    )
    interrupt_when("go", notebook)
    ran = notebook(f"%oet run --wait {path} --subarray_id={next(subarrays)}")
    assert isinstance(ran.error, RequestFailed), "the cells behind are not to run"
    assert "interrupted; it is STOPPED" in str(ran.error)
    assert "Traceback" not in ran.out + ran.err
    assert not notebook["other"].state.inactive
    notebook["other"].stop()


def interrupt_when(text, notebook):
    """Interrupt the cell, as a notebook does, once a procedure has printed something."""
    import signal

    from oet_kernel.client import Client

    listening = threading.Event()

    def wait():
        with Client() as client, client.events(("procedure.output.stream",)) as events:
            listening.set()
            next(event for event in events if text in event.fields["text"])
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()
    assert listening.wait(DEADLINE)


# --- bad usage and refusals are a sentence


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%oet nonsense", "No such command 'nonsense'"),
        ("%oet stop --nonsense", "No such option"),
        ("%oet run", "No script is given"),
        ("%oet describe --pid=x", "'x' is not a valid"),
        ("%oet run 'unclosed", "No closing quotation"),
        ("%oet serve --port=1", "oet serve"),
        ("%oet connect http://h --embedded", "--embedded"),
        ("%%oet_procedure\ndef main(): pass", "Missing argument 'NAME'"),
        ("%%oet_procedure ../x\ndef main(): pass", "is not a valid variable name"),
        ("%%oet_procedure --run\ndef main(): pass", "Missing argument 'NAME'"),
        ("%%oet_procedure x -- 1\ndef main(): pass", "--run"),
    ],
)
def test_bad_usage_is_a_usage_error(notebook, line, words):
    ran = notebook(line)
    assert isinstance(ran.error, UsageError)
    assert words in str(ran.error)
    assert "Traceback" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%oet describe --pid=987654", "No information available for PID=987654"),
        ("%oet start --pid=987654", "No information available"),
        ("%oet run --server-url=http://127.0.0.1:1/api x.py", "No service answers"),
        ("%oet listen --server-url=http://127.0.0.1:1/api", "No service answers"),
        ("%oet list --server-url=http://127.0.0.1:1/api", "No service answers"),
        ("%oet connect http://127.0.0.1:1/api", "No service answers"),
    ],
)
def test_what_the_service_refuses_is_a_sentence(notebook, line, words):
    ran = notebook(line)
    assert isinstance(ran.error, RequestFailed)
    assert words in ran.out
    assert "Traceback" not in ran.out + ran.err


@pytest.mark.parametrize("line", ["%oet", "%oet --help", "%oet run --help", "%oet connect -h"])
def test_help_is_printed(notebook, line):
    ran = notebook(line)
    assert ran.error is None
    assert "Usage: %oet" in ran.out


# --- variables


def test_variables_and_attributes_are_put_in_and_json_stays(notebook):
    path = notebook.script("def init(*a, **k): print(a, k)\ndef main(): pass\n")
    notebook(f"path, name, nested = {str(path)!r}, 'two words', {{'a': [1]}}")
    notebook(
        'made = %oet create {path} {name} {nested} \'{"b": {"c": 1}}\' {unknown} {} '
        f"--subarray_id={next(subarrays)} --wait"
    )
    args = notebook["made"].summary.script_args["init"].args
    assert args == ["two words", {"a": [1]}, {"b": {"c": 1}}, "{unknown}", {}]
    notebook["made"].stop()


# --- cells as procedures


def test_a_cell_is_a_script_whose_traceback_points_at_its_lines(notebook):
    ran = notebook(
        f"%%oet_procedure broken --subarray_id={next(subarrays)} --run\n\ndef init(**k): pass\n\ndef main():\n    1/0\n"
    )
    assert ran.error is None
    run = notebook["broken"]
    assert run.wait(DEADLINE).state.name == "FAILED"
    assert ", line 6, in main\n    1/0" in run.error
    assert "/broken-" in run.error


def test_a_cell_without_run_is_prepared(notebook):
    notebook(
        "%%oet_procedure made --subarray_id=7 --wait\ndef init(subarray_id): print(subarray_id)\ndef main(): pass\n"
    )
    assert notebook["made"].state.name == "READY"
    assert notebook["made"].output == "7\n"
    notebook["made"].stop()


def test_a_cell_that_the_service_may_not_read_says_what_to_do(notebook, tmp_path):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    with serve(tmp_path / "s", f"--scripts-root={allowed}") as strict:
        notebook(f"%oet connect {strict.url} --token={strict.token}")
        cell = "%%oet_procedure made --wait\ndef init(**k): pass\ndef main(): pass\n"
        ran = notebook(cell)
        assert isinstance(ran.error, RequestFailed)
        assert str(allowed) in str(ran.error)
        assert "%oet connect --cells FOLDER" in str(ran.error)
        notebook(f"%oet connect {strict.url} --token={strict.token} --cells={allowed}")
        assert notebook(cell).error is None
        assert notebook["made"].state.name == "READY"
        assert [path.name.split("-")[0] for path in allowed.iterdir()] == ["made"]


# --- which service


def test_connect_names_the_service_for_the_clients_of_the_notebook_too(notebook, monkeypatch, served):
    url, token = served.url, served.token
    monkeypatch.delenv("OET_URL")
    monkeypatch.delenv("OET_TOKEN")
    notebook("%unload_ext oet_kernel")
    notebook("%load_ext oet_kernel")
    assert notebook(f"%oet connect {url} --token {token} --ca {certifi.where()}").shown == [f"Connected to {url}"]
    assert os.environ["OET_CA"] == certifi.where()
    notebook("from oet_kernel.client import Client\nwith Client() as c: n = c.procedures()")
    assert isinstance(notebook["n"], list)
    notebook("%unload_ext oet_kernel")
    assert "OET_URL" not in os.environ
    assert "OET_TOKEN" not in os.environ
    assert "OET_CA" not in os.environ


def test_a_wrong_token_is_told_when_connecting(notebook, served):
    ran = notebook(f"%oet connect {served.url} --token=wrong")
    assert isinstance(ran.error, RequestFailed)
    assert "403 Forbidden" in str(ran.error)


def test_a_kernel_has_one_embedded_service_whatever_else_it_talks_to(notebook, served):
    notebook("%oet connect --embedded")
    url = os.environ["OET_URL"]
    notebook(f"run = %oet run {notebook.script(FOREVER)}")
    notebook(f"%oet connect {served.url} --token={served.token}")
    assert os.environ["OET_URL"] == served.url
    notebook("%oet connect --embedded")
    assert os.environ["OET_URL"] == url
    assert not notebook["run"].state.inactive
    assert notebook("%oet list").value.value[0].id == notebook["run"].id


def test_much_output_does_not_keep_a_handle_from_the_end(notebook):
    text = "def init(**k): pass\ndef main():\n    for n in range(100_000): print(n)\n"
    notebook(f"run = %oet run {notebook.script(text)} --subarray_id={next(subarrays)}")
    assert notebook.ended("run").state.name == "COMPLETE"
    output = notebook["run"].output
    assert output.endswith("99999\n") or "some events are missing" in output, "nothing is left out in silence"


def test_an_embedded_service_ends_when_the_magics_are_unloaded(notebook):
    notebook("%oet connect --embedded")
    notebook(f"run = %oet run {notebook.script(FOREVER)}")
    url = os.environ["OET_URL"]
    notebook("%unload_ext oet_kernel")
    assert os.environ["OET_URL"] != url
    with pytest.raises(ClientError, match="no longer followed"):
        notebook["run"].wait(DEADLINE)
    ran = notebook("%load_ext oet_kernel\n")
    assert ran.error is None
    assert isinstance(notebook(f"%oet list --server-url={url}").error, RequestFailed)


def test_procedure_is_followed_over_a_restart_of_the_service(notebook, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    text = "def init(**kwargs): pass\ndef main(gate): open(gate).close()\n"
    with serve(tmp_path / "s", "--OetApp.detach=True") as gone:
        notebook(f"%oet connect {gone.url} --token={gone.token}")
        notebook(f"run = %oet run {notebook.script(text)} -- {gate}")
        gone.until(notebook["run"].id, "RUNNING")
        gone.process.kill()
        gone.process.wait(DEADLINE)
        port = httpx.URL(gone.url).port
    with serve(tmp_path / "s", port=port):
        gate.write_bytes(b"")
        assert notebook.ended("run").state.name == "COMPLETE"


def test_loading_twice_and_unloading_leaves_nothing(notebook):
    shell = notebook.shell
    notebook("%reload_ext oet_kernel")
    assert len([one for one in shell.Completer.custom_matchers if one.__name__ == "oet_matcher"]) == 1
    notebook("%unload_ext oet_kernel")
    assert not shell.Completer.custom_matchers
    assert "oet" not in shell.magics_manager.magics["line"]
    assert "oet_procedure" not in shell.magics_manager.magics["cell"]
    assert not [one for one in threading.enumerate() if one.name == "oet magics"]


def test_a_run_is_paused_and_resumed_by_magic_and_by_its_handle(notebook):
    text = (
        "from oet_kernel.api import checkpoint\ndef init(**kwargs): pass\n"
        "def main():\n    for scan in (1, 2):\n        checkpoint(f'scan {scan}')\n"
    )
    notebook(f"made = %oet create {notebook.script(text)} --subarray_id={next(subarrays)} --wait")
    made = notebook["made"]
    ear = made.hear()
    notebook(f"%oet pause --pid={made.id} --at 'scan 2'")
    notebook(f"%oet start --pid={made.id}")

    def until(topic):
        while ear.get(timeout=DEADLINE).topic != topic:
            pass

    until("procedure.lifecycle.paused")
    assert "is RUNNING (paused at scan 2)" in repr(made)
    made.resume()
    assert notebook.ended("made").state.name == "COMPLETE"
    assert made.summary.pause is None
