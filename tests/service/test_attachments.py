"""Guests look into real kernels: they read, they type with control, and nothing they do is the script's."""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from oet_kernel.errors import ControlTaken, NoKernel, ResourceNotFound
from oet_kernel.kernel.auth import SUBSHELLS
from oet_kernel.models import ProcedureState, StopProcessCommand
from tests.conftest import DEADLINE, Bench
from tests.guests import Guest, attached
from tests.service.remote import anywhere

pytestmark = pytest.mark.anyio

_S = ProcedureState

IDLE = "counter = 7\ndef init(): pass\ndef main(): pass\n"
COUNTS = (
    "import os\ncounter = 0\n"
    "def main(gate):\n    global counter\n    counter = 1\n    print('at work')\n    open(gate).close()\n"
)
FAILS = "secret = 7\ndef inner(x):\n    y = x * 2\n    raise ValueError('no')\ndef main():\n    inner(21)\n"


async def guest_does(bench: Bench, pid: int, work: Callable[[Guest], Any]) -> Any:
    """Do something as a guest, in a thread."""
    connection = bench.attachments.kernel(pid).connection

    def do() -> Any:
        with attached(connection) as guest:
            return work(guest)

    return await asyncio.to_thread(do)


async def heard(bench: Bench, topic: str, pid: int, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait for an event; what a kernel says comes when it is written down."""
    found: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def look(_: Any = None) -> None:
        for fields in bench.said(topic, pid):
            if holds(fields) and not found.done():
                found.set_result(fields)

    bench.bus.tap(look)
    look()
    return await asyncio.wait_for(found, DEADLINE)


async def test_code_of_a_guest_is_refused_and_says_how_to_get_control(bench):
    pid = await bench.ready(IDLE)
    reply = await guest_does(bench, pid, lambda guest: guest.execute("script.counter = 1"))
    assert reply["status"] == "error"
    assert reply["evalue"] == f"procedure {pid} is read-only; take control with: oet attach {pid} --control"
    reply = await guest_does(bench, pid, lambda guest: guest.ask("inspect_request", code="counter", cursor_pos=7))
    assert "7" in reply["data"]["text/plain"]
    assert bench.said("procedure.console.input") == []


async def test_guest_may_look_at_names_without_control(bench):
    pid = await bench.ready(IDLE)

    def look(guest):
        info = guest.ask("kernel_info_request")
        complete = guest.ask("complete_request", code="coun", cursor_pos=4)
        is_complete = guest.ask("is_complete_request", code="def f():")
        history = guest.ask("history_request", hist_access_type="tail", n=1, output=False, raw=True)
        return info["implementation"], complete["matches"], is_complete["status"], history["status"]

    assert await guest_does(bench, pid, look) == ("oet_kernel", ["counter"], "unknown", "ok")


LAZY = """
import pathlib
class Lazy:
    @property
    def x(self):
        pathlib.Path(marks, "property").touch()
    def __dir__(self):
        pathlib.Path(marks, "dir").touch()
        return []
    def __repr__(self):
        pathlib.Path(marks, "repr").touch()
        return "lazy"
lazy = Lazy()
def init(folder):
    global marks
    marks = folder
def main(): pass
"""
WARNED = "complete" if sys.version_info < (3, 12) else "invalid"
"""What IPython says of an escape that is none: it makes an error of a SyntaxWarning, which Python 3.12 gives first."""
REQUESTS = [
    # request, its channel, its content, status without control, status with it
    ("execute_request", "shell", {"code": "1"}, "error", "ok"),
    ("complete_request", "shell", {"code": "lazy.x.", "cursor_pos": 7}, "ok", "ok"),
    ("complete_request", "shell", {"code": "import beside.", "cursor_pos": 14}, "ok", "ok"),
    ("complete_request", "shell", {}, "ok", None),
    ("inspect_request", "shell", {"code": "lazy", "cursor_pos": 4, "detail_level": 1}, "ok", "ok"),
    ("inspect_request", "shell", {"code": "lazy.x", "cursor_pos": 6}, "ok", "ok"),
    ("is_complete_request", "shell", {"code": "'\\d'"}, "unknown", WARNED),
    ("history_request", "shell", {"hist_access_type": "tail", "n": 9, "output": False, "raw": True}, "ok", "ok"),
    ("comm_info_request", "shell", {}, "ok", "ok"),
    ("kernel_info_request", "shell", {}, "ok", "ok"),
    ("connect_request", "shell", {}, "ok", "ok"),
    ("interrupt_request", "control", {}, "error", "ok"),
    ("usage_request", "control", {}, "error", None),
    ("debug_request", "control", {"type": "request", "seq": 1, "command": "initialize"}, "error", "error"),
    ("shutdown_request", "control", {"restart": False}, "error", "error"),
    ("create_subshell_request", "control", {}, "ok", "ok"),
    ("list_subshell_request", "control", {}, "ok", "ok"),
    ("delete_subshell_request", "control", {"subshell_id": "nobody's"}, "ok", "error"),
]


async def test_every_request_is_answered_and_without_control_none_runs_code_of_the_script(bench, tmp_path):
    pid = await bench.ready(LAZY, str(tmp_path))
    (tmp_path / "beside.py").write_text(f"open({str(tmp_path / 'import')!r}, 'w').close()")

    def ask(guest):
        for comm in ("comm_open", "comm_msg", "comm_close"):  # have no reply
            guest.client.shell_channel.send(guest.client.session.msg(comm, {"comm_id": "1", "target_name": "x"}))
        return [guest.ask(kind, channel, **content).get("status") for kind, channel, content, _, _ in REQUESTS]

    assert await guest_does(bench, pid, ask) == [without for *_, without, _ in REQUESTS]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file() and not path.suffix) == []
    await bench.attachments.control(pid, "alice", True)
    answered = [one for one in REQUESTS if one[-1] is not None]

    def ask_with_control(guest):
        return [guest.ask(kind, channel, **content).get("status") for kind, channel, content, _, _ in answered]

    assert await guest_does(bench, pid, ask_with_control) == [one[-1] for one in answered]


async def test_guests_who_look_share_a_subshell_and_those_who_type_have_a_bounded_number(bench):
    pid = await bench.ready(IDLE)

    def make(guest):
        return [guest.ask("create_subshell_request", "control") for _ in range(SUBSHELLS + 5)]

    looking = await guest_does(bench, pid, make)
    assert {one["status"] for one in looking} == {"ok"}
    assert len({one["subshell_id"] for one in looking}) == 1
    await bench.attachments.control(pid, "alice", True)
    typing = await guest_does(bench, pid, make)
    assert [one["status"] for one in typing] == ["ok"] * (SUBSHELLS - 1) + ["error"] * 6
    assert typing[-1]["evalue"] == f"procedure {pid} has {SUBSHELLS} subshells; delete one"

    def delete(guest):
        ids = (looking[0]["subshell_id"], typing[0]["subshell_id"])
        replies = [guest.ask("delete_subshell_request", "control", subshell_id=one)["status"] for one in ids]
        return replies, guest.ask("list_subshell_request", "control")["subshell_id"]

    replies, left = await guest_does(bench, pid, delete)
    assert replies == ["ok", "ok"]
    assert looking[0]["subshell_id"] in left, "others look through it"
    assert typing[0]["subshell_id"] not in left


@pytest.mark.parametrize("controlled", [False, True])
async def test_guest_can_neither_end_the_kernel_nor_run_nor_control_it(bench, controlled):
    pid = await bench.ready(IDLE)
    if controlled:
        await bench.attachments.control(pid, "alice", True)

    def attack(guest):
        return [
            guest.ask("shutdown_request", "control", restart=False)["status"],
            guest.ask("shutdown_request", restart=False)["status"],
            guest.ask("oet_control_request", "control", who="mallory", taken=True)["status"],
            guest.ask("oet_run_request", main={})["status"],
            guest.ask("debug_request", "control", type="request", seq=1, command="initialize")["status"],
        ]

    assert set(await guest_does(bench, pid, attack)) == {"error"}
    assert bench.attachments.kernel(pid).control == ("alice" if controlled else None)
    assert bench.service.summarise([pid])[0].state is _S.READY


async def test_with_control_what_is_typed_is_an_event_with_who_and_its_output_is_the_consoles(bench):
    pid = await bench.ready(IDLE)
    await bench.attachments.control(pid, "alice", True)
    reply = await guest_does(bench, pid, lambda guest: guest.execute("print('hello')\ncounter + 1"))
    assert reply["status"] == "ok"
    shown = await heard(bench, "procedure.output.display", pid, lambda fields: fields["call"] == "console")
    assert shown["data"]["text/plain"] == "8"
    (typed,) = bench.said("procedure.console.input", pid)
    assert (typed["who"], typed["code"]) == ("alice", "print('hello')\ncounter + 1")
    streams = bench.said("procedure.output.stream", pid)
    assert [(one["call"], one["text"]) for one in streams] == [("console", "hello\n")]


async def test_error_of_what_is_typed_is_an_event_and_no_failure_of_the_procedure(bench):
    pid = await bench.ready(IDLE)
    await bench.attachments.control(pid, "alice", True)
    await guest_does(bench, pid, lambda guest: guest.execute("raise SystemExit(3)", stop_on_error=False))
    await guest_does(bench, pid, lambda guest: guest.execute("1 / 0"))
    error = await heard(bench, "procedure.output.error", pid, lambda fields: fields["ename"] == "ZeroDivisionError")
    assert error["call"] == "console"
    assert bench.service.summarise([pid])[0].state is _S.READY
    await bench.start(pid)
    assert (await bench.until(pid)).state is _S.COMPLETE


async def test_silent_code_and_expressions_are_events_too(bench):
    pid = await bench.ready(IDLE)
    await bench.attachments.control(pid, "alice", True)
    await guest_does(bench, pid, lambda guest: guest.execute("x = 1", silent=True))
    reply = await guest_does(bench, pid, lambda guest: guest.execute("", user_expressions={"e": "counter"}))
    assert reply["user_expressions"]["e"]["data"]["text/plain"] == "7"
    await heard(bench, "procedure.console.input", pid, lambda fields: "counter" in fields["code"])
    assert bench.said("procedure.console.input", pid)[0]["code"] == "x = 1"


async def test_in_a_subshell_code_is_answered_while_main_runs(bench, tmp_path):
    os.mkfifo(gate := tmp_path / "gate")
    pid = await bench.ready(COUNTS)
    await bench.attachments.control(pid, "alice", True)
    await bench.start(pid, str(gate))
    await heard(bench, "procedure.output.stream", pid, lambda fields: fields["text"] == "at work\n")

    def typed(guest):
        guest.subshell()
        return guest.execute("print('beside')\n[counter + i for i in range(2)]")

    assert (await guest_does(bench, pid, typed))["status"] == "ok"
    assert bench.service.summarise([pid])[0].state is _S.RUNNING
    await asyncio.to_thread(gate.write_bytes, b"")
    assert (await bench.until(pid)).state is _S.COMPLETE
    calls = {one["text"]: one["call"] for one in bench.said("procedure.output.stream", pid)}
    assert calls == {"at work\n": "main", "beside\n": "console"}


def interrupted(guest, code):
    """Have code carried out, interrupt it once it prints that it has begun, and give the content of the reply."""
    msg_id = guest.client.execute(code)
    while guest.client.get_iopub_msg(timeout=DEADLINE)["content"].get("text") != "begun\n":
        pass
    guest.ask("interrupt_request", "control")
    return guest.reply(msg_id)


SLOW_READING = """
import threading
from IPython import get_ipython
def read(lines):
    if "slow" in lines[0]:
        print("begun", flush=True)
        while True: pass
    return lines
def init(): get_ipython().input_transformers_cleanup.append(read)
def main(): threading.Event().wait()
"""


async def test_interrupt_that_comes_before_the_code_is_answered_and_the_next_line_is_carried_out(bench):
    pid = await bench.ready(SLOW_READING)
    await bench.attachments.control(pid, "alice", True)
    await bench.start(pid)
    await bench.until(pid, _S.RUNNING)

    def typed(guest):
        guest.subshell()
        return interrupted(guest, "slow"), guest.execute("1 + 1")

    reply, behind = await guest_does(bench, pid, typed)
    assert (reply["status"], reply["ename"], behind["status"]) == ("error", "KeyboardInterrupt", "ok")


async def test_guests_interrupt_ends_what_was_typed_and_never_the_script(bench, tmp_path):
    os.mkfifo(gate := tmp_path / "gate")
    pid = await bench.ready(COUNTS)
    await bench.attachments.control(pid, "alice", True)
    await bench.start(pid, str(gate))
    await bench.until(pid, _S.RUNNING)

    def typed(guest):
        guest.subshell()
        guest.ask("interrupt_request", "control")  # nothing was typed: nothing is interrupted
        return interrupted(guest, "print('begun', flush=True)\nwhile True: pass")

    assert (await guest_does(bench, pid, typed))["ename"] == "KeyboardInterrupt"
    assert bench.service.summarise([pid])[0].state is _S.RUNNING
    await asyncio.to_thread(gate.write_bytes, b"")
    assert (await bench.until(pid)).state is _S.COMPLETE


async def test_interrupt_without_control_is_refused(bench, tmp_path):
    os.mkfifo(gate := tmp_path / "gate")
    pid = await bench.ready(COUNTS)
    await bench.start(pid, str(gate))
    await bench.until(pid, _S.RUNNING)
    reply = await guest_does(bench, pid, lambda guest: guest.ask("interrupt_request", "control"))
    assert reply["status"] == "error"
    await asyncio.to_thread(gate.write_bytes, b"")
    assert (await bench.until(pid)).state is _S.COMPLETE


async def test_control_is_one_persons_until_it_is_given_back(bench):
    pid = await bench.ready(IDLE)
    assert (await bench.attachments.control(pid, "alice", True)).control == "alice"
    assert (await bench.attachments.control(pid, "alice", True)).control == "alice"
    with pytest.raises(ControlTaken, match="alice has control"):
        await bench.attachments.control(pid, "bob", True)
    assert (await bench.attachments.control(pid, "bob", False)).control is None
    told = [(one["who"], one["taken"]) for one in bench.said("procedure.kernel.control", pid)]
    assert told == [("alice", True), ("bob", False)]
    reply = await guest_does(bench, pid, lambda guest: guest.execute("1"))
    assert reply["ename"] == "ReadOnly"


@anywhere()
async def test_only_one_of_two_who_take_control_at_once_has_it(bench):
    pid = await bench.ready(IDLE)
    takers = [bench.attachments.control(pid, who, True) for who in ("alice", "bob")]
    outcomes = await asyncio.gather(*takers, return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == ["KernelInfo", "ControlTaken"]


@anywhere()
async def test_control_ends_with_the_procedure(bench):
    pid = await bench.ready(IDLE)
    await bench.attachments.control(pid, "alice", True)
    await bench.service.stop(StopProcessCommand(pid))
    assert [one["taken"] for one in bench.said("procedure.kernel.control", pid)] == [True, False]
    with pytest.raises(NoKernel, match="STOPPED"):
        await bench.attachments.control(pid, "alice", True)


@anywhere()
async def test_there_is_nothing_to_look_into_before_the_kernel_is_up_and_where_there_is_no_procedure(bench):
    pid = await bench.create(IDLE)
    with pytest.raises(NoKernel):
        bench.attachments.kernel(pid)
    with pytest.raises(ResourceNotFound):
        bench.attachments.kernel(pid + 1)


async def test_stop_ends_a_kernel_whatever_is_typed_there(bench):
    pid = await bench.ready(IDLE)
    await bench.attachments.control(pid, "alice", True)
    connection = bench.attachments.kernel(pid).connection
    with attached(connection) as guest:
        guest.client.execute("while True: pass")
        await heard(bench, "procedure.console.input", pid, lambda fields: True)
        assert (await bench.service.stop(StopProcessCommand(pid))).stopped
    assert bench.service.summarise([pid])[0].state is _S.STOPPED


async def test_debugger_stands_where_a_failed_script_raised(make_bench):
    bench = make_bench(keep_failed_seconds=60.0)
    pid = await bench.ready(FAILS)
    await bench.start(pid)
    assert (await bench.until(pid)).state is _S.FAILED
    await bench.attachments.control(pid, "alice", True)

    def debug(guest):
        lines = iter(["p y", "up", "up", "p secret", "q"])
        return guest.execute("%debug", lambda prompt: next(lines))

    assert (await guest_does(bench, pid, debug))["status"] == "ok"
    await heard(bench, "procedure.console.input", pid, lambda fields: fields["code"] == "q")
    typed = [one["code"] for one in bench.said("procedure.console.input", pid)]
    assert typed == ["%debug", "p y", "up", "up", "p secret", "q"]
    output = bench.output(pid)
    assert "42\n" in output  # y, in the frame that raised
    assert "Oldest frame" in output  # above main there is nothing: the kernel's own frames are cut
    assert "7\n" in output
    assert bench.service.summarise([pid])[0].state is _S.FAILED


async def test_post_mortem_of_the_standard_library_works_too(make_bench):
    bench = make_bench(keep_failed_seconds=60.0)
    pid = await bench.ready(FAILS)
    await bench.start(pid)
    await bench.until(pid)
    await bench.attachments.control(pid, "alice", True)
    lines = iter(["p x", "q"])
    reply = await guest_does(bench, pid, lambda guest: guest.execute("import pdb; pdb.pm()", lambda _: next(lines)))
    assert reply["status"] == "ok"
    await heard(bench, "procedure.output.stream", pid, lambda fields: fields["text"] == "21\n")


async def test_control_outlives_the_service(tmp_path):
    first = Bench(tmp_path)
    pid = await first.ready(IDLE)
    await first.attachments.control(pid, "alice", True)
    await first.detach()
    second = Bench(tmp_path)
    try:
        await second.service.resume()
        assert second.attachments.kernel(pid).control == "alice"
        assert (await guest_does(second, pid, lambda guest: guest.execute("counter")))["status"] == "ok"
        typed = await heard(second, "procedure.console.input", pid, lambda fields: fields["code"] == "counter")
        assert typed["who"] == "alice"
        with pytest.raises(ControlTaken):
            await second.attachments.control(pid, "bob", True)
        assert (await second.attachments.control(pid, "bob", False)).control is None
    finally:
        await second.close()
