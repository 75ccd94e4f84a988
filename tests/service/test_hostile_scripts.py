"""Whatever a script says, in whatever way, costs that message alone: its procedure ends, others are not touched."""

import asyncio

import msgspec
import pytest

from oet_kernel.models import ProcedureState as S
from oet_kernel.models import StopProcessCommand
from oet_kernel.service.execution import Execution
from tests.conftest import Bench, gone

pytestmark = pytest.mark.anyio

POISON = """
import json, threading, time
from contextlib import suppress
from pathlib import Path
from IPython import get_ipython
from IPython.display import display
from oet_kernel.api import publish

kernel = get_ipython().kernel
journal = Path(kernel.parent.journal_folder) / "iopub.jsonl"

def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value

def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()

def refused(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except (ValueError, TypeError, RecursionError) as error:
        publish("user.refused", said=str(error))

def record(kind, content, call="main", at=1.0):
    head = json.dumps({"n": 1, "t": at, "type": kind, "call": call})[:-1]
    return f'{head},"content":{content}}}\\n'.encode()

def main():
    for levels in (100, 500, 960, 985):
        refused(publish, "user.deep", x=nested(levels))
        in_thread(lambda: refused(publish, "user.deep", x=nested(levels)))
        in_thread(lambda: refused(display, {"application/json": nested(levels)}, raw=True))
    refused(publish, "user.large", x="x" * (17 << 20))
    refused(publish, "user.many", x=[0] * 1_000_001)
    display({"text/plain": "x" * (17 << 20)}, raw=True)
    refused(kernel._publisher.send, "oet_event", b'{"topic":"user.x","v":' + b"[" * 500 + b"]" * 500 + b"}")
    kernel._publisher.send("stream", json.dumps({"name": "stdout", "text": "y" * (3 << 20)}).encode())
    topics = ["procedure.lifecycle.statechange", "procedure.lifecycle.complete", "request.procedure.stop"]
    topics += ["procedure.kernel.control", "procedure.console.input", "activity.lifecycle.running", "activity"]
    for topic in topics:
        publish(topic, new_state="COMPLETE", who="alice", taken=True, code="1", text="forged", cmd={"process_uid": 1})
    with open(journal, "ab") as file:
        for topic in topics:
            for kind in ("oet_event", "oet_told"):
                file.write(record(kind, json.dumps({"topic": topic, "msg_src": "777", "new_state": "COMPLETE"})))
        kinds = ["oet_event", "oet_told", "oet_call", "oet_subscribe", "oet_idle", "oet_control", "oet_pause", "stream"]
        kinds += ["display_data", "comm_open", "comm_msg", "clear_output", "error", "oet_kernel", "x" * 5000]
        for kind in kinds:
            for content in ("null", "[]", '{"topic":7}', '"x"', "1e999", "{}", "9" * 5000, "[" * 5000 + "]" * 5000,
                            '{"data":%s}' % ("[" * 300 + "]" * 300), '{"topic":"user.x","v":1e999}'):
                file.write(record(kind, content))
        file.write(record("oet_control", '{"who":"alice","taken":true}'))
        file.write(record("oet_pause", '{"phase":"pausing","who":"alice"}'))
        file.write(record("oet_pause", '{"phase":"paused","checkpoint":"x"}'))
        file.write(record("oet_event", '{"topic":"user.late","msg_src":"1"}', at=1e300))
        file.write(record("oet_event", '{"topic":"user.early","msg_src":"1"}', at=-1))
        file.write(record("oet_event", '{"topic":"user.x","msg_src":"1"}', call="c" * 1000))
        file.write(b"z" * (40 << 20) + b"\\n")
        file.write(bytes(range(256)) + b"\\n")
    print("on")
    publish("user.last")
    return nested(985)
"""


async def test_script_that_says_what_cannot_be_taken_costs_that_alone(make_bench):
    bench = make_bench(exclusive=False)
    other = await bench.ready("def main(): pass\n", name="other.py")
    summary = await bench.run(POISON)
    pid = summary.id
    assert summary.state is S.COMPLETE, summary.history.stacktrace
    assert [state.name for state, _ in summary.history.process_states][-3:] == ["RUNNING", "READY", "COMPLETE"]
    assert summary.returned.text
    assert summary.pause is None
    assert summary.requested_by == {}
    assert bench.said("user.last", pid)
    assert bench.output(pid).endswith("on\n")
    refusals = [event["said"] for event in bench.said("user.refused", pid)]
    assert sum("nests more than 100 levels deep" in one for one in refusals) >= 9
    assert any("16,777,216 are allowed" in one for one in refusals)
    assert any("1,000,000 are allowed" in one for one in refusals)
    assert "y" * (3 << 20) in bench.output(pid)
    assert "display_data has 17," in bench.output(pid, "stderr")
    assert all(event["msg_src"] == str(pid) for event in bench.said("user.late", pid))
    assert [event["origin"] for event in bench.said("procedure.kernel.control", pid)] == ["script"] * 3
    forged = [one for one in bench.events if one.procedure == pid and not one.service_topic]
    assert {one.topic for one in forged} >= {"procedure.lifecycle.statechange", "procedure.console.input"}
    assert all(msgspec.json.decode(one.data)["origin"] == "script" for one in forged)
    assert bench.registry.find(pid).link.control.holder is None
    assert bench.journal.set_aside.counts["records"] > 50
    assert all(len(event.data) <= 17 << 20 and event.at < 5e9 for event in bench.events)
    await bench.start(other)
    assert (await bench.until(other)).state is S.COMPLETE


async def test_kernel_that_is_idle_while_its_procedure_runs_is_noticed(bench):
    summary = await bench.run("""
from IPython import get_ipython
def main():
    publisher = get_ipython().kernel._publisher
    send = publisher.send
    publisher.send = lambda kind, content, **how: None if kind == "oet_call" else send(kind, content, **how)
""")
    assert summary.state is S.FAILED
    assert "The kernel is idle, but the procedure is RUNNING" in summary.history.stacktrace


async def test_init_whose_end_is_lost_is_noticed(bench):
    pid = await bench.create("""
from IPython import get_ipython
def init():
    publisher = get_ipython().kernel._publisher
    send = publisher.send
    publisher.send = lambda kind, content, **how: None if kind == "oet_call" else send(kind, content, **how)
def main(): pass
""")
    summary = await bench.until(pid, S.READY)
    assert summary.state is S.FAILED
    assert "The kernel is idle" in summary.history.stacktrace


async def test_procedure_whose_kernel_cannot_be_read_fails_and_frees_whoever_waits(bench):
    pid = await bench.ready("import time\ndef main():\n    print('on')\n    time.sleep(1000)\n")
    kernel = bench.registry.find(pid).kernel

    def torn(most=0):
        raise OSError(5, "Input/output error")

    kernel._reader.read = torn
    await bench.start(pid)
    summary = await bench.until(pid)
    assert summary.state is S.FAILED
    assert "cannot be read any more" in summary.history.stacktrace
    assert "Input/output error" in summary.history.stacktrace
    async with asyncio.timeout(20):
        await bench.service.stop(StopProcessCommand(pid))
    assert await gone(kernel.pid)


async def test_procedure_that_is_not_taken_up_in_time_keeps_no_other_from_it(tmp_path, monkeypatch):
    first = Bench(tmp_path)
    await first.service.resume()
    late, other = [await first.ready("def main(): pass\n") for _ in range(2)]
    await first.detach()
    go_on, resume = asyncio.Event(), Execution.resume

    async def slow(execution, found):
        if execution.id == late:
            await go_on.wait()
        await resume(execution, found)

    monkeypatch.setattr(Execution, "resume", slow)
    monkeypatch.setattr("oet_kernel.service.restoration.RESUME_SECONDS", 0.1)
    bench = Bench(tmp_path)
    await bench.service.resume()
    assert bench.service.is_resumed
    await bench.start(other)
    assert (await bench.until(other)).state is S.COMPLETE
    go_on.set()
    await bench.start(late)
    assert (await bench.until(late)).state is S.COMPLETE
    await bench.close()
