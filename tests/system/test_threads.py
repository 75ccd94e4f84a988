"""Work that blocks does so apart: what is stuck on a file server keeps no stop waiting, nor does a want of threads."""

import asyncio
import threading
from contextvars import ContextVar

import pytest

from oet_kernel.system import threads
from oet_kernel.system.threads import Threads

pytestmark = pytest.mark.anyio


async def test_gives_back_what_the_function_returns_and_raises():
    some = Threads("some", 2)
    assert await some.run(divmod, 7, 2) == (3, 1)
    assert await some.run(int, "11", base=2) == 3
    with pytest.raises(ZeroDivisionError):
        await some.run(divmod, 7, 0)
    with pytest.raises(KeyboardInterrupt):
        await some.run(_interrupted)
    assert await some.run(threading.current_thread) is not threading.main_thread(), "it lives on after each"


def _interrupted():
    raise KeyboardInterrupt


async def test_the_function_sees_the_context_of_who_calls():
    who = ContextVar("who")
    who.set("me")
    assert await Threads("some", 1).run(who.get) == "me"


async def test_one_that_is_cancelled_before_it_begins_is_not_run():
    some, gate, ran = Threads("some", 1), threading.Event(), []
    first = asyncio.ensure_future(some.run(gate.wait))
    second = asyncio.ensure_future(some.run(ran.append, 1))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.set()
    await first
    await some.run(int)
    assert not ran


async def test_a_stop_waits_for_no_script_on_a_file_server_that_does_not_answer():
    gate = threading.Event()
    stuck = [asyncio.ensure_future(threads.SCRIPTS.run(gate.wait)) for _ in range(100)]
    try:
        async with asyncio.timeout(60):
            assert await threads.PROCESSES.run(int) == 0
            assert await threads.STATE.run(int) == 0
    finally:
        gate.set()
        await asyncio.gather(*stuck)


def _refuse(self):
    raise RuntimeError("can't start new thread")


async def test_once_started_it_needs_no_more_threads_of_the_system(monkeypatch):
    some = Threads("some", 3)
    some.start()
    monkeypatch.setattr(threading.Thread, "start", _refuse)
    assert await asyncio.gather(*(some.run(int) for _ in range(20))) == [0] * 20


async def test_with_fewer_threads_than_asked_for_the_work_is_done(monkeypatch):
    some, really = Threads("some", 3), threading.Thread.start

    def start(self):
        if some._threads:
            _refuse(self)
        really(self)

    monkeypatch.setattr(threading.Thread, "start", start)
    assert await asyncio.gather(*(some.run(int) for _ in range(20))) == [0] * 20


async def test_without_any_it_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", _refuse)
    with pytest.raises(OSError, match=r"cannot start a thread for some; this user may be at the limit of processes"):
        await Threads("some", 3).run(int)
