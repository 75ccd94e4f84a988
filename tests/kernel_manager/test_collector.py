"""What a script writes is journaled in its order, whatever becomes of the process that does it."""

import asyncio
import os
import signal

import msgspec
import pytest

from oet_kernel.models import ProcedureState, StopProcessCommand
from tests.conftest import gone

pytestmark = pytest.mark.anyio

HEAD = """
import ctypes, os, select, signal, subprocess, sys, threading
from oet_kernel.api import publish

def collector():
    mine = os.readlink("/proc/self/fd/1")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as name:
                if name.read().strip() != "oet-collector":
                    continue
            if mine in map(target, [f"/proc/{pid}/fd/{one}" for one in os.listdir(f"/proc/{pid}/fd")]):
                return int(pid)
        except OSError:
            continue

def target(path):
    try:
        return os.readlink(path)
    except OSError:  # closed meanwhile
        return None

def tell(**fields): publish("user.script.announce", **fields)

def end_collector():
    pid = collector()
    handle = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([handle], [], [])
"""
AFTER = {
    "print": ("print('after')", "after\n"),
    "a subprocess": ("subprocess.run(['echo', 'after'])", "after\n"),
    "C": ("ctypes.CDLL(None).write(1, b'after\\n', 6)", "after\n"),
    "more than a pipe holds": ("print('x' * 300_000)", "x" * 300_000 + "\n"),
    "more, by a subprocess": (
        "subprocess.run('head -c 300000 /dev/zero | tr \"\\\\0\" x', shell=True); print()",
        "x" * 300_000 + "\n",
    ),
    "print and publish": ("[(print(n), tell(n=n)) for n in range(100)]", "".join(f"{n}\n" for n in range(100))),
    "a thread": ("one = threading.Thread(target=print, args=['after']); one.start(); one.join()", "after\n"),
    "death": ("print('after', flush=True); tell(); os._exit(3)", "after\n"),
}


@pytest.mark.parametrize("what", AFTER)
async def test_nothing_is_lost_with_the_collector(bench, what):
    body, told = AFTER[what]
    summary = await bench.run(f"{HEAD}def main():\n    print('before'); tell()\n    end_collector()\n    {body}\n")
    assert summary.state is (ProcedureState.FAILED if what == "death" else ProcedureState.COMPLETE)
    assert bench.output(summary.id) == "before\n" + told


async def test_kernels_that_share_a_collector_all_survive_it(bench):
    middles = ("end_collector()", "[print(n) for n in range(1000)]", "subprocess.run(['sh', '-c', 'echo a'])")
    texts = [
        f"{HEAD}def main(subarray_id):\n    print('x' * 100_000)\n    {middle}\n    print('y' * 100_000)\n"
        for middle in middles
    ]
    pids = [await bench.ready(text, name=f"{n}.py") for n, text in enumerate(texts)]
    for n, pid in enumerate(pids):
        await bench.start(pid, subarray_id=n)
    for pid in pids:
        assert (await bench.until(pid)).state is ProcedureState.COMPLETE
        # a chunk that was journaled, and not yet taken out of its pipe, is journaled again
        assert min(bench.output(pid).count(letter) for letter in "xy") >= 100_000


async def test_kernels_that_come_after_the_end_of_a_collector_have_another(bench):
    ids = []
    for end in ("end_collector()", "pass"):
        summary = await bench.run(f"{HEAD}def main(): print('a'); tell(collector=collector()); {end}; print('b')")
        assert summary.state is ProcedureState.COMPLETE
        assert bench.output(summary.id) == "a\nb\n"
        (told,) = bench.said("user.script.announce", summary.id)
        ids.append(told["collector"])
    assert None not in ids
    assert ids[0] != ids[1]


async def test_stop_ends_what_a_frozen_collector_holds_up(bench, tmp_path):
    """And what was written meanwhile is there, once it goes on."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    text = (
        f"{HEAD}def main():\n    pid = collector(); tell(collector=pid); os.kill(pid, signal.SIGSTOP)\n"
        f"    print('x' * 60_000); open({str(gate)!r}, 'w').close(); os.write(1, b'y' * 300_000)\n"
    )
    pid = await bench.ready(text)
    await bench.start(pid)
    (await asyncio.to_thread(gate.open)).close()
    kernel = bench.registry.find(pid).kernel.pid
    stopping = asyncio.create_task(bench.service.stop(StopProcessCommand(pid)))
    assert await gone(kernel)
    (told,) = bench.said("user.script.announce", pid)
    os.kill(told["collector"], signal.SIGCONT)
    await stopping
    assert (await bench.until(pid)).state is ProcedureState.STOPPED
    assert bench.output(pid).startswith("x" * 60_000)


async def test_collector_ends_with_the_last_that_it_reads_for(bench):
    summary = await bench.run(f"{HEAD}def main(): tell(collector=collector())")
    (told,) = bench.said("user.script.announce", summary.id)
    await bench.pool.close()
    assert await gone(told["collector"])


REENTRY = {
    "a handler that prints and publishes": (
        "def handle(*_): n = next(numbers); print(f'<{n}>'); tell(n=n)\n",
        "",
    ),
    "a handler that waits for a thread that does": (
        "def speak(n): print(f'<{n}>'); tell(n=n)\n"
        "def handle(*_): one = threading.Thread(target=speak, args=[next(numbers)]); one.start(); one.join()\n",
        "",
    ),
    "a finaliser": (
        "class One:\n    def __del__(self): n = next(numbers); print(f'<{n}>'); tell(n=n)\n"
        "def handle(*_): One()\n",
        "",
    ),
    "a trace function": (
        "def trace(*_):\n    if not busy:\n        busy.append(1); n = next(numbers)\n"
        "        print(f'<{n}>'); tell(n=n); busy.clear()\n"
        "busy = []\ndef handle(*_): pass\n",
        "sys.setprofile(trace)",
    ),
    "a handler that logs": (
        "import logging\ndef handle(*_): n = next(numbers); logging.warning(f'<{n}>'); tell(n=n)\n",
        "",
    ),
    "a handler that starts a process": (
        "def handle(*_): n = next(numbers); subprocess.run(['echo', f'<{n}>']); tell(n=n)\n",
        "",
    ),
    "a handler that forks": (
        "def handle(*_):\n    n = next(numbers); pid = os.fork()\n"
        "    if not pid: os.write(1, b'<%d>\\n' % n); os._exit(0)\n"
        "    os.waitpid(pid, 0); tell(n=n)\n",
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REENTRY)
async def test_what_interrupts_an_output_may_speak_and_is_told_in_its_order(bench, what):
    head, begin = REENTRY[what]
    text = (
        f"{HEAD}import itertools\nnumbers = itertools.count()\n{head}"
        "def again(*_): handle(); signal.setitimer(signal.ITIMER_REAL, 0.003)\n"
        "def main():\n    signal.signal(signal.SIGALRM, again); signal.setitimer(signal.ITIMER_REAL, 0.001)\n"
        f"    {begin or 'pass'}\n"
        "    for n in range(200): print(f'[{n}]'); tell(main=n)\n"
        "    sys.setprofile(None); signal.signal(signal.SIGALRM, signal.SIG_IGN); print('END')\n"
    )
    summary = await bench.run(text)
    assert summary.state is ProcedureState.COMPLETE, summary.history.stacktrace
    written, spoken = "", 0
    for event in bench.events:
        if event.procedure == summary.id and event.topic in ("procedure.output.stream", "user.script.announce"):
            fields = msgspec.json.decode(event.data)
            if "text" in fields:
                written += fields["text"]
            elif "n" in fields or "main" in fields:
                mark = f"<{fields['n']}>" if "n" in fields else f"[{fields['main']}]"
                assert mark in written, "an event overtakes what was written before it"
                spoken += "n" in fields
    assert written.endswith("END\n")
    assert spoken > 0
