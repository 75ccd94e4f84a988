"""What a script can do in a process of its own, it can do in a kernel, whether that was started plainly or forked."""

import asyncio
import os
import textwrap
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from oet_kernel.models import ProcedureState
from tests.conftest import Bench
from tests.kernel_manager.conftest import forking

SCRIPTS = {
    "a pool of forked processes": """
        import multiprocessing
        def square(n): return n * n
        def main():
            with multiprocessing.get_context("fork").Pool(2) as pool: print(pool.map(square, range(4)))
    """,
    "a pool of spawned processes": """
        import multiprocessing
        from collections import Counter
        def main():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print([dict(counter) for counter in pool.map(Counter, ["ab"])])
    """,
    "a process pool of concurrent.futures": """
        import concurrent.futures
        def square(n): return n * n
        def main():
            with concurrent.futures.ProcessPoolExecutor(1) as pool: print(list(pool.map(square, range(4))))
    """,
    "a thread pool that is never closed": """
        import concurrent.futures
        pool = concurrent.futures.ThreadPoolExecutor(1)
        def main(): print(pool.submit(pow, 2, 5).result())
    """,
    "a process that is left running": """
        import multiprocessing, threading
        def main():
            forks = multiprocessing.get_context("fork")  # as it is by default before Python 3.14
            forks.Process(target=threading.Event().wait, daemon=True).start(); print("started")
    """,
    "output of a subprocess": """
        import subprocess
        def main():
            print(subprocess.run(["echo", "captured"], stdout=subprocess.PIPE, text=True).stdout, end="", flush=True)
            subprocess.run(["echo", "passed on"])
    """,
    "output of os.system": """
        import os
        def main(): print("before", flush=True); print(os.system("echo system"), flush=True)
    """,
    "a child's exit status": """
        import os
        def main():
            pid = os.fork()
            if pid == 0: os._exit(5)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """,
    "top-level await": """
        import asyncio, io, contextlib
        from IPython import get_ipython
        def main():
            cell = "import asyncio\\nawait asyncio.sleep(0)\\nresult = 1 + 1"
            shell = get_ipython()
            coroutine = shell.run_cell_async(cell, store_history=False, transformed_cell=shell.transform_cell(cell))
            print(asyncio.run(coroutine).success, shell.user_ns["result"])
    """,
    "pickle": """
        import dataclasses, pickle
        @dataclasses.dataclass
        class Scan: seconds: float
        def main(): print(pickle.loads(pickle.dumps(Scan(1.5))))
    """,
    "the source of a function": """
        import inspect
        def main(): print(inspect.getsource(main).strip().splitlines()[0])
    """,
    "a plot": """
        import matplotlib.pyplot as plt
        def main(): plt.plot([1, 2, 3]); plt.show(); print(plt.get_backend().rpartition(".")[2])
    """,
    "numpy": """
        import numpy
        def main(): print(numpy.linalg.svd(numpy.ones((200, 200)))[1][0].round())
    """,
    "shared memory": """
        from multiprocessing import shared_memory
        def main():
            block = shared_memory.SharedMemory(create=True, size=8)
            block.buf[0] = 42; print(block.buf[0]); block.close(); block.unlink()
    """,
    "a handler of SIGTERM and of SIGALRM": """
        import os, signal
        def main():
            for one in (signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD):
                before = signal.signal(one, lambda number, frame: print(signal.Signals(number).name))
                os.kill(os.getpid(), one)
                signal.signal(one, before)
    """,
    "a broken pipe": """
        import os
        def main():
            read, write = os.pipe(); os.close(read)
            try: os.write(write, b"x")
            except BrokenPipeError as error: print(type(error).__name__)
    """,
    "a timer": """
        import signal, time
        def main():
            signal.signal(signal.SIGALRM, signal.default_int_handler)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.01)
                time.sleep(10)
            except KeyboardInterrupt: print("interrupted")
    """,
}
SAID = {
    "a pool of forked processes": "[0, 1, 4, 9]\n",
    "a pool of spawned processes": "[{'a': 1, 'b': 1}]\n",
    "a process pool of concurrent.futures": "[0, 1, 4, 9]\n",
    "a thread pool that is never closed": "32\n",
    "a process that is left running": "started\n",
    "output of a subprocess": "captured\npassed on\n",
    "output of os.system": "before\nsystem\n0\n",
    "a child's exit status": "5\n",
    "top-level await": "True 2\n",
    "pickle": "Scan(seconds=1.5)\n",
    "the source of a function": "def main(): print(inspect.getsource(main).strip().splitlines()[0])\n",
    "a plot": "backend_inline\n",
    "numpy": "200.0\n",
    "shared memory": "42\n",
    "a handler of SIGTERM and of SIGALRM": "SIGTERM\nSIGALRM\nSIGCHLD\n",
    "a broken pipe": "BrokenPipeError\n",
    "a timer": "interrupted\n",
}


class Outcome(NamedTuple):
    """What became of a script."""

    state: ProcedureState
    stacktrace: str | None
    said: str
    displayed: int
    forked: bool


async def run_all(folder: Path) -> dict[tuple[str, str], Outcome]:
    """Run every script in a kernel of each kind, some at once."""
    outcomes = {}
    async with forking() as server:
        assert server.running
        for kind, fork_server in (("plain", None), ("forked", server)):
            (folder / kind).mkdir()
            bench = Bench(folder / kind, fork_server=fork_server, history=100, exclusive=False)
            turn = asyncio.Semaphore(3)

            async def run(name: str, bench: Bench = bench, turn: asyncio.Semaphore = turn) -> Outcome:
                async with turn:
                    text = textwrap.dedent(SCRIPTS[name])
                    pid = await bench.ready(text, name=f"script_{list(SCRIPTS).index(name)}.py")
                    kernel = bench.registry.find(pid).kernel
                    assert kernel is not None
                    forked = psutil.Process(kernel.pid).ppid() != os.getpid()
                    await bench.start(pid)
                    summary = await bench.until(pid)
                    displayed = len(bench.said("procedure.output.display", pid))
                    trace = summary.history.stacktrace
                    said = bench.output(pid)
                    return Outcome(summary.state, trace, said, displayed, forked)

            for name, outcome in zip(SCRIPTS, await asyncio.gather(*map(run, SCRIPTS)), strict=True):
                outcomes[kind, name] = outcome
            await bench.service.close()
            bench.state.close()
    return outcomes


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Outcome]:
    return asyncio.run(run_all(tmp_path_factory.mktemp("scripts")))


@pytest.mark.parametrize("kind", ["plain", "forked"])
@pytest.mark.parametrize("what", SCRIPTS)
def test_script_has(outcomes, what, kind):
    outcome = outcomes[kind, what]
    assert outcome.state is ProcedureState.COMPLETE, outcome.stacktrace
    assert outcome.said == SAID[what]
    assert outcome.forked == (kind == "forked")


@pytest.mark.parametrize("kind", ["plain", "forked"])
def test_plot_is_displayed(outcomes, kind):
    assert outcomes[kind, "a plot"].displayed == 1
