"""Filling of free blocks in this process's heap, so that forked children allocate in pages of their own.

When a forked process allocates an object in a free block between objects of its parent, the whole page, which both have
shared until then, is copied. Both allocators of CPython are filled: its own, for up to 512 bytes, and the C library's.
"""

import ctypes
from contextlib import suppress

_LARGEST_SMALL = 512
_STEP = 16
_POOL = 16384
_FIRST = 48
"""Offset in bytes of the first block of a pool, behind the pool's header."""
_RUN = 6
"""Number of consecutive blocks at the beginning of a pool that identify a fresh one."""
_MOST = 5000
"""Largest number of free blocks of one size that are filled."""
_LARGEST = 1 << 17
"""Largest block in bytes that is filled; the C library maps larger ones separately."""

_filling: list[object] = []


class Mallinfo2(ctypes.Structure):
    """Memory statistics of glibc; see mallinfo(3)."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
                     "keepcost")
    ]  # fmt: skip


def fill_holes() -> None:
    """Allocate, for good, all free memory between allocated blocks, as far as the allocators report it."""
    for size in range(3 * _STEP, _LARGEST_SMALL + 1, _STEP):
        _fill_small(size)
    with suppress(AttributeError):  # another C library than glibc 2.33 or later
        _fill_large(ctypes.CDLL(None))


def _fill_small(size: int) -> None:
    overhead = b"".__sizeof__()
    last, run = 0, -_MOST
    for _ in range(_MOST):
        _filling.append(block := bytes(size - overhead))
        if id(block) % _POOL == _FIRST:
            run = 0
        elif id(block) != last + size:
            run = -_MOST
        run += 1
        last = id(block)
        if run == _RUN:
            del _filling[-_RUN:]
            return


def _fill_large(libc: ctypes.CDLL) -> None:
    libc.mallinfo2.restype = Mallinfo2
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    size = _LARGEST
    while size > _STEP:
        before = libc.mallinfo2()
        block = libc.malloc(size)
        after = libc.mallinfo2()
        if (before.keepcost, before.arena, before.hblks) != (after.keepcost, after.arena, after.hblks):
            libc.free(block)  # allocated at the heap's end: no free block of this size is left
            size = size * 7 // 8 if size > 1024 else size - _STEP
