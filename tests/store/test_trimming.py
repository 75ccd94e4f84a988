"""Retention removes what ended long ago, slice by slice; nothing active ever goes."""

from oet_kernel.events.event import Event, Filter
from oet_kernel.store.base import HORIZON
from oet_kernel.store.rows import ActivityRow, ArchiveQuery, KernelRow, Unit
from tests.store.examples import events, row


def trim(store, before=0.0, most=1 << 40):
    while store.trim(before, most):
        pass


def test_age_removes_what_ended_before_and_never_what_is_active(store):
    store.write(
        Unit(
            procedures={1: row(1, at=1.0, ended=10.0), 2: row(2, at=1.0), 3: row(3, ended=3000.0)},
            kernels={1: KernelRow(procedure=1, address="/f")},
            activities={1: ActivityRow(1, 1, b"{}")},
            events=[*events(range(1, 2501), 1), *events(range(2501, 2601), 2), *events(range(2601, 2701), 3)],
        )
    )
    trim(store, before=100.0)
    assert [one.id for one in store.archive(ArchiveQuery()).rows] == [3, 2]
    assert [one.seq for one in store.events(0, Filter(), None).rows] == list(range(2501, 2701))
    assert store.counter(HORIZON) == 2500
    assert store.kernels([1]) == {}
    assert store.activities(10) == []


def test_events_of_no_procedure_go_by_age(store):
    store.write(Unit(events=[*events([1, 2], at=10.0), *events([3], at=500.0)]))
    trim(store, before=100.0)
    assert [one.seq for one in store.events(0, Filter(), None).rows] == [3]


def test_size_removes_the_oldest_until_the_database_is_small_enough(tmp_path, store):
    for pid in range(1, 21):
        filler = [Event(pid * 100 + n, "user.x", pid, b"x" * 10_000, 1.0) for n in range(20)]
        store.write(Unit(procedures={pid: row(pid, ended=1000.0 + pid)}, events=filler))
    trim(store, most=2_000_000)
    left = [one.id for one in store.archive(ArchiveQuery()).rows]
    assert left == list(range(20, left[-1] - 1, -1))
    assert 5 <= len(left) < 12
    store.close()
    assert (tmp_path / "oet.sqlite").stat().st_size < 2_500_000, "the disk has got back what was removed"


def test_numbers_go_on_where_they_were_when_retention_has_removed_everything(store):
    store.write(Unit(events=events([1, 2, 3], 1), procedures={1: row(1, at=0.5, ended=1.0)}))
    trim(store, before=100.0)
    assert store.events(0, Filter(), None).rows == []
    assert store.last_seq() == 3
