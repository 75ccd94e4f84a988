"""Widgets are kept in the state in which they are, as far as there is room."""

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel import topics
from oet_kernel.records import About, build
from oet_kernel.records.page import to_html
from oet_kernel.records.parts import encode
from oet_kernel.records.widgets import WIDGET_STATE, Widgets
from tests.records.conftest import summary_in

SLIDER = {"_model_name": "IntSliderModel", "_model_module": "@j", "_model_module_version": "2.0.0", "value": 3}


def told(widgets):
    return widgets.metadata()["widgets"][WIDGET_STATE]["state"] if widgets.metadata() else {}


@pytest.fixture
def widgets():
    return Widgets(10_000)


def test_state_is_that_of_the_newest_change(widgets):
    widgets.change({"model_id": "a", "state": SLIDER})
    widgets.change({"model_id": "a", "state": {"value": 7}})
    assert told(widgets) == {
        "a": {
            "model_name": "IntSliderModel", "model_module": "@j", "model_module_version": "2.0.0",
            "state": {**SLIDER, "value": 7},
        }
    }  # fmt: skip


def test_binary_values_are_kept_by_their_path(widgets):
    buffers = [{"path": ["value"], "data": "YQ=="}, {"path": ["more", 0], "data": "Yg=="}]
    widgets.change({"model_id": "a", "state": SLIDER, "buffers": buffers})
    widgets.change({"model_id": "a", "state": {}, "buffers": [{"path": ["value"], "data": "Yw=="}]})
    assert told(widgets)["a"]["buffers"] == [
        {"encoding": "base64", "path": ["value"], "data": "Yw=="},
        {"encoding": "base64", "path": ["more", 0], "data": "Yg=="},
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"model_id": "a", "state": {"value": 3}},
        {"model_id": "a", "state": None},
        {"model_id": 3, "state": SLIDER},
        {"state": SLIDER},
        {},
    ],
)
def test_what_is_no_widget_is_left_out(widgets, fields):
    widgets.change(fields)
    assert widgets.metadata() == {}


@pytest.mark.parametrize("large", [{"value": "x" * 20_000}, {"_model_name": "A", "value": "x" * 20_000}])
def test_widget_for_which_there_is_no_room_is_left_out_whole(widgets, large):
    widgets.change({"model_id": "a", "state": SLIDER})
    widgets.change({"model_id": "b", "state": SLIDER})
    widgets.change({"model_id": "a", "state": large})
    widgets.change({"model_id": "a", "state": {"value": 5}})
    assert set(told(widgets)) == {"b"}


def test_binary_values_take_room(widgets):
    widgets.change({"model_id": "a", "state": SLIDER, "buffers": [{"path": ["value"], "data": "x" * 20_000}]})
    assert told(widgets) == {}


def test_value_that_changes_without_end_takes_the_room_of_one(widgets):
    widgets.change({"model_id": "a", "state": SLIDER})
    for number in range(1000):
        buffers = [{"path": ["image"], "data": "x" * 5000}]
        widgets.change({"model_id": "a", "state": {"value": number}, "buffers": buffers})
    assert told(widgets)["a"]["state"]["value"] == 999


def test_widget_of_a_script_is_in_its_notebook_and_the_text_for_it_on_its_page(script):
    script.load()
    script.say(topics.OUTPUT_WIDGET, call="main", model_id="ab", state=SLIDER)
    view = {"version_major": 2, "version_minor": 0, "model_id": "ab"}
    script.show({"text/plain": "IntSlider()", "application/vnd.jupyter.widget-view+json": view})
    notebook = build(summary_in("CREATING", "COMPLETE"), script.events, About())
    nbformat.validate(notebook)
    assert "IntSliderModel" in encode(notebook).decode()
    page = to_html(encode(notebook), "Procedure 3").decode()
    assert "IntSlider()" in page
    assert "IntSliderModel" not in page


JSON = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
STATE = st.dictionaries(st.sampled_from(["_model_name", "value"]), JSON)
BUFFER = st.fixed_dictionaries({"path": JSON, "data": JSON})


@given(
    st.lists(
        st.fixed_dictionaries(
            {"model_id": st.sampled_from("ab") | JSON},
            optional={"state": STATE | JSON, "buffers": st.lists(BUFFER) | JSON},
        ),
        max_size=6,
    ),
    st.integers(0, 200),
)
def test_anything_is_taken_or_left(said, limit):
    widgets = Widgets(limit)
    for fields in said:
        widgets.change(fields)
    notebook = nbformat.v4.new_notebook(metadata=widgets.metadata())
    nbformat.validate(notebook)
