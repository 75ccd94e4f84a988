"""Waiting for the asynchronous client; `oet_kernel.client._sync_io` has the same for the other.

asyncio is imported where it is used: importing the clients costs no more than the synchronous one does.
"""

from collections.abc import AsyncIterator

from oet_kernel.client import _address
from oet_kernel.client._address import Address


async def sleep(seconds: float) -> None:
    """Wait."""
    import asyncio

    await asyncio.sleep(seconds)


async def find_again(address: Address) -> Address:
    """Look for a service anew, in a thread; as `oet_kernel.client._address.find_again` otherwise."""
    import asyncio

    return await asyncio.to_thread(_address.find_again, address)


async def preceded(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return an iterator with an item put in front."""
    yield first
    async for chunk in chunks:
        yield chunk
