"""Filling the holes in this process's memory, so that what its children allocate lies in pages of its own.

An object that a forked process puts into a hole between objects of its parent makes the whole page, which both shared
until then, its own. Both of CPython's allocators are filled: its own, for up to 512 bytes, and the C library's.
"""

import ctypes
from contextlib import suppress

_LARGEST_SMALL = 512
_STEP = 16
_POOL = 16384
_FIRST = 48
"""Where the first block of a pool begins, behind the pool's header."""
_RUN = 6
"""So many blocks in a row at the beginning of a pool are taken to be the first of a fresh one."""
_MOST = 5000
"""Holes of one size that are filled at most."""
_LARGEST = 1 << 17
"""Larger blocks are mapped by the C library, each for itself."""

_filling: list[object] = []


class Mallinfo2(ctypes.Structure):
    """What glibc tells of its memory; see mallinfo(3)."""

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
            libc.free(block)  # it was cut from the end: there is no hole of this size
            size = size * 7 // 8 if size > 1024 else size - _STEP
