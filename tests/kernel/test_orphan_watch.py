"""A kernel is an orphan when its service has been away for long enough, and ends only while nothing runs."""

import os
import threading

import pytest

from oet_kernel.kernel.orphan_watch import OrphanWatch
from oet_kernel.kernel_manager.journal_reader import JournalReader

DEADLINE = 60


@pytest.fixture
def service(tmp_path):
    made = JournalReader(tmp_path)
    yield made
    made.close()


class Kernel:
    """What a watch decides about."""

    def __init__(self, folder, seconds, busy=False):
        self.idle, self.ended = threading.Event(), threading.Event()
        if not busy:
            self.idle.set()
        self.watch = OrphanWatch(folder, seconds, self.idle, self.end)
        self.watch.start()

    def end(self):
        self.ended.set()
        return True


def test_service_is_away_when_it_has_closed_its_end_and_back_when_another_has_opened_it(tmp_path, service):
    kernel = Kernel(tmp_path, 1000)
    assert not kernel.watch.away
    service.close()
    assert kernel.watch.away
    other = JournalReader(tmp_path)
    assert not kernel.watch.away
    other.close()
    assert kernel.watch.away


def test_kernel_ends_when_its_service_is_away(tmp_path, service):
    kernel = Kernel(tmp_path, 0.01)
    assert not kernel.ended.wait(0.1)
    service.close()
    assert kernel.ended.wait(DEADLINE)


def test_kernel_that_is_started_when_its_service_has_gone_already_ends_too(tmp_path, service):
    service.close()
    assert Kernel(tmp_path, 0.01).ended.wait(DEADLINE)


def test_kernel_whose_script_runs_does_not_end_before_it_is_done(tmp_path, service):
    kernel = Kernel(tmp_path, 0.01)
    kernel.idle.clear()
    service.close()
    assert not kernel.ended.wait(0.2)
    kernel.idle.set()
    assert kernel.ended.wait(DEADLINE)


def test_kernel_does_not_end_when_a_service_came_before_its_script_was_done(tmp_path, service):
    kernel = Kernel(tmp_path, 0.01)
    kernel.idle.clear()
    service.close()
    assert not kernel.ended.wait(0.1)
    other = JournalReader(tmp_path)
    kernel.idle.set()
    assert not kernel.ended.wait(0.2)
    other.close()
    assert kernel.ended.wait(DEADLINE)


def test_time_begins_anew_with_each_service_that_goes(tmp_path, service):
    kernel = Kernel(tmp_path, 0.5)
    service.close()
    for _ in range(4):
        assert not kernel.ended.wait(0.2)
        JournalReader(tmp_path).close()
    assert not kernel.ended.wait(0.2)
    assert kernel.ended.wait(DEADLINE)


def test_script_that_closes_all_files_does_not_make_the_kernel_an_orphan(tmp_path, service):
    service.close()
    kernel = Kernel(tmp_path, 0.05, busy=True)  # until they are closed
    os.close(kernel.watch._line)
    kernel.idle.set()
    assert not kernel.ended.wait(0.3)
