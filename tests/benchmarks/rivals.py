"""The references: what Jupyter and Tornado do by themselves, with nothing of ours."""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import AsyncKernelManager, KernelManager

_HANDLER = """
import asyncio, sys
import tornado.web
body = sys.stdin.buffer.read()
class Handler(tornado.web.RequestHandler):
    def get(self):
        self.set_header("Content-Type", "application/json")
        self.finish(body)
async def main():
    server = tornado.web.Application([("/", Handler)]).listen(0, "127.0.0.1")
    print(next(iter(server._sockets.values())).getsockname()[1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@contextmanager
def plain_kernel() -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    """Start an ipykernel as any Jupyter program does, up to its first reply; end it."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    client.kernel_info(reply=True, timeout=60)
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def start_plain() -> float:
    """Time the start of a plain kernel; milliseconds."""
    began = time.perf_counter()
    with plain_kernel():
        return (time.perf_counter() - began) * 1e3


def execute_round_trip(client: BlockingKernelClient) -> float:
    """Time one execution of nothing on a kernel that is there; milliseconds."""
    began = time.perf_counter()
    sent = client.execute("pass", silent=False, store_history=False)
    idle = replied = False
    while not idle:
        message = client.get_iopub_msg(timeout=30)
        idle = message["parent_header"].get("msg_id") == sent and message["content"].get("execution_state") == "idle"
    while not replied:
        replied = client.get_shell_msg(timeout=30)["parent_header"].get("msg_id") == sent
    return (time.perf_counter() - began) * 1e3


async def _one_plain() -> AsyncKernelManager:
    manager = AsyncKernelManager(kernel_name="python3")
    await manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    await client.kernel_info(reply=True, timeout=120)
    await client.execute_interactive("pass", timeout=60, output_hook=lambda message: None)
    client.stop_channels()
    return manager


def plain_throughput(clients: int, kernels: int) -> float:
    """Run kernels, each for one execution, some at a time; kernels a second."""

    async def work() -> None:
        at_once = asyncio.Semaphore(clients)

        async def one() -> None:
            async with at_once:
                manager = await _one_plain()
                await manager.shutdown_kernel(now=True)

        await asyncio.gather(*(one() for _ in range(kernels)))

    began = time.perf_counter()
    asyncio.run(work())
    return kernels / (time.perf_counter() - began)


def plain_at_once(kernels: int) -> float:
    """Start kernels all at once; seconds until the last has answered."""

    async def work() -> float:
        began = time.perf_counter()
        managers = await asyncio.gather(*(_one_plain() for _ in range(kernels)))
        took = time.perf_counter() - began
        await asyncio.gather(*(manager.shutdown_kernel(now=True) for manager in managers))
        return took

    return asyncio.run(work())


@contextmanager
def bare_handler(body: bytes) -> Iterator[int]:
    """Serve these bytes by a Tornado handler that does nothing else; gives the port."""
    process = subprocess.Popen([sys.executable, "-c", _HANDLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(body)
        process.stdin.close()
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def python_pass() -> float:
    """Time a Python that does nothing; seconds."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", "pass"], cwd=Path(folder), check=True)
    return time.perf_counter() - began
