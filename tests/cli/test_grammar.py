"""One grammar for what a command acts on: the id, as an argument or as an option, and never anything else."""

import inspect
import json
import re

import pytest

from oet_kernel.cli.grammar import read_start
from oet_kernel.cli.main import cli
from oet_kernel.cli.options import PROCEDURE_ID
from oet_kernel.client import AsyncClient, Client
from oet_kernel.magics.handle import ProcedureHandle
from oet_kernel.models import StopProcessCommand

READY = "def init(subarray_id): ...\ndef main(*args, **kwargs): print('main got', args, kwargs)\n"


@pytest.mark.parametrize(
    ("words", "behind", "option", "pid", "args", "kwargs"),
    [
        ([], [], None, None, [], {}),
        (["10"], [], None, 10, [], {}),
        (["010"], [], None, 10, [], {}),
        (["10", "20"], [], None, 10, [20], {}),
        (["10", "hello", "--scans=3"], [], None, 10, ["hello"], {"scans": 3}),
        (["--scans=3", "10"], [], None, 10, [], {"scans": 3}),
        (["10", "--scans", "3"], [], None, 10, [], {"scans": 3}),
        (["10"], ["20"], None, 10, [20], {}),
        ([], ["10"], None, None, [10], {}),
        (["hello"], ["10"], None, None, ["hello", 10], {}),
        (["--scans", "3"], [], None, None, [], {"scans": 3}),
        (["hello", "10"], [], None, None, ["hello", 10], {}),
        (["7"], [], 3, 3, [7], {}),  # as existing users write it
        (["'10'"], [], None, None, ["10"], {}),
    ],
)
def test_number_in_the_first_place_is_the_procedure(words, behind, option, pid, args, kwargs):
    found, main = read_start(words, behind, option, PROCEDURE_ID)
    assert (found, main.args, main.kwargs) == (pid, args, kwargs)


def test_words_of_a_script_are_kept_without_the_id():
    _, main = read_start(["10", "--target", "J0437"], ["-v"], None, PROCEDURE_ID)
    assert main.typed.words == ["--target", "J0437", "-v"]


@pytest.mark.parametrize("word", ["1.5", "-1", "1e3", "20260101_0001", "0x10", "1" * 30, "+3"])
def test_number_that_is_no_id_starts_nothing(oet, word):
    refused = oet("start", word)  # before any service is asked
    assert (refused.status, refused.out) == (2, "")
    assert f"{word!r} is not a valid integer" in refused.err
    assert "after --" in refused.err


COMMANDS = ["list", "describe", "start", "stop", "pause", "resume", "record", "events", "attach"]


@pytest.mark.parametrize("form", [["{}"], ["--pid={}"], ["--pid", "{}"], ["{}", "--pid={}"]])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_the_id_by_place_and_by_option(served, oet, command, form):
    asked = oet(command, *(word.format(987654) for word in form))
    assert asked.status == 1
    assert "987654" in asked.err  # of a procedure that there is not: nothing else was acted on


@pytest.mark.parametrize("command", [one for one in COMMANDS if one != "start"])
def test_two_ids_are_refused(oet, command):
    refused = oet(command, "1", "--pid=2")
    assert (refused.status, refused.out) == (2, "")
    assert "1 and --pid=2 contradict each other; give one procedure" in refused.err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("word", ["--pid=1_0", "--pid=x", "--pid=-1", "--pid=１"])
def test_id_is_a_whole_number(oet, command, word):
    refused = oet(command, word)
    assert refused.status == 2
    assert "is not a valid integer" in refused.err


@pytest.mark.parametrize("command", ["events", "attach"])
def test_command_without_a_default_asks_for_the_id(oet, command):
    refused = oet(command)
    assert refused.status == 2
    assert f"No procedure is given; write oet {command} PID" in refused.err


@pytest.mark.parametrize("command", ["list", "describe"])
@pytest.mark.parametrize("form", ["987654", "--aid=987654"])
def test_activities_are_named_alike(served, oet, command, form):
    asked = oet("activity", command, form)
    assert asked.status == 1
    assert "No information available for activity ID=987654" in asked.err


def test_start_by_number_starts_that_one_and_says_so(served, oet, tmp_path):
    path = tmp_path / "take.py"
    path.write_text(READY)
    first, second = (
        json.loads(oet("create", str(path), f"--subarray_id={subarray}", "--json").out)["id"] for subarray in (771, 772)
    )
    for pid in (first, second):
        served.until(pid, "READY")
    started = oet("start", str(first), "5")
    assert started.status == 0, started.err
    assert re.search(rf"^ +{first}  file://.*take.py", started.out, re.MULTILINE)
    assert "main got (5,) {}" in started.out
    assert served.http.get(f"/procedures/{second}").json()["procedure"]["state"] == "READY"
    newest = oet("start", "--listen=False", "--json", "--", "7")
    assert newest.err == f"[starting procedure {second}, the newest: main(7)]\n"
    served.until(second)
    third = json.loads(oet("create", str(path), "--subarray_id=773", "--json").out)["id"]
    assert oet("stop", str(third)).out == f"Successfully stopped script with ID {third}\n"


def test_a_stop_without_further_words_aborts_whoever_asks():
    (run_abort,) = [one for one in cli.commands["stop"].params if one.name == "run_abort"]
    defaults = [
        inspect.signature(Client.stop).parameters["abort"].default,
        inspect.signature(AsyncClient.stop).parameters["abort"].default,
        inspect.signature(ProcedureHandle.stop).parameters["run_abort"].default,
        run_abort.default,
    ]
    assert defaults == [True] * 4
    assert not StopProcessCommand(1).run_abort, "existing REST clients that leave it out want none"
