"""Outputs behave as those of a running notebook: joined, updated, cleared, and never more than there is room for."""

import pytest

from oet_kernel.record.outputs import Outputs, Space


class Cells:
    """Two cells that share their room and their displays."""

    def __init__(self, limit=100_000):
        self.space, displays = Space(limit), {}
        self.one, self.two = Outputs(self.space, displays), Outputs(self.space, displays)


@pytest.fixture
def cells():
    return Cells()


def shown(cell):
    return [one.get("text") or one.get("data") or one["ename"] for one in cell.json(lambda size: f"[{size} left out]")]


def test_update_changes_a_display_wherever_it_is(cells):
    cells.one.show({"text/plain": "old"}, {}, "a")
    cells.two.show({"text/plain": "old"}, {}, "a")
    cells.two.show({"text/plain": "other"}, {}, "b")
    cells.two.update({"text/plain": "new"}, {"m": 1}, "a")
    assert shown(cells.one) == [{"text/plain": "new"}]
    assert shown(cells.two) == [{"text/plain": "new"}, {"text/plain": "other"}]


def test_display_with_an_id_that_is_there_changes_what_was_shown_under_it(cells):
    cells.one.show({"text/plain": "old"}, {}, "a")
    cells.two.show({"text/plain": "new"}, {}, "a")
    cells.two.show({"text/plain": "without"}, {}, None)
    assert shown(cells.one) == [{"text/plain": "new"}]
    assert shown(cells.two) == [{"text/plain": "new"}, {"text/plain": "without"}]


@pytest.mark.parametrize("display_id", ["unknown", None])
def test_update_of_a_display_that_is_not_there_shows_nothing(cells, display_id):
    cells.one.show({"text/plain": "x"}, {}, None)
    cells.one.update({"text/plain": "new"}, {}, display_id)
    assert shown(cells.one) == [{"text/plain": "x"}]


def test_clear_drops_the_cells_own_output_at_once(cells):
    cells.one.write("stdout", "a")
    cells.two.write("stdout", "b")
    cells.one.clear(wait=False)
    assert (shown(cells.one), shown(cells.two)) == ([], ["b"])


def test_clear_that_waits_drops_it_with_the_next_output(cells):
    cells.one.write("stdout", "a")
    cells.one.clear(wait=True)
    assert shown(cells.one) == ["a"]
    cells.one.write("stdout", "b")
    cells.one.write("stdout", "c")
    assert shown(cells.one) == ["bc"]


def test_error_also_ends_the_wait_of_a_clear(cells):
    cells.one.write("stdout", "a")
    cells.one.clear(wait=True)
    cells.one.fail("E", "", [])
    assert shown(cells.one) == ["E"]


def test_cleared_display_is_not_updated_any_more(cells):
    cells.one.show({"text/plain": "x"}, {}, "a")
    cells.one.clear(wait=False)
    cells.one.show({"text/plain": "y"}, {}, None)
    cells.one.update({"text/plain": "z"}, {}, "a")
    assert shown(cells.one) == [{"text/plain": "y"}]


def test_cleared_output_gives_its_room_back():
    cells = Cells(1000)
    for _ in range(100):
        cells.one.write("stdout", "x" * 500)
        cells.one.show({"text/plain": "y"}, {}, "a")
        cells.one.clear(wait=False)
    assert cells.space.left == 1000
    cells.one.write("stdout", "x" * 700)
    assert shown(cells.one) == ["x" * 700]


def test_nothing_follows_on_a_gap():
    cells = Cells(1000)
    cells.one.write("stdout", "first")
    cells.one.show({"image/png": "x" * 5000}, {}, None)
    cells.one.write("stdout", "after")
    first, notice = shown(cells.one)
    assert first == "first"
    assert notice.startswith("[5")


def test_display_that_grows_beyond_the_room_stays_as_it_was():
    cells = Cells(1000)
    cells.one.show({"text/plain": "small"}, {}, "a")
    cells.one.update({"text/plain": "x" * 5000}, {}, "a")
    assert shown(cells.one)[0] == {"text/plain": "small"}
    assert cells.space.left >= 0


def test_many_small_outputs_take_room_too():
    cells = Cells(10_000)
    for _ in range(10_000):
        cells.one.write("stdout", "a")
        cells.one.write("stderr", "b")
    assert len(shown(cells.one)) < 50


def test_content_is_text_but_for_json(cells):
    cells.one.show({"text/plain": ["a\n", "b"], "image/svg+xml": 3, "application/json": {"x": 1}}, {}, None)
    assert shown(cells.one) == [{"text/plain": "a\nb", "image/svg+xml": "3", "application/json": {"x": 1}}]
