"""What was written is there: whole, in order, page by page."""

import tracemalloc

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from oet_kernel import procedure as lifecycle
from oet_kernel.events.event import Event, Filter
from oet_kernel.models import GitArgs, GitScript, ProcedureInput, ProcedureState
from oet_kernel.store.rows import ActivityRow, ArchiveQuery, KernelRow, ProcedureRow, Unit
from oet_kernel.store.sqlite import SqliteStore
from tests.store.examples import events, row


def test_everything_that_is_known_of_a_procedure_comes_back(store):
    script = GitScript(
        script_uri="git://a/b.py", git_args=GitArgs(git_repo="https://x/y", git_commit="ab12"), create_env=True
    )
    procedure = lifecycle.create(7, script, ProcedureInput([1, "ä"], {"subarray_id": 2}), 1.5)
    written = ProcedureRow(
        procedure=lifecycle.apply(procedure, lifecycle.StopAccepted(2.0)),
        main=ProcedureInput([None], {"x": [1.5]}),
        request_id=3.25,
        path="/x/y.py",
        commit="c" * 40,
        source_sha256="d" * 64,
        interests=["a.b"],
        abort=True,
        abort_id=9,
        autostart=True,
    )
    store.write(Unit(procedures={7: written}))
    assert store.active() == [written]


def test_a_unit_is_written_whole_or_not_at_all(store):
    store.write(Unit(events=events([1, 2])))
    with pytest.raises(sa.exc.IntegrityError):
        store.write(Unit(events=events([3, 2]), procedures={1: row(1)}, counters={"procedure": 1}))
    assert store.last_seq() == 2
    assert store.active() == []
    assert store.counter("procedure") == 0


def test_the_last_of_a_row_counts_and_its_kernel_and_activity_go_with_it(store):
    store.write(Unit(procedures={1: row(1)}, kernels={1: KernelRow(procedure=1, address="/f")}))
    store.write(Unit(kernels={1: KernelRow(procedure=1, address="/f", process=b"{}", offset=1 << 40)}))
    store.write(Unit(activities={3: ActivityRow(3, 1, b"{}")}, procedures={1: row(1, ended=5.0)}))
    assert store.kernels([1, 2]) == {1: KernelRow(procedure=1, address="/f", process=b"{}", offset=1 << 40)}
    assert store.activities(10) == [ActivityRow(3, 1, b"{}")]
    assert store.active() == []


@settings(max_examples=50, deadline=None)
@given(
    topics=st.lists(st.sampled_from(["a", "a.b", "a.b.c", "A.b", "ab", "a*", "a_b", "user.x"]), max_size=30),
    wanted=st.builds(
        Filter,
        st.lists(st.sampled_from(["a", "a.b", "all", "user", "a*", "a_"]), max_size=2).map(tuple),
        st.lists(st.sampled_from(["a.b", "A", "user.x"]), max_size=2).map(tuple),
        st.sampled_from([None, 1, 2]),
    ),
    after=st.integers(0, 30),
)
def test_the_store_finds_what_a_listener_would_have_heard(tmp_path_factory, topics, wanted, after):
    store = SqliteStore(tmp_path_factory.mktemp("store") / "oet.sqlite")
    written = [Event(n, topic, n % 3, b"{}", 1.0) for n, topic in enumerate(topics, 1)]
    store.write(Unit(events=written))
    assert store.events(after, wanted, None).rows == [one for one in written if one.seq > after and wanted.wants(one)]
    store.close()


def test_events_come_page_by_page(store):
    store.write(Unit(events=events(range(1, 101))))
    assert [one.seq for one in store.events(10, Filter(), 5).rows] == [11, 12, 13, 14, 15]
    assert [one.seq for one in store.events(97, Filter(), 5, up_to=99).rows] == [98, 99]


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([2, 10, 300, 1000, 5000]), max_size=20),
    limit=st.sampled_from([1, 3, None]),
    most=st.sampled_from([1, 1000, 1 << 20]),
)
def test_pages_are_bounded_by_bytes_and_leave_nothing_out(tmp_path_factory, sizes, limit, most):
    store = SqliteStore(tmp_path_factory.mktemp("store") / "oet.sqlite")
    written = [Event(n, "a", 1, b"x" * size, 1.0) for n, size in enumerate(sizes, 1)]
    store.write(Unit(events=written))
    got, more, after = [], True, 0
    while more:
        page = store.events(after, Filter(), limit, most_bytes=most)
        assert sum(len(one.data) for one in page.rows) <= most or len(page.rows) == 1
        assert page.rows or after in (0, len(written)), "a page that is not the last holds something"
        got, more, after = got + page.rows, page.more, page.rows[-1].seq if page.rows else after
    assert got == written
    store.close()


def test_a_page_costs_its_bytes_and_not_those_of_all_events(store):
    store.write(Unit(events=[Event(n, "a", 1, b"x" * 1_000_000, 1.0) for n in range(1, 41)]))
    tracemalloc.start()
    try:
        page = store.events(0, Filter(), None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(page.rows), page.more) == (4, True)
    assert peak < 8_000_000


def test_a_large_event_is_read_in_pieces(store):
    data = bytes(range(256)) * 40
    store.write(Unit(events=[Event(1, "a", 1, b"{}", 1.0), Event(2, "a", 1, data, 1.0)]))
    assert [one.data for one in store.events(0, Filter(), None, longest=1000).rows] == [b"{}", b""]
    pieces = [store.event_data(2, begin, 1000) for begin in range(0, 12_000, 1000)]
    assert b"".join(pieces) == data
    assert pieces[-1] == b"", "behind the end there is nothing"
    assert store.event_data(3, 0, 1000) is None, "an event that was removed is not one that has ended"


def test_the_archive_comes_by_bytes_too(store):
    rows = {pid: row(pid, ended=2000.0 + pid, text="x" * 1_000_000) for pid in range(1, 11)}
    store.write(Unit(procedures=rows))
    page = store.archive(ArchiveQuery(limit=1000))
    assert ([one.id for one in page.rows], page.more) == ([10, 9, 8, 7], True)
    page = store.archive(ArchiveQuery(limit=1000, before=3))
    assert ([one.id for one in page.rows], page.more) == ([2, 1], False)


def test_archive_is_searched_by_state_script_subarray_and_time(store):
    store.write(
        Unit(
            procedures={
                1: row(1, at=100.0, ended=110.0, subarray_id=1),
                2: row(2, at=200.0, script="file:///scripts/B_%.py", subarray_id=2),
                3: row(3, at=300.0, ended=310.0),
            }
        )
    )

    def found(**query):
        return [one.id for one in store.archive(ArchiveQuery(**query)).rows]

    assert found() == [3, 2, 1]
    assert found(limit=2) == [3, 2]
    assert found(before=2) == [1]
    assert found(states=(ProcedureState.FAILED,)) == [3, 1]
    assert found(states=(ProcedureState.FAILED, ProcedureState.CREATING)) == [3, 2, 1]
    assert found(script="B_%") == [2], "what it means to LIKE it does not mean here"
    assert found(script="_") == [2]
    assert found(script="b_%") == [2], "in upper case or lower"
    assert found(subarray="2") == [2]
    assert found(subarray="default") == [3]
    assert found(since=200.0) == [3, 2]
    assert found(until=200.0) == [1]


def test_newest_inactive_are_those_that_ended_last_in_the_order_in_which_they_ended(store):
    store.write(Unit(procedures={pid: row(pid, ended=2000.0 - pid) for pid in range(1, 6)} | {6: row(6)}))
    assert [one.id for one in store.newest_inactive(3)] == [3, 2, 1]
