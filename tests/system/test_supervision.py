"""No task of the service dies unseen: a fault is counted, logged with its traceback, and costs its own work only."""

import asyncio

import pytest

from oet_kernel.kernel_manager.forkserver import supervisor as supervisor_module
from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from oet_kernel.system import supervision
from oet_kernel.system.supervision import Supervisor, supervise
from tests.conftest import Bench
from tests.maintenance.test_retention import Shelf

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def faults(monkeypatch):
    counted = type(supervision.faults)()
    monkeypatch.setattr(supervision, "faults", counted)
    return counted


async def fail():
    raise ZeroDivisionError("unforeseen")


async def test_fault_of_a_task_is_counted_and_logged_and_whoever_awaits_it_gets_it(faults, caplog):
    with pytest.raises(ZeroDivisionError):
        await supervise("the work", fail())
    assert faults == {"the work": 1}
    assert "Unexpected failure in the work" in caplog.text
    assert "Traceback" in caplog.text


async def test_cancelled_task_is_no_fault(faults):
    task = supervise("the work", asyncio.sleep(60))
    task.cancel()
    await asyncio.wait([task])
    assert not faults


async def test_supervisor_waits_for_what_it_has_started():
    supervisor, done = Supervisor(), []

    async def work():
        await asyncio.sleep(0)
        done.append("work")

    await supervisor.ended()  # of nothing
    supervisor.start("the work", work())
    await supervisor.ended()
    assert done == ["work"]


async def test_retention_tries_again_after_a_fault(tmp_path, faults, monkeypatch):
    monkeypatch.setattr("oet_kernel.maintenance.retention._EVERY", 0.0)
    shelf, tried = Shelf(tmp_path), asyncio.Event()

    async def trim():
        if faults["retention"] > 1:
            tried.set()
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr(shelf.retention, "trim", trim)
    shelf.retention.start()
    await asyncio.wait_for(tried.wait(), 30)
    await shelf.retention.stop()
    await shelf.journal.close()


async def unforeseen(*args, **kwargs):
    raise ZeroDivisionError("unforeseen")


async def test_pool_opens_although_a_fork_server_cannot_even_be_looked_for(tmp_path, faults, monkeypatch):
    supervisor = ForkServerSupervisor(tmp_path, [])
    supervisor.socket.touch()
    monkeypatch.setattr(supervisor_module.ForkServerConnection, "connect", unforeseen)
    bench = Bench(tmp_path, fork_server=supervisor)
    bench.pool.open()
    await asyncio.wait_for(bench.pool.opened(), 30)
    assert faults == {"the fork server": 1}
    await bench.close()


async def test_kernels_start_plainly_whatever_keeps_a_fork_server_from_starting(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(supervisor_module, "provide_packages", unforeseen)
    supervisor = ForkServerSupervisor(tmp_path, [])
    supervisor.start()
    await asyncio.wait_for(supervisor.ready(), 30)
    assert not supervisor.running
    assert "Kernels are started without the fork server, which takes longer: unforeseen" in caplog.text


async def test_end_of_a_kernel_is_told_although_other_fork_servers_cannot_be_asked(tmp_path, monkeypatch, faults):
    bench = Bench(tmp_path)
    monkeypatch.setattr(bench.pool._fork_servers, "_survey", unforeseen)
    ending = bench.pool._fork_servers.exit_statuses.ending(1, 1)
    bench.pool.open()
    await asyncio.wait_for(bench.pool.opened(), 30)
    assert await asyncio.wait_for(ending, 30) is None
    assert faults == {"asking the fork servers that were left here": 1}
    await bench.close()
