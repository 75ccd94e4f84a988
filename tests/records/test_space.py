"""Room is shared fairly: the largest are shortened to one size, and no more than needed."""

from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.records.outputs import Outputs
from oet_kernel.records.space import COST, Space, level

SIZES = st.lists(st.integers(0, 1000), max_size=20)


@given(SIZES, st.integers(-10, 5000))
def test_largest_are_shortened_to_one_size_and_no_more_than_needed(sizes, room):
    size = level(sizes, room)
    if not sizes:
        assert size == 0
        return
    assert sum(min(one, size) for one in sizes) <= max(room, 0)
    if size < max(sizes):
        assert sum(min(one, size + 1) for one in sizes) > max(room, 0)


def test_what_is_never_shortened_takes_an_eighth_at_most():
    space = Space(8000)
    assert space.take(600)
    assert not space.take(600)
    assert space.take(400)


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["write", "show", "rich", "fail", "clear", "wait", "update"]),
        st.integers(0, 3000),
        st.sampled_from(["a", "b"]),
    ),
    max_size=60,
)


@given(ACTIONS, st.sampled_from([0, 500, 20_000]))
def test_room_that_is_used_is_that_of_what_is_kept(actions, limit):
    space, displays = Space(limit), {}
    cells = [Outputs(space, displays) for _ in range(4)]
    for at, what, size, name in actions:
        cell = cells[at]
        match what:
            case "write":
                cell.write(f"std{name}", "x" * size)
            case "show":
                cell.show({"text/plain": "x" * size}, {}, name)
            case "rich":
                cell.show({"text/plain": "x", "text/html": "x" * size}, {}, None)
            case "fail":
                cell.fail("E", "x" * size, "x" * size)
            case "update":
                cell.update({"text/plain": "x" * size}, {}, name)
            case wait:
                cell.clear(wait=wait == "wait")
        kept = [one for cell in cells for one in cell.outputs]
        assert space.used == sum(COST + one.text + one.content for one in kept)
        assert space.used <= max(limit, len(kept) * 3 * COST) * 1.25
        for cell in cells:
            cell.json(str)
