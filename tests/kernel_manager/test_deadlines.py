"""A kernel that does not do what a procedure waits for ends that procedure in time, with the kernel's last words."""

import os
import signal
from pathlib import Path

import pytest

from oet_kernel.errors import KernelSilent
from oet_kernel.kernel_manager.local import LocalKernel
from oet_kernel.models import ProcedureState
from oet_kernel.settings import KERNEL_DEADLINE, Ladder
from tests.conftest import Bench, gone

SHORT = 1.0
HELLO = "def main(): print('hello')"


@pytest.fixture
def hasty(make_bench) -> Bench:
    """A service that gives its kernels little time, once they are up."""
    made: Bench = make_bench(kernel_seconds=SHORT)
    made.pool._start_deadline = KERNEL_DEADLINE
    return made


def pretender(folder: Path, text: str) -> Path:
    """Write a program that is started for an interpreter."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.anyio
@pytest.mark.parametrize("words", ["ImportError: cannot import name 'JSONTextWriter'", ""])
async def test_kernel_that_never_gets_ready_is_given_up_with_its_last_words(make_bench, tmp_path, words):
    bench = make_bench(kernel_seconds=SHORT)
    python = pretender(tmp_path, f'echo "{words}" >&2; exec sleep 600')
    kernel = bench.pool.get(python)
    with pytest.raises(KernelSilent) as caught:
        await bench.pool.start(kernel)
    assert f"The kernel process {kernel.pid} was not ready within 1 s of its start." in str(caught.value)
    assert words in str(caught.value)
    assert await kernel.stop(Ladder(0.1, 0.1, 5.0))


@pytest.mark.anyio
async def test_kernel_that_ends_before_it_is_ready_is_not_waited_for(bench, tmp_path):
    python = pretender(tmp_path, "exit 3")
    kernel = bench.pool.get(python)
    assert not await bench.pool.start(kernel)


@pytest.mark.anyio
async def test_main_that_the_kernel_never_begins_is_a_failure(hasty):
    pid = await hasty.ready(HELLO)
    kernel = hasty.registry.find(pid).kernel
    os.kill(kernel.pid, signal.SIGSTOP)
    await hasty.start(pid)
    summary = await hasty.until(pid)
    assert summary.state is ProcedureState.FAILED
    assert f"The kernel process {kernel.pid} did not begin the requested step main within 1 s." in (
        summary.history.stacktrace or ""
    )
    assert await gone(kernel.pid)


@pytest.mark.anyio
async def test_script_that_the_kernel_never_loads_is_a_failure(hasty, monkeypatch):
    monkeypatch.setattr(LocalKernel, "ask", lambda self, request: None)
    pid = await hasty.create(HELLO)
    summary = await hasty.until(pid)
    assert summary.state is ProcedureState.FAILED
    assert "did not begin the requested step load" in (summary.history.stacktrace or "")


@pytest.mark.anyio
async def test_whoever_types_into_the_kernel_may_keep_it_from_main(hasty):
    pid = await hasty.ready(HELLO)
    execution = hasty.registry.find(pid)
    await hasty.attachments.control(pid, "somebody", True)
    assert execution.link.overdue("main")
    await hasty.attachments.control(pid, "somebody", False)
    assert not execution.link.overdue("main")
    assert (await hasty.until(pid)).state is ProcedureState.FAILED


@pytest.mark.anyio
@pytest.mark.parametrize("where", ["import", "init", "main"])
async def test_step_that_has_begun_may_take_its_time(hasty, where):
    rest = f"import threading; threading.Event().wait({SHORT * 1.5})"
    lines = {"import": "pass", "init": "pass", "main": "pass"} | {where: rest}
    text = f"{lines['import']}\ndef init():\n    {lines['init']}\ndef main():\n    {lines['main']}\n"
    summary = await hasty.run(text)
    assert summary.state is ProcedureState.COMPLETE, summary.history.stacktrace


@pytest.mark.anyio
async def test_stop_of_a_kernel_that_is_waited_for_is_a_stop(hasty):
    pid = await hasty.ready(HELLO)
    os.kill(hasty.registry.find(pid).kernel.pid, signal.SIGSTOP)
    await hasty.start(pid)
    await hasty.registry.find(pid).ending.stop()
    assert (await hasty.until(pid)).state is ProcedureState.STOPPED
