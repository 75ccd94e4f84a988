"""A script's forked processes do what they do under plain Python, however they come to be."""

import pytest

from tests.parity.both import compare

HEAD = "import multiprocessing as mp, os, signal, subprocess, sys, threading, time\n"
HEAD_UNBUFFERED = f"{HEAD}sys.stdout.reconfigure(line_buffering=True) if hasattr(sys.stdout, 'reconfigure') else None\n"
"""Under plain Python a child would write what its parent has not flushed once more."""

NESTED = {
    "a child that forks": """
        def main():
            child = os.fork()
            if child == 0:
                if os.fork() == 0: os._exit(0)
                os._exit(5)
            print(os.waitpid(child, 0)[1])
    """,
    "a daemon by double fork": """
        def main():
            child = os.fork()
            if child == 0:
                os.setsid()
                if os.fork() == 0:
                    (HERE / "daemon.tmp").write_text("ran")
                    (HERE / "daemon.tmp").rename(HERE / "daemon.txt")
                    os._exit(0)
                os._exit(0)
            os.waitpid(child, 0)
            while not (HERE / "daemon.txt").exists(): time.sleep(0.01)
    """,
    "five generations": """
        def main():
            parent = os.getpid()
            for _ in range(5):
                child = os.fork()
                if child:
                    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                    if os.getpid() != parent: os._exit(status + 1)
                    print(status)
                    return
            os._exit(0)
    """,
    "multiprocessing in multiprocessing": """
        def inner(): print("inner", flush=True)
        def outer():
            process = mp.get_context("fork").Process(target=inner); process.start(); process.join()
        def main():
            process = mp.get_context("fork").Process(target=outer); process.start(); process.join()
            print(process.exitcode)
    """,
    "an executor in a worker": """
        from concurrent.futures import ProcessPoolExecutor
        def work(n):
            with ProcessPoolExecutor(1, mp_context=mp.get_context("fork")) as executor:
                return list(executor.map(abs, [-n]))[0]
        def main():
            with ProcessPoolExecutor(2, mp_context=mp.get_context("fork")) as executor:
                print(list(executor.map(work, range(3))))
    """,
    "preexec_fn in a worker": """
        def outer(): subprocess.run(["true"], preexec_fn=os.setsid, check=True)
        def main():
            process = mp.get_context("fork").Process(target=outer); process.start(); process.join()
            print(process.exitcode)
    """,
    "a fork in a thread of a child": """
        def fork():
            child = os.fork()
            if child == 0: os._exit(4)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        def outer():
            thread = threading.Thread(target=fork); thread.start(); thread.join()
        def main():
            process = mp.get_context("fork").Process(target=outer); process.start(); process.join()
            print(process.exitcode)
    """,
    "a fork in a thread while others print": """
        def speak(text):
            while not over.is_set(): print(text, file=sys.stderr, end="", flush=True)
        over = threading.Event()
        def main():
            threads = [threading.Thread(target=speak, args=[""]) for _ in range(2)]
            for thread in threads: thread.start()
            statuses = []
            for _ in range(30):
                child = os.fork()
                if child == 0:
                    print("", end="", flush=True)
                    if os.fork() == 0: os._exit(0)
                    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
                statuses.append(os.waitpid(child, 0)[1])
            over.set()
            for thread in threads: thread.join()
            print(statuses)
    """,
    "a fork in the handler of a timer": """
        def fork(*_):
            child = os.fork()
            if child == 0: os._exit(0)
            done.append(os.waitpid(child, 0)[1])
            if len(done) < 30: signal.setitimer(signal.ITIMER_REAL, 0.001)
        done = []
        def main():
            signal.signal(signal.SIGALRM, fork)
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            while len(done) < 30: print("", end="")
            print(done)
    """,
    "a fork in the middle of a line": """
        def main():
            print("whole ", end="", flush=True)
            child = os.fork()
            if child == 0: os._exit(0)
            os.waitpid(child, 0)
            print("line")
    """,
    "listeners of events in a child": """
        def outer():
            from pubsub import pub
            heard = []
            def hear(msg): heard.append(msg)
            pub.subscribe(hear, "user.script.announce")
            if os.fork() == 0:
                pub.sendMessage("user.script.announce", msg="x")
                print(heard, flush=True)
                os._exit(0)
            os.wait()
        def main():
            process = mp.get_context("fork").Process(target=outer); process.start(); process.join()
            print(process.exitcode)
    """,
}


@pytest.mark.parametrize("what", NESTED)
def test_child_can_fork(side, tmp_path, what):
    compare(side, tmp_path, NESTED[what], head=HEAD)


ENDS = {
    "sys.exit(0)": "sys.exit(0)",
    "sys.exit(3)": "sys.exit(3)",
    "sys.exit(text)": "sys.exit('child')",
    "an exception": "raise ValueError('child')",
    "a return": "return",
    "os._exit(4)": "os._exit(4)",
    "a signal": "os.kill(os.getpid(), signal.SIGKILL)",
    "another program": "os.execvp('false', ['false'])",
    "a return, with an exit handler": "import atexit; atexit.register(print, 'handler'); return",
    "sys.exit(0), with a thread": "threading.Timer(0.2, print, ['thread']).start(); sys.exit(0)",
    "a return, with an open file": "file.write('kept'); return",
    "a line that has no end": "print('kept', end=''); return",
    "a child of its own that returns": (
        "other = os.fork()\n                "
        "if other: print('child', os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]))\n                return"
    ),
}
FORKS = {
    "in main": "def main():\n    work()\n    print('main ends')\n",
    "in init": "def init(): work()\ndef main(): print('main ends')\n",
    "at import": "work()\ndef main(): print('main ends')\n",
}


def forking_script(end: str, where: str) -> str:
    """Write a script whose child ends so."""
    return (
        "file = open(HERE / 'out.txt', 'w')\n"
        "def work():\n    child = os.fork()\n    if child == 0:\n"
        "        def end():\n"
        f"                {end}\n"
        "        end(); sys.exit(0)\n"
        "    print('child ended', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n" + FORKS[where]
    )


@pytest.mark.parametrize("end", ENDS)
def test_end_of_a_child_is_its_own(side, tmp_path, end):
    _, here = compare(side, tmp_path, forking_script(ENDS[end], "in main"), head=HEAD_UNBUFFERED, stderr=False)
    assert here.state == "COMPLETE"
    if end in ("an exception", "sys.exit(text)"):
        assert "child" in here.ran.stderr


@pytest.mark.parametrize("where", ["in init", "at import"])
@pytest.mark.parametrize("end", ["sys.exit(0)", "an exception"])
def test_end_of_a_child_before_main_is_its_own(side, tmp_path, end, where):
    _, here = compare(side, tmp_path, forking_script(ENDS[end], where), head=HEAD_UNBUFFERED, stderr=False)
    assert here.state == "COMPLETE"


def test_child_that_returns_from_main_is_no_end_of_it(side, tmp_path):
    text = """
        def main():
            child = os.fork()
            if child == 0: return
            print(os.waitpid(child, 0)[1])
    """
    assert compare(side, tmp_path, text, head=HEAD)[1].state == "COMPLETE"


def test_child_of_an_exit_handler_ends_by_itself(side, tmp_path):
    text = """
        def fork():
            child = os.fork()
            if child: print(os.waitpid(child, 0)[1], flush=True)
        import atexit
        atexit.register(fork)
        def main(): print("main", flush=True)
    """
    assert compare(side, tmp_path, text, head=HEAD)[1].state == "COMPLETE"


METHODS = {
    "spawn": "with mp.get_context('spawn').Pool(2) as pool: print(pool.map(square, range(4)))",
    "forkserver": "with mp.get_context('forkserver').Pool(2) as pool: print(pool.map(square, range(4)))",
    "fork": "with mp.get_context('fork').Pool(2) as pool: print(pool.map(square, range(4)))",
    "a process that fails": (
        "process = mp.get_context('fork').Process(target=square, args=['x']); process.start(); process.join(); "
        "print(process.exitcode)"
    ),
    "a process that exits": (
        "process = mp.get_context('fork').Process(target=sys.exit, args=[7]); process.start(); process.join(); "
        "print(process.exitcode)"
    ),
    "a spawned executor": (
        "from concurrent.futures import ProcessPoolExecutor\n    "
        "with ProcessPoolExecutor(1, mp.get_context('spawn')) as executor: print(list(executor.map(square, [3])))"
    ),
}


@pytest.mark.parametrize("method", METHODS)
def test_start_methods(side, tmp_path, method):
    text = f"def square(n): return n**2\ndef main():\n    {METHODS[method]}\n"
    compare(side, tmp_path, text, head=HEAD, stderr=False)
