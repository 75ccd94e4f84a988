"""Whatever a script publishes, prints, shows and returns, and whatever its kernel's journal holds, its end is told."""

import asyncio
import json
import pickle
import tempfile
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from oet_kernel.models import ProcedureState as S
from oet_kernel.models import StopProcessCommand
from oet_kernel.protocol import JOURNAL
from tests.conftest import DEADLINE, Bench
from tests.fuzz import strategies as odd

SPEAKS = """
import pickle, sys
from IPython.display import display
from oet_kernel.api import publish

def attempt(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except (ValueError, TypeError, RecursionError) as error:
        return str(error)

def main():
    for topic, fields, value in pickle.loads({values!r}):
        attempt(publish, topic, **fields)
        attempt(print, value)
        attempt(display, {{"application/json": value, "text/plain": value}}, raw=True)
        attempt(display, value, metadata=fields)
    publish("user.last")
    return value
"""
WAITS = "import time\ndef main():\n    while True: time.sleep(0.01)\n"
TYPES = (
    "oet_event", "oet_told", "oet_call", "oet_subscribe", "oet_idle", "oet_control", "oet_pause", "oet_kernel",
    "stream", "display_data", "update_display_data", "execute_result", "execute_input", "error", "status",
    "clear_output",
    "comm_open", "comm_msg", "",
)  # fmt: skip

keywords = st.dictionaries(
    st.text(st.characters(), max_size=8) | st.sampled_from(("msg_src", "new_state", "origin")), odd.values
)
spoken = st.lists(st.tuples(odd.topics, keywords, odd.values), min_size=30, max_size=60)


def line(kind, call, at, content):
    """Write a record as a kernel does, but for what it says."""
    head = json.dumps({"n": 1, "t": at, "type": kind, "call": call})
    return head.encode("utf-8", "surrogatepass")[:-1] + b',"content":' + content + b"}\n"


records = (
    st.builds(line, st.sampled_from(TYPES) | odd.texts, odd.values, odd.scalars, odd.documents)
    | st.builds(
        line,
        st.sampled_from(TYPES),
        st.sampled_from(("main", "init", None)),
        st.just(1.0),
        odd.fields("topic", "msg_src", "phase", "who", "taken", "name", "text", "data", "checkpoint", "id").map(
            odd.encode
        ),
    )
    | odd.documents.map(lambda document: document + b"\n")
)


def check(bench, pid, other):
    """See that nothing of the service's own was said by the script, and that nothing failed but what it said."""
    for event in bench.events:
        if event.procedure == pid and not event.service_topic:
            assert msgspec.json.decode(event.data)["msg_src"] == str(pid)
    assert bench.registry.find(other).state is S.READY


def play(scenario):
    """Play a scenario in a service in which somebody else's script waits; that runs to its end afterwards."""

    async def work(folder):
        bench = Bench(folder, exclusive=False)
        try:
            other = await bench.ready("def main(): pass\n", name="other.py")
            await scenario(bench, other)
            await bench.start(other)
            assert (await bench.until(other)).state is S.COMPLETE
        finally:
            await bench.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(work(Path(folder)))


@settings(max_examples=3)
@given(spoken)
def test_script_may_say_anything(values):
    async def speak(bench, other):
        pid = await bench.ready(SPEAKS.format(values=pickle.dumps(values)), name="speaks.py", subarray_id=2)
        await bench.start(pid)
        summary = await bench.until(pid)
        assert summary.state is S.COMPLETE, summary.history.stacktrace
        assert bench.said("user.last", pid)
        check(bench, pid, other)

    play(speak)


@settings(max_examples=3)
@given(st.lists(records, min_size=60, max_size=120))
def test_journal_of_a_kernel_may_hold_anything(lines):
    async def forge(bench, other):
        pid = await bench.ready(WAITS, name="waits.py")
        await bench.start(pid)
        kernel = bench.registry.find(pid).kernel
        heard = asyncio.Event()
        bench.bus.tap(lambda event: event.topic == "user.behind" and heard.set())
        with open(kernel.folder / JOURNAL, "ab") as journal:  # noqa: ASYNC230 - a file of the test
            journal.write(b"".join(lines))
            journal.write(b"\n" + line("oet_event", "main", 1.0, b'{"topic":"user.behind","msg_src":"1"}'))
        kernel._reader.ring()
        await asyncio.wait_for(heard.wait(), DEADLINE)
        check(bench, pid, other)
        await bench.service.stop(StopProcessCommand(pid))
        assert (await bench.until(pid)).state in (S.STOPPED, S.FAILED)

    play(forge)
