"""How a kernel ended is told to whoever asks, before or after, and never waited for where nobody will tell."""

import pytest

from oet_kernel.kernel_manager.exit_status import Ending, ExitStatuses

pytestmark = pytest.mark.anyio

ENDING = Ending(3, 1601463545.5)


async def test_end_is_told_to_who_asked_before_and_to_who_asks_after():
    told = ExitStatuses()
    before = told.ending(1, 10)
    told.report(1, 10, ENDING)
    told.report(2, 20, ENDING)
    assert await before == await told.ending(2, 20) == ENDING


async def test_process_with_the_same_pid_is_another():
    told = ExitStatuses()
    asked = told.ending(1, 11)
    told.report(1, 10, ENDING)
    assert not asked.done()
    told.complete()
    assert await asked is None


async def test_nobody_knows_what_no_fork_server_claims_once_all_have_told():
    told = ExitStatuses()
    told.claim(1, 10)
    claimed, unclaimed = told.ending(1, 10), told.ending(2, 20)
    assert not unclaimed.done()
    told.complete()
    assert await unclaimed is None
    assert await told.ending(3, 30) is None
    assert not claimed.done()
    told.report(1, 10, None)
    assert await claimed is None


async def test_who_no_longer_waits_is_no_hindrance():
    told = ExitStatuses()
    told.ending(1, 10).cancel()
    told.report(1, 10, ENDING)
    told.ending(2, 20).cancel()
    told.complete()
