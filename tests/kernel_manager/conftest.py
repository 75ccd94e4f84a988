"""What holds for kernels holds for those that are started plainly and those that are forked."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from oet_kernel.kernel_manager.forkserver.supervisor import ForkServerSupervisor
from tests.conftest import Bench


@asynccontextmanager
async def forking(*preload: str) -> AsyncIterator[ForkServerSupervisor]:
    """Run a fork server, and wait until it is ready."""
    with tempfile.TemporaryDirectory() as folder:
        made = ForkServerSupervisor(Path(folder), preload)
        made.start()
        try:
            await made.ready()
            yield made
        finally:
            await made.close()


@pytest.fixture
async def fork_server() -> AsyncIterator[ForkServerSupervisor]:
    """A fork server that is ready."""
    async with forking() as made:
        assert made.running
        yield made


@pytest.fixture(params=["plain", "forked"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """A service in this process, once without and once with a fork server."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(forking()) if request.param == "forked" else None
        made = Bench(tmp_path, fork_server=server)
        yield made
        await made.close()
