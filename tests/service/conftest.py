"""Services for tests of the service's rules: with kernels on this machine, or on another one."""

import pytest

from tests.conftest import Bench
from tests.service.far_kernel import FarHost
from tests.service.remote import REMOTE, RemoteSource

QUICK = {"interrupt_seconds": 0.05, "terminate_seconds": 0.05}
"""Seconds of a stop of kernels that answer at once, or never."""


@pytest.fixture
def far_host():
    """Another machine."""
    return FarHost()


@pytest.fixture
def bench_at(request, far_host):
    """Make services with kernels at a place: that of the test's parameter, or this machine."""

    def make(folder, place, **options):
        if place != REMOTE:
            return Bench(folder, **options)
        options.pop("fork_server", None)
        return Bench(folder, kernels=RemoteSource(far_host), **{**QUICK, **options})

    return make


@pytest.fixture
async def bench(request, tmp_path, bench_at):
    """A service in this process."""
    made = bench_at(tmp_path, getattr(request, "param", "local"))
    yield made
    await made.close()


@pytest.fixture
async def make_bench(request, tmp_path, bench_at):
    """Make services in this process with options of their own."""
    made = []

    def make(**options):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(bench_at(folder, getattr(request, "param", "local"), **options))
        return made[-1]

    yield make
    for one in made:
        await one.close()
