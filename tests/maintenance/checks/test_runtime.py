"""A fork server without a service is ended."""

import asyncio

import pytest

from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from oet_kernel.state.folder import StateFolder
from tests.maintenance.examining import problems


@pytest.mark.anyio
async def test_fork_server_without_a_service_is_ended(tmp_path):
    state = StateFolder(tmp_path / "state")
    fork_server = ForkServerSupervisor(state.runtime)
    fork_server.start()
    await fork_server.ready()
    assert fork_server._process is not None
    process = fork_server._process
    await fork_server._let_go()
    fork_server._connection.close()  # what it sees of a service that is killed
    state.close(keep_runtime=True)
    (one,) = await asyncio.to_thread(problems, state.path)
    assert one.about == "fork servers"
    assert await asyncio.to_thread(problems, state.path, fix=True) == []
    await asyncio.to_thread(process.wait, 15)
    assert await asyncio.to_thread(problems, state.path) == []
