"""Procedures without a kernel and kernels without a procedure are told; what nobody can miss is ended."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oet_kernel.maintenance.doctor import Doctor
from oet_kernel.system.process_identity import start_of
from tests.conftest import Bench
from tests.maintenance.examining import found, problems

NOTHING = "def init(subarray_id=1): pass\ndef main(): pass\n"


async def ended(pid):
    """Wait for the end of a child of this process, and forget it."""
    await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WEXITED)


def test_folders_of_kernels_that_have_ended_are_removed(folder):
    left = folder / "kernels" / "old"
    left.mkdir(parents=True, mode=0o700)
    left.parent.chmod(0o700)
    (left / "iopub.jsonl").touch(mode=0o600)
    (one,) = found(folder, "leftovers")
    assert not one.problem
    assert [one.mended for one in found(folder, "leftovers", fix=True)] == [True]
    assert not left.exists()


def test_process_that_a_kernel_left_behind_is_ended(folder):
    env = {**os.environ, "OET_KERNEL_ID": f"{folder}/kernels/gone"}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=env) as left:
        # from its start to the moment when it runs its own program it carries what this process does
        while f"{folder}/kernels/gone" not in Path(f"/proc/{left.pid}/environ").read_text():
            assert left.poll() is None
        (one,) = found(folder, "kernels")
        assert one.problem
        assert str(left.pid) in one.text
        assert [one.mended for one in found(folder, "kernels", fix=True)] == [True]
        assert left.wait(60) == -signal.SIGKILL


@pytest.mark.anyio
async def test_procedure_at_work_without_a_service_is_told_and_left_alone(tmp_path):
    first = Bench(tmp_path)
    pid = await first.ready(NOTHING)
    kernel = first.registry.find(pid).kernel
    await first.detach()
    findings = await asyncio.to_thread(Doctor(first.state.path, fix=True).examine)
    (one,) = [one for one in findings if one.about == "procedures"]
    assert f"Procedure {pid} is READY" in one.text
    assert not one.problem
    assert start_of(kernel.pid) == kernel.record.started
    second = Bench(tmp_path)
    await second.service.resume()
    await second.close()


@pytest.mark.anyio
async def test_kernel_without_a_procedure_is_ended_and_nothing_is_left_of_it(tmp_path):
    first = Bench(tmp_path)
    kernel = first.pool.get(None)
    await first.pool.start(kernel)
    await first.detach()
    findings = await asyncio.to_thread(Doctor(first.state.path).examine)
    (one,) = [one for one in findings if one.about == "kernels"]
    assert one.problem
    assert str(kernel.pid) in one.text
    findings = await asyncio.to_thread(Doctor(first.state.path, fix=True).examine)
    assert [one.mended for one in findings if one.about == "kernels"] == [True]
    await ended(kernel.pid)
    assert not kernel.folder.exists()
    assert await asyncio.to_thread(problems, first.state.path) == []


@pytest.mark.anyio
async def test_procedure_whose_kernel_is_gone_is_told_and_the_next_service_records_it(tmp_path):
    first = Bench(tmp_path)
    pid = await first.ready(NOTHING)
    kernel = first.registry.find(pid).kernel
    await first.detach()
    os.kill(kernel.pid, signal.SIGKILL)
    await ended(kernel.pid)
    first.state.forget(kernel.folder)
    (one,) = await asyncio.to_thread(problems, first.state.path)
    assert one.about == "procedures"
    assert "was not found" in one.text
    second = Bench(tmp_path)
    await second.service.resume()
    assert (await second.until(pid)).state.name == "FAILED", "as the doctor said"
    await second.close()
