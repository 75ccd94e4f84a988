"""Outputs behave as those of a running notebook: joined, updated, cleared, and never more than there is room for."""

import pytest

from oet_kernel.records.outputs import Outputs
from oet_kernel.records.space import COST, Space


class Cells:
    """Two cells that share their room and their displays."""

    def __init__(self, limit=100_000):
        self.space, self.displays = Space(limit), {}
        self.one, self.two = (Outputs(self.space, self.displays) for _ in range(2))


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
    cells.one.fail("E", "", "")
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
        cells.one.write("stdout", "x" * 400)
        cells.one.show({"text/plain": "y"}, {}, "a")
        cells.one.clear(wait=False)
    assert cells.space.used == 0
    cells.one.write("stdout", "x" * 700)
    assert shown(cells.one) == ["x" * 700]


def test_text_that_is_too_long_keeps_its_beginning_and_its_end():
    cells = Cells(10_000)
    for number in range(10_000):
        cells.one.write("stdout", f"line {number}\n")
    cells.two.write("stdout", "RESULT\n")
    (text,) = shown(cells.one)
    lines = text.split("\n")
    assert (lines[0], lines[-2]) == ("line 0", "line 9999")
    assert 5_000 < len(text) < 10_200
    (notice,) = [line for line in lines if not line.startswith("line") and line]
    left_out = int(notice.split()[0][1:])
    assert left_out + len(text) - len(f"[{left_out} left out]") == sum(len(f"line {n}\n") for n in range(10_000))
    assert shown(cells.two) == ["RESULT\n"]


@pytest.mark.parametrize(
    "long",
    [
        lambda cell: cell.write("stdout", "x" * 100_000),
        lambda cell: cell.show({"text/html": "x" * 100_000}, {}, None),
        lambda cell: cell.show({"text/plain": "x" * 100_000}, {}, None),
        lambda cell: cell.fail("E", "x" * 100_000, "x" * 100_000),
        lambda cell: [cell.write(name, "x") for _ in range(1000) for name in ("stdout", "stderr")],
        lambda cell: [cell.show({"image/png": "x" * 500}, {}, str(n)) for n in range(1000)],
        lambda cell: [cell.fail("E", str(n), "") for n in range(1000)],
    ],
)  # fmt: skip
@pytest.mark.parametrize("first", [True, False])
def test_what_is_long_takes_no_room_from_what_is_short(long, first):
    cells = Cells(20_000)
    actions = [lambda: long(cells.one), lambda: cells.two.write("stdout", "RESULT 42\n")]
    for action in actions if first else actions[::-1]:
        action()
    assert shown(cells.two) == ["RESULT 42\n"]
    assert cells.space.used <= 20_000
    assert "left out" in str(cells.one.json(lambda size: f"[{size} left out]"))
    assert len(str(cells.one.json(lambda size: ""))) < 40_000


def test_each_output_keeps_its_beginning_and_its_end():
    cells = Cells(20_000)
    for name in ("stdout", "stderr", "stdout"):
        cells.one.write(name, f"{name} begins\n")
        cells.one.write(name, "x" * 50_000)
        cells.one.write(name, f"\n{name} ends\n")
    cells.one.show({"text/plain": "<Figure>", "image/png": "x" * 3000}, {}, None)
    texts = shown(cells.one)
    assert texts[-1] == {"text/plain": "<Figure>", "image/png": "x" * 3000}
    for name, text in zip(("stdout", "stderr", "stdout"), texts, strict=False):
        assert (text.split("\n")[0], text.split("\n")[-2]) == (f"{name} begins", f"{name} ends")
        assert "left out" in text


def test_figure_that_is_too_large_leaves_its_text():
    cells = Cells(1000)
    cells.one.write("stdout", "before\n")
    cells.one.show({"text/plain": "<Figure>", "image/png": "x" * 5000}, {"width": 3}, None)
    cells.one.write("stdout", "after\n")
    before, figure, after = shown(cells.one)
    assert (before, after) == ("before\n", "after\n")
    assert figure == {"text/plain": "<Figure>[5011 left out]"}


def test_of_many_figures_the_first_and_the_last_are_kept():
    cells = Cells(100_000)
    for number in range(100):
        cells.one.show({"image/png": f"{number:05d}" * 1000}, {}, None)
    cells.two.show({"image/png": "z" * 5000}, {}, None)
    kept = [one["image/png"][:5] for one in shown(cells.one) if "image/png" in one]
    assert (kept[0], kept[-1]) == ("00000", "00099")
    assert 10 < len(kept) < 20
    assert shown(cells.two) == [{"image/png": "z" * 5000}]


def test_of_very_many_outputs_the_first_and_the_last_are_kept():
    cells = Cells(50_000)
    for number in range(10_000):
        cells.one.write("stdout", f"{number}\n")
        cells.one.fail("E", str(number), "")
    outputs = shown(cells.one)
    assert (outputs[0], outputs[-1]) == ("0\n", "E")
    assert any("left out" in one for one in outputs)
    assert 20 < len(outputs) < 200
    assert cells.one.json(str)[-1]["evalue"] == "9999"


def test_display_that_was_left_out_is_not_updated_and_others_are():
    cells = Cells(20_000)
    for number in range(1000):
        cells.one.show({"text/plain": str(number)}, {}, str(number))
    for number in range(1000):
        cells.two.update({"text/plain": f"new {number}"}, {}, str(number))
    outputs = shown(cells.one)
    assert (outputs[0], outputs[-1]) == ({"text/plain": "new 0"}, {"text/plain": "new 999"})
    cells.one.clear(wait=False)
    assert cells.displays == {}


def test_display_that_grows_beyond_the_room_leaves_its_beginning_and_its_end():
    cells = Cells(1000)
    cells.one.show({"text/plain": "small"}, {}, "a")
    cells.one.update({"text/plain": "begin" + "x" * 5000 + "end"}, {}, "a")
    (text,) = (one["text/plain"] for one in shown(cells.one))
    assert text.startswith("begin")
    assert text.endswith("end")
    assert cells.space.used <= 1000


def test_many_small_outputs_take_room_too():
    cells = Cells(10_000)
    for _ in range(10_000):
        cells.one.write("stdout", "a")
        cells.one.write("stderr", "b")
    assert len(shown(cells.one)) < 50


def test_line_that_rewrites_itself_takes_the_room_of_one():
    cells = Cells(10_000)
    for number in range(10_000):
        cells.one.write("stderr", f"\r{number:5d}/10000 {'#' * 60}")
    assert cells.space.used < COST + 2 * 1024
    assert shown(cells.one) == [f" 9999/10000 {'#' * 60}"]


def test_value_of_a_last_line_is_a_result_with_the_number_of_its_cell(cells):
    cells.one.show({"text/plain": "3"}, {}, None, result=True)
    (result,) = cells.one.json(str, 7)
    assert result == {
        "output_type": "execute_result",
        "execution_count": 7,
        "data": {"text/plain": "3"},
        "metadata": {},
    }


def test_content_is_text_but_for_json(cells):
    cells.one.show({"text/plain": ["a\n", "b"], "image/svg+xml": 3, "application/json": {"x": 1}}, {}, None)
    assert shown(cells.one) == [{"text/plain": "a\nb", "image/svg+xml": "3", "application/json": {"x": 1}}]
