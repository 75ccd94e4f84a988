"""Whatever a script has for a ``main`` is run as Python runs it, or refused with what to do."""

import sys

import pytest

from tests.parity.both import as_procedure, compare

RUN = {
    "a lambda": "main = lambda: print('observing')",
    "a partial": "import functools\nmain = functools.partial(print, 'observing')",
    "a partial of a coroutine function": (
        "import asyncio, functools\nasync def work(what): print(what)\nmain = functools.partial(work, 'observing')",
        "import asyncio, functools\nasync def work(what): print(what)\nmain = lambda: asyncio.run(work('observing'))",
    ),
    "a bound method": "class Plan:\n    def run(self): print('observing')\nmain = Plan().run",
    "a class method": "class Plan:\n    @classmethod\n    def run(cls): print('observing')\nmain = Plan.run",
    "a callable object": "class Plan:\n    def __call__(self): print('observing')\nmain = Plan()",
    "a class whose making does the work": "class main:\n    def __init__(self): print('observing')",
    "a decorated function": """
        import functools
        def logged(function):
            @functools.wraps(function)
            def call(): print('observing'); return function()
            return call
        @logged
        def main(): print('observed')
        """,
    "singledispatch": """
        import functools
        def main(): raise NotImplementedError
        main = functools.partial(functools.singledispatch(lambda what: print('observing', what)), 5)
        """,
    "a cached function": "import functools\n@functools.cache\ndef main(): print('observing')",
    "a static method object": "@staticmethod\ndef main(): print('observing')",
    "an imported function": "from beside import main",
    "a generator that is taken": "def plan():\n    print('observing')\n    yield 1\ndef main(): return list(plan())",
    "a generator that is exhausted": """
        def plan():
            print('observing')
            yield 1
        def main():
            items = plan()
            list(items)
            return items
        """,
    "a builtin function": "import os\nmain = os.getcwd\nprint('observing')",
    "a click command": """
        import click
        @click.command()
        @click.option('--target', default='J0437')
        def main(target): click.echo(f'observing {target}')
        """,
    "a click group": """
        import click
        @click.group(invoke_without_command=True)
        def main(): click.echo('observing')
        """,
    "a typer application": """
        import typer
        main = typer.Typer()
        @main.command()
        def observe(target: str = 'J0437'): print('observing', target)
        """,
}
"""Scripts that are run alike; of two, the second is what plain Python runs."""


@pytest.mark.parametrize("what", RUN)
def test_main_is_run(side, tmp_path, what):
    text = RUN[what]
    files = {"beside.py": "def main(): print('observing')"}
    ours, plain = text if isinstance(text, tuple) else (text, text)
    ran, _ = compare(side, tmp_path, plain, files=files)
    here = as_procedure(side, tmp_path / "ours", ours, files=files).ran
    assert "observing" in ran.stdout
    assert (here.succeeded, here.stdout) == (ran.succeeded, ran.stdout)


LOOP = "loop = asyncio.new_event_loop()\nasyncio.set_event_loop(loop)\n"
AWAITED = {
    "a future": f"{LOOP}def main(): return asyncio.ensure_future(work(), loop=loop)",
    "a future of the current loop": f"{LOOP}def main(): return asyncio.ensure_future(work())",
    "a task": f"{LOOP}def main(): return loop.create_task(work())",
    "a task of a loop that is not the current one": "def main(): return asyncio.new_event_loop().create_task(work())",
    "what is gathered": (
        f"{LOOP}async def first(works): return (await works)[0]\n"
        "def main(): return first(asyncio.gather(work(), asyncio.sleep(0)))"
    ),
    "an object with __await__": (
        "class Plan:\n    def __await__(self): return work().__await__()\ndef main(): return Plan()"
    ),
    "a coroutine of types": "import types\n@types.coroutine\ndef main(): return (yield from work().__await__())",
    "an asynchronous callable": "class Plan:\n    async def __call__(self): return await work()\nmain = Plan()",
    "a coroutine that is returned": "def main(): return work()",
    "a class that can be awaited": (
        "class main:\n    def __init__(self): pass\n    def __await__(self): return work().__await__()"
    ),
    "a lambda": "main = lambda: work()",
}
if sys.version_info < (3, 14):  # which makes no loop where there is none, and refuses
    AWAITED["a future of a loop that Python makes"] = (
        "def main(): return asyncio.ensure_future(work(), loop=asyncio.get_event_loop())"
    )
WORK = "import asyncio\nasync def work():\n    await asyncio.sleep(0)\n    print('observing')\n    return 5\n"


@pytest.mark.parametrize("what", AWAITED)
def test_what_main_gives_is_awaited(side, tmp_path, what):
    done = as_procedure(side, tmp_path, WORK + AWAITED[what])
    assert (done.state, done.ran.stdout) == ("COMPLETE", "observing\n"), done.stacktrace
    assert done.summary["returned"]["value"] == 5


PLAN = "def plan():\n    print('observing')\n    yield 1\n"
REFUSED = {
    "a generator": ("def main():\n    print('observing')\n    yield 1", "main gave a generator (main, line 2 of"),
    "an asynchronous generator": (
        "async def main():\n    print('observing')\n    yield 1",
        "an asynchronous generator",
    ),
    "an asynchronous generator on one line": ("async def main(): yield print('observing')", "async for item in"),
    "a generator that is returned": (PLAN + "def main(): return plan()", "RunEngine(plan())"),
    "a generator that a coroutine gives": (PLAN + "async def main(): return plan()", "main gave a generator"),
    "a generator expression": ("def main(): return (print('observing') for _ in range(3))", "a generator"),
    "generators in a list": (PLAN + "def main(): return [plan(), plan()]", "main gave a list with a generator (plan"),
    "coroutines that nobody awaits": (
        WORK + "async def main(): return [work(), work()]",
        "await asyncio.gather(*works)",
    ),
    "a context manager": (
        "import contextlib\n@contextlib.contextmanager\ndef main():\n    print('observing')\n    yield",
        "a context manager",
    ),
    "a map": ("def main(): return map(print, ['observing'])", "list(map(observe, targets))"),
    "a generator as init": (
        "def init():\n    print('observing')\n    yield\ndef main(): pass",
        "init gave a generator",
    ),
    "a partial of a generator function": (
        "import functools\n" + PLAN + "main = functools.partial(plan)",
        "main gave a generator",
    ),
    "a class that runs nothing": ("class main:\n    def run(self): pass", "main = main().run"),
    "a class whose instances are called": (
        "class main:\n    def __init__(self): pass\n    def __call__(self): pass",
        "bind main to an instance: main = main()",
    ),
    "a dataclass": ("import dataclasses\n@dataclasses.dataclass\nclass main:\n    target: str = 'J'", "runs nothing"),
    "a number": ("main = 5", "binds main to an int, which cannot be called"),
    "a module": ("import json as main", "binds main to a module, which cannot be called"),
    "an init that is no function": ("init = False\ndef main(): pass", "binds init to a bool"),
    "an init that takes main away": ("def init():\n    global main\n    main = None\ndef main(): pass", "a NoneType"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_main_that_would_do_nothing_is_refused_with_what_to_do(side, tmp_path, what):
    text, said = REFUSED[what]
    done = as_procedure(side, tmp_path, text)
    assert done.state == "FAILED"
    assert said in done.stacktrace
    assert "observing" not in done.ran.stdout


def test_typer_function_is_called_with_the_defaults_that_it_states(side, tmp_path):
    done = as_procedure(
        side, tmp_path, "import typer\ndef main(target: str = typer.Option('J0437')): print('observing', target)"
    )
    assert (done.state, done.ran.stdout) == ("COMPLETE", "observing J0437\n"), done.stacktrace


def test_click_command_that_is_given_a_wrong_option_fails_with_its_usage(server, tmp_path):
    text = "import click\n@click.command()\n@click.option('-n', type=int)\ndef main(n): click.echo(f'observing {n}')\n"
    for value, state in ((5, "COMPLETE"), ("five", "FAILED")):
        pid = server.create(text)
        assert server.until(pid, "READY")["state"] == "READY"
        body = {"state": "RUNNING", "script_args": {"main": {"kwargs": {"n": value}}}}
        server.http.put(f"/procedures/{pid}", json=body).raise_for_status()
        assert server.until(pid)["state"] == state
