"""A script's event loops are what they are under ``python script.py``: the kernel's own is never seen."""

import subprocess
import textwrap

import pytest

from tests.parity import published
from tests.parity.both import ASYNCIO, compare

SAME = {
    "get_event_loop in main": "def main(): print(asyncio.get_event_loop().run_until_complete(give(5)))",
    "get_event_loop in init": """
        def init(): print(asyncio.get_event_loop().run_until_complete(give(5)))
        def main(): print(asyncio.get_event_loop().run_until_complete(give(6)))
        """,
    "get_event_loop at import": """
        loop = asyncio.get_event_loop()
        print(loop.run_until_complete(give(5)))
        def main(): print(loop.run_until_complete(give(6)), asyncio.get_event_loop() is loop, loop.is_running())
        """,
    "run_forever": """
        def main():
            loop = asyncio.get_event_loop()
            loop.call_soon(print, 'called')
            loop.call_later(0.01, loop.stop)
            loop.run_forever()
            loop.close()
        """,
    "no running loop": """
        def ask():
            try:
                asyncio.get_running_loop()
            except RuntimeError as error:
                print(error, asyncio._get_running_loop())
        ask()
        def init(): ask()
        def main(): ask()
        """,
    "no current task": """
        def main():
            try:
                asyncio.current_task()
            except RuntimeError as error:
                print(error)
            print(asyncio.all_tasks(asyncio.get_event_loop()))
        """,
    "asyncio.run twice": "def main(): print(asyncio.run(give(5)), asyncio.run(give(6)))",
    "after asyncio.run there is none": """
        def main():
            asyncio.run(give(5))
            try:
                asyncio.get_event_loop()
            except RuntimeError as error:
                print(str(error).partition(' in thread')[0])
        """,
    "asyncio.run at import": "print(asyncio.run(give(5)))\ndef main(): print(asyncio.run(give(6)))",
    "asyncio.Runner": """
        def main():
            with asyncio.Runner(debug=True) as runner:
                print(runner.run(give(5)), runner.get_loop().get_debug())
        """,
    "set_event_loop": """
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        def init(): print(asyncio.get_event_loop() is loop)
        def main(): print(asyncio.get_event_loop() is loop, loop.run_until_complete(give(5)))
        """,
    "a future of the current loop": """
        def init():
            global future
            future = asyncio.get_event_loop().create_future()
        def main():
            loop = asyncio.get_event_loop()
            loop.call_soon(future.set_result, 5)
            print(loop.run_until_complete(future))
        """,
    "tasks made before the loop runs": """
        def main():
            loop = asyncio.get_event_loop()
            tasks = [loop.create_task(give(n)) for n in range(3)]
            print(loop.run_until_complete(asyncio.gather(*tasks)))
        """,
    "a loop in a thread": """
        import threading
        def main():
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever)
            thread.start()
            print(asyncio.run_coroutine_threadsafe(give(5), loop).result())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
        """,
    "no loop in a thread": """
        import threading
        def ask():
            try:
                print(asyncio.get_event_loop())
            except RuntimeError as error:
                print(str(error).partition(' in thread')[0])
        def main():
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
        """,
    "asyncio.run in a thread": """
        import threading
        def main():
            thread = threading.Thread(target=lambda: print(asyncio.run(give(5))))
            thread.start()
            thread.join()
        """,
    "a policy of its own": """
        class Policy(asyncio.DefaultEventLoopPolicy):
            def new_event_loop(self):
                print('made')
                return super().new_event_loop()
        asyncio.set_event_loop_policy(Policy())
        def init(): print(asyncio.run(give(5)))
        def main(): print(type(asyncio.get_event_loop_policy()).__name__, asyncio.run(give(6)))
        """,
    "uvloop": """
        import uvloop
        def main():
            print(uvloop.run(give(5)))
            asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
            loop = asyncio.get_event_loop()
            print(type(loop).__module__, loop.run_until_complete(give(6)))
            loop.close()
        """,
    "an asynchronous generator by hand": """
        async def numbers():
            try:
                yield 1
                yield 2
            finally:
                print('finished')
        def main():
            print(sys.get_asyncgen_hooks())
            found = numbers()
            try:
                found.__anext__().send(None)
            except StopIteration as stop:
                print(stop.value)
        import sys
        """,
    "an asynchronous generator that is left": """
        async def numbers():
            try:
                yield 1
            finally:
                print('finished')
        async def work():
            global found
            found = numbers()
            print(await anext(found))
        def main(): asyncio.run(work())
        """,
    "subprocesses": """
        import sys
        async def work():
            piped = asyncio.subprocess.PIPE
            made = await asyncio.create_subprocess_exec(sys.executable, '-c', 'print(5)', stdout=piped)
            print((await made.communicate())[0].decode().strip(), made.returncode)
        def main(): asyncio.run(work())
        """,
    "a signal handler": """
        import os, signal
        def main():
            loop = asyncio.get_event_loop()
            loop.add_signal_handler(signal.SIGUSR1, loop.stop)
            loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
            loop.run_forever()
            print(loop.remove_signal_handler(signal.SIGUSR1))
        """,
    "an executor": """
        def main(): print(asyncio.get_event_loop().run_until_complete(asyncio.to_thread(lambda: 5)))
        """,
    "Tornado's run_sync": """
        from tornado.ioloop import IOLoop
        def init(): print(IOLoop.current().run_sync(lambda: give(5)))
        def main(): print(IOLoop.current().run_sync(lambda: give(6)))
        """,
    "Tornado's start": """
        from tornado.ioloop import IOLoop, PeriodicCallback
        def main():
            loop = IOLoop.current()
            calls = PeriodicCallback(lambda: (print('called'), calls.stop(), loop.add_callback(loop.stop)), 1)
            calls.start()
            loop.start()
        """,
    "Tornado at import": """
        from tornado.ioloop import IOLoop
        loop = IOLoop.current()
        def main(): print(loop.run_sync(lambda: give(6)), IOLoop.current() is loop)
        """,
    "anyio on asyncio": """
        import anyio
        async def work():
            await anyio.sleep(0)
            print('slept')
        def main(): anyio.run(work)
        """,
    "nest_asyncio": """
        import nest_asyncio2
        nest_asyncio2.apply()
        async def work():
            return asyncio.get_event_loop().run_until_complete(give(5))
        def main():
            print(asyncio.get_event_loop().run_until_complete(work()), asyncio.run(work()))
        """,
    "a failure in the loop": """
        async def fail():
            raise ValueError('on purpose')
        def main(): asyncio.get_event_loop().run_until_complete(fail())
        """,
    "IPython's own loop": "import IPython\ndef main(): print(asyncio.run(give(5)))",
}


@pytest.mark.parametrize("what", SAME)
def test_loop_is_that_of_a_plain_process(side, tmp_path, what):
    compare(side, tmp_path, ASYNCIO + textwrap.dedent(SAME[what]))


OTHERS = {
    "Twisted's reactor": """
        from twisted.internet import reactor, task
        def main():
            reactor.callWhenRunning(print, 'running')
            task.deferLater(reactor, 0.01, lambda: 5).addCallback(print).addBoth(lambda _: reactor.stop())
            reactor.run()
        """,
    "Twisted on asyncio": """
        from twisted.internet import asyncioreactor
        asyncioreactor.install()
        from twisted.internet import defer, reactor
        async def work():
            print(await defer.Deferred.fromFuture(asyncio.ensure_future(give(5))))
            reactor.stop()
        def main():
            reactor.callWhenRunning(lambda: defer.ensureDeferred(work()))
            reactor.run()
        """,
    "trio": """
        import trio
        async def work():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 0)
            return 5
        def init(): print(trio.run(work))
        def main(): print(trio.run(work))
        """,
    "anyio on trio": """
        import anyio
        async def work():
            await anyio.sleep(0)
            print('slept')
        def main(): anyio.run(work, backend='trio')
        """,
    "sniffio knows no library": """
        import sniffio
        def main():
            try:
                print(sniffio.current_async_library())
            except sniffio.AsyncLibraryNotFoundError as error:
                print(error)
        """,
}


@pytest.fixture(scope="session")
def others(shared):
    """Event loops besides asyncio's, in a folder of their own: httpx imports trio wherever it is installed."""
    try:
        return published.install(shared / "loops", "trio>=0.27,<1", "twisted>=24.7,<27")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no package index answers: {error}")


@pytest.mark.parametrize("what", OTHERS)
def test_loop_of_another_library_runs_as_in_a_plain_process(side, others, tmp_path, what):
    head = f"import sys; sys.path.insert(0, {str(others)!r})\n"
    compare(side, tmp_path, ASYNCIO + textwrap.dedent(OTHERS[what]), head=head)
