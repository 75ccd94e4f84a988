"""A coroutine function is run as a script would run it by ``asyncio.run``."""

import textwrap

import pytest

from tests.parity.both import ASYNCIO, as_procedure, compare

# A coroutine function is called and its coroutine is run; plain Python has no such call. The left side of each is what
# a script does for itself there, the right side what it leaves to the procedure.
AWAITED = {
    "main": (
        "async def work(): print(await give(5))\ndef main(): asyncio.run(work())",
        "async def main(): print(await give(5))",
    ),
    "tasks that are pending at the end": (
        """
        async def work():
            asyncio.create_task(forever())
            await asyncio.sleep(0.01)
            print('done')
        def main(): asyncio.run(work())
        """,
        """
        async def main():
            asyncio.create_task(forever())
            await asyncio.sleep(0.01)
            print('done')
        """,
    ),
    "a task that fails": (
        "async def work(): print(await asyncio.gather(fail(), give(5), return_exceptions=True))\n"
        "def main(): asyncio.run(work())",
        "async def main(): print(await asyncio.gather(fail(), give(5), return_exceptions=True))",
    ),
    "an asynchronous generator that is left": (
        "async def work():\n    global left\n    left = numbers()\n    print(await anext(left))\n"
        "def main(): asyncio.run(work())",
        "async def main():\n    global left\n    left = numbers()\n    print(await anext(left))",
    ),
    "init and main on one loop": (
        """
        async def prepare():
            global event, loop
            event, loop = asyncio.Event(), asyncio.get_running_loop()
        async def work():
            asyncio.get_running_loop().call_soon(event.set)
            print(await event.wait(), asyncio.get_running_loop() is loop)
        def main():
            with asyncio.Runner() as runner:
                runner.run(prepare())
                runner.run(work())
        """,
        """
        async def init():
            global event, loop
            event, loop = asyncio.Event(), asyncio.get_running_loop()
        async def main():
            asyncio.get_running_loop().call_soon(event.set)
            print(await event.wait(), asyncio.get_running_loop() is loop)
        """,
    ),
    "what was made with the current loop": (
        """
        future = asyncio.get_event_loop().create_future()
        async def work():
            asyncio.get_running_loop().call_soon(future.set_result, 5)
            print(await future)
        def main(): asyncio.get_event_loop().run_until_complete(work())
        """,
        """
        future = asyncio.get_event_loop().create_future()
        async def main():
            asyncio.get_running_loop().call_soon(future.set_result, 5)
            print(await future)
        """,
    ),
    "a task that init has begun": (
        """
        async def prepare():
            global task
            task = asyncio.create_task(give(5))
        async def work(): print(await task)
        def main():
            with asyncio.Runner() as runner:
                runner.run(prepare())
                runner.run(work())
        """,
        """
        async def init():
            global task
            task = asyncio.create_task(give(5))
        async def main(): print(await task)
        """,
    ),
    "main after an init that has run a loop of its own": (
        "async def work(): print(await give(6))\ndef main(): print(asyncio.run(give(5))); asyncio.run(work())",
        "def init(): print(asyncio.run(give(5)))\nasync def main(): print(await give(6))",
    ),
    "a cancelled task": (
        "async def work():\n    asyncio.current_task().cancel()\n    await asyncio.sleep(1)\n"
        "def main(): asyncio.run(work())",
        "async def main():\n    asyncio.current_task().cancel()\n    await asyncio.sleep(1)",
    ),
}
HELPERS = """
async def forever():
    try:
        await asyncio.Event().wait()
    finally:
        print('cancelled')
async def fail():
    raise ValueError('on purpose')
async def numbers():
    try:
        yield 1
    finally:
        print('finished')
"""


@pytest.mark.parametrize("what", AWAITED)
def test_coroutine_runs_as_asyncio_run_does_it(side, tmp_path, what):
    by_itself, left_to_us = AWAITED[what]
    plain, _ = compare(side, tmp_path, ASYNCIO + HELPERS + textwrap.dedent(by_itself))
    here = as_procedure(side, tmp_path / "awaited", ASYNCIO + HELPERS + textwrap.dedent(left_to_us)).ran
    assert (here.succeeded, here.stdout) == (plain.succeeded, plain.stdout)
