"""A script that has left something at work is known."""

import subprocess
import sys
import threading

from oet_kernel.kernel.remains import at_work


def test_script_that_left_nothing_is_quiet():
    assert not at_work(threading.enumerate())


def test_thread_that_still_runs_is_at_work_until_it_ends():
    before, gate = threading.enumerate(), threading.Event()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    assert at_work(before)
    gate.set()
    thread.join()
    assert not at_work(before)


def test_threads_of_the_kernel_itself_do_not_count():
    before, gate = threading.enumerate(), threading.Event()
    thread = threading.Thread(target=gate.wait, name="oet-events")
    thread.start()
    assert not at_work(before)
    gate.set()
    thread.join()


def test_process_that_still_runs_is_at_work():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert at_work(threading.enumerate())
        child.communicate(b"\n")
    assert not at_work(threading.enumerate())
