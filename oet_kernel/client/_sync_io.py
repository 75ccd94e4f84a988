"""Waiting in the synchronous client; `oet_kernel.client._async_io` is the asynchronous counterpart."""

from collections.abc import Iterator
from itertools import chain
from time import sleep as sleep

from oet_kernel.client._address import find_again as find_again


def preceded(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Return an iterator with an item inserted at its front."""
    return chain([first], chunks)
