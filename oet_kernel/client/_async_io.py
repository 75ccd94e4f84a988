"""Waiting in the asynchronous client; `oet_kernel.client._sync_io` is the synchronous counterpart.

asyncio is imported where it is used, so that importing the clients costs no more than the synchronous one alone.
"""

from collections.abc import AsyncIterator

from oet_kernel.client import _address
from oet_kernel.client._address import Address


async def sleep(seconds: float) -> None:
    """Wait for a number of seconds."""
    import asyncio

    await asyncio.sleep(seconds)


async def find_again(address: Address) -> Address:
    """Look up a service again, in a thread; otherwise as `oet_kernel.client._address.find_again`."""
    import asyncio

    return await asyncio.to_thread(_address.find_again, address)


async def preceded(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return an iterator with an item inserted at its front."""
    yield first
    async for chunk in chunks:
        yield chunk
