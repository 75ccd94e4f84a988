"""The pool: a warm kernel is handed out, kept, or ended, but never forgotten."""

import asyncio

import pytest

from oet_kernel.kernel_manager.local import LocalKernel
from tests.conftest import Bench

pytestmark = pytest.mark.anyio


@pytest.fixture
async def starting(tmp_path, monkeypatch):
    """A pool whose first warm kernel is being started, until the gate is opened."""
    gate, at_gate, start = asyncio.Event(), asyncio.Event(), LocalKernel._start

    async def slow(self):
        at_gate.set()
        await gate.wait()
        await start(self)

    monkeypatch.setattr(LocalKernel, "_start", slow)
    bench = Bench(tmp_path, warm_kernels=1)
    bench.pool.open()
    await at_gate.wait()
    yield bench, gate
    await bench.close()
    assert list((bench.state.path / "kernels").iterdir()) == []


async def test_kernel_that_is_being_started_is_not_forgotten_when_the_pool_is_refilled(starting):
    bench, gate = starting
    (kernel,) = bench.pool._warm
    bench.pool._refill()
    assert bench.pool._warm == [kernel]
    gate.set()
    await bench.pool.opened()
    assert bench.pool._warm == [kernel]
    assert kernel.alive
    await bench.service.close()
    assert not kernel.alive


async def test_request_does_not_end_the_kernel_that_is_being_started(starting):
    bench, gate = starting
    (kernel,) = bench.pool._warm
    other = bench.pool.get(None)
    assert other is not kernel
    assert bench.pool._warm == [kernel]
    gate.set()
    await bench.pool.opened()
    assert bench.pool.get(None) is kernel
    for one in (kernel, other):
        await one.stop(bench.settings.ladder)
        await one.forget()


async def test_warm_kernel_that_has_died_is_replaced_and_its_folder_removed(starting):
    bench, gate = starting
    gate.set()
    await bench.pool.opened()
    (kernel,) = bench.pool._warm
    await kernel.stop(bench.settings.ladder)
    bench.pool._refill()
    await bench.pool.opened()
    (fresh,) = bench.pool._warm
    assert fresh is not kernel
    assert fresh.alive
