"""A script that runs out of what the system grants, or takes it from the kernel, is FAILED: with its own error where
there is a way left to tell it, else by the end of the process."""

import asyncio
import tempfile
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest

from oet_kernel.models import ProcedureState
from tests.conftest import Bench
from tests.kernel_manager.conftest import forking

OWN = "raise ValueError('its own')"
FEW = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))\n"
EXHAUSTED = {
    "files": (
        "kept = []\ndef main():\n while True: kept.append(open('/dev/null'))",
        "Too many open files: '/dev/null'",
    ),
    "sockets": (
        "import socket\nkept = []\ndef main():\n while True: kept.append(socket.socket())",
        "OSError: [Errno 24] Too many open files",
    ),
    "pipes": (
        "import os\nkept = []\ndef main():\n while True: kept.append(os.pipe())",
        "OSError: [Errno 24] Too many open files",
    ),
    "subprocesses": (
        "import subprocess\nkept = []\ndef main():\n"
        " while True: kept.append(subprocess.Popen('true', stdin=subprocess.PIPE))",
        "OSError: [Errno 24] Too many open files",
    ),
    "files in init": (
        "kept = []\ndef init():\n while True: kept.append(open('/dev/null'))\ndef main(): pass",
        "Too many open files: '/dev/null'",
    ),
    "files at import": (
        "kept = []\nwhile True: kept.append(open('/dev/null'))\ndef main(): pass",
        "Too many open files: '/dev/null'",
    ),
    "a lower limit of files": (
        f"import resource\ndef main():\n resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8)); {OWN}",
        "ValueError: its own",
    ),
    "memory, in large pieces": (
        "import resource\nkept = []\ndef main():\n"
        " resource.setrlimit(resource.RLIMIT_AS, (1 << 29, -1))\n while True: kept.append(bytearray(1 << 24))",
        "MemoryError",
    ),
    "memory, in small pieces": (
        "import resource\nkept = []\ndef main():\n"
        " resource.setrlimit(resource.RLIMIT_AS, (1 << 29, -1))\n while True: kept.append('x' * 100 + str(len(kept)))",
        "MemoryError",
    ),
    "threads": (
        "import resource, threading\ngate = threading.Event()\ndef main():\n"
        " resource.setrlimit(resource.RLIMIT_AS, (1 << 30, -1))\n"
        " while True: threading.Thread(target=gate.wait, daemon=True).start()",
        "can't start new thread",
    ),
    "disk": ("def main():\n open('/dev/full', 'w', buffering=1).write('x\\n')", "No space left on device"),
    "stack": ("def main(): return main()", "RecursionError"),
}
TAKEN = {
    "builtins": f"import builtins\ndef main():\n"
    f" for name in ('len', 'isinstance', 'open', 'str', 'getattr'): delattr(builtins, name)\n {OWN}",
    "modules": f"import sys\ndef main():\n sys.modules.clear(); {OWN}",
    "signals": f"import signal\ndef main():\n signal.signal = None; {OWN}",
    "clocks": f"import time\ndef main():\n time.time = None; {OWN}",
    "system calls": f"import os\ndef main():\n os.write = os.read = None; {OWN}",
    "tracebacks": f"import traceback, msgspec\ndef main():\n"
    f" traceback.TracebackException = msgspec.json.encode = None; {OWN}",
    "a trace function": "import sys\ndef trace(*_): raise KeyError('its own')\ndef main():\n"
    " sys.settrace(trace); max()",
    "the depth of the stack": f"import sys\ndef main():\n sys.setrecursionlimit(60); {OWN}",
    "all descriptors": f"import os\ndef main():\n os.closerange(3, 1024); {OWN}",
    "the process": "import os\ndef main(): os._exit(7)",
}


for name in ("files", "sockets", "pipes", "subprocesses", "files in init", "files at import"):
    EXHAUSTED[name] = (FEW + EXHAUSTED[name][0], EXHAUSTED[name][1])


async def run_all() -> dict[str, tuple[ProcedureState, str]]:
    """Run every script, some at once, in forked kernels."""
    scripts = {name: text for name, (text, _) in EXHAUSTED.items()} | TAKEN
    with tempfile.TemporaryDirectory() as folder:
        async with forking() as server:
            bench = Bench(Path(folder), fork_server=server, history=100, exclusive=False)
            turn = asyncio.Semaphore(3)

            async def run(name: str) -> tuple[ProcedureState, str]:
                async with turn:
                    file = f"script_{list(scripts).index(name)}.py"
                    pid = await bench.create(textwrap.dedent(scripts[name]), name=file)
                    if (await bench.until(pid, ProcedureState.READY)).state is ProcedureState.READY:
                        await bench.start(pid)
                    with suppress(TimeoutError):  # the others are to be judged
                        await bench.until(pid)
                    summary = bench.service.summarise([pid])[0]
                    return summary.state, summary.history.stacktrace or ""

            outcomes = dict(zip(scripts, await asyncio.gather(*map(run, scripts)), strict=True))
            await bench.close()
    return outcomes


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[ProcedureState, str]]:
    return asyncio.run(run_all())


@pytest.mark.parametrize("what", EXHAUSTED)
def test_script_that_has_run_out_of(outcomes, what):
    state, trace = outcomes[what]
    assert state is ProcedureState.FAILED
    assert EXHAUSTED[what][1] in trace


@pytest.mark.parametrize("what", TAKEN)
def test_script_that_takes_away(outcomes, what):
    state, trace = outcomes[what]
    assert state is ProcedureState.FAILED
    assert "its own" in trace or "The kernel process ended with" in trace
