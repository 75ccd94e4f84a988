"""Holes in the memory of a process that forks are filled: what its children allocate is no copy of shared pages."""

import subprocess
import sys

import pytest

SPARSE = """
import gc, os
from oet_kernel.kernel_manager.forkserver.heap import fill_holes

def own():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))

def child(count, size):
    read, write = os.pipe()
    if os.fork() == 0:
        gc.disable()
        before = own()
        kept = [bytes(size) for _ in range(count)]
        os.write(write, str(own() - before).encode())
        os._exit(0)
    os.wait()
    return int(os.read(read, 100))

def holes(count, size):
    made = [bytes(size) for _ in range(50 * count)]
    return [one for number, one in enumerate(made) if number % 50]
"""


@pytest.mark.parametrize("size", [100, 400])
def test_children_copy_few_shared_pages_for_what_they_allocate(size):
    work = f"sparse = holes(500, {size}); before = child(400, {size}); fill_holes(); print(before, child(400, {size}))"
    done = subprocess.run([sys.executable, "-c", SPARSE + work], capture_output=True, text=True, timeout=60, check=True)
    before, after = map(int, done.stdout.split())
    needed = 400 * (size + 33) / 1024
    assert after < needed + 200, "about what the blocks take, in KiB"
    assert before > after + 200, "the same without"


def test_free_memory_of_the_c_library_is_taken_but_for_what_lies_at_its_end():
    work = """
import ctypes
from oet_kernel.kernel_manager.forkserver import heap
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = heap.Mallinfo2
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
blocks = [libc.malloc(600 + number % 700) for number in range(2000)]
for block in blocks[::2]:
    libc.free(block)
def free():
    info = libc.mallinfo2()
    return info.fordblks - info.keepcost
before = free(); fill_holes(); print(before, free())
"""
    done = subprocess.run([sys.executable, "-c", SPARSE + work], capture_output=True, text=True, timeout=60, check=True)
    before, after = map(int, done.stdout.split())
    assert before > 500_000
    assert after < 50_000


def test_what_is_filled_is_little_where_there_is_nothing_to_fill():
    work = "before = own(); fill_holes(); fill_holes(); print(own() - before)"
    done = subprocess.run([sys.executable, "-c", SPARSE + work], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 4096
