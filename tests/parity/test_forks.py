"""A script's forked processes do what they do under plain Python, however they come to be."""

import pytest

from tests.parity.both import compare

HEAD = "import multiprocessing as mp, os, signal, subprocess, sys, threading, time\n"

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
