"""Fields are made from what a script takes, and what is filled in becomes the call that the user sees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from oet_kernel.models import ProcedureInput, Typed
from oet_kernel.panel.form import Kind, Place, fields_of, fill, left
from oet_kernel.scripts.signature.schema import read_script
from oet_kernel.scripts.signature.validation import faults

HEAD = """
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Literal
from lab import ObsId
class Band(Enum):
    LOW = 1
    MID = 2
"""


def form(signature, body="pass"):
    """Make the fields of an init with these parameters."""
    return fields_of(read_script(f"{HEAD}def init({signature}):\n    {body}\n").init.schema)


def called(signature, **values):
    """Fill in, and give the call; values that are not given are as the form shows them at first."""
    filled = fill(form(signature), values)
    assert not filled.complaints
    return filled.arguments


@pytest.mark.parametrize(
    ("parameter", "kind"),
    [
        ("a: int", Kind.INTEGER),
        ("a: int | None = 3", Kind.INTEGER),
        ("a: float = 60", Kind.NUMBER),
        ("a: str = ''", Kind.TEXT),
        ("a: bool = False", Kind.FLAG),
        ("a: bool", Kind.CHOICE),
        ("a: bool | None = None", Kind.CHOICE),
        ("a: Literal['x', 'y']", Kind.CHOICE),
        ("a: Band = Band.LOW", Kind.CHOICE),
        ("a: list[int] = []", Kind.JSON),
        ("a: dict[str, int] | None = None", Kind.JSON),
        ("a: int | str = 1", Kind.ANY),
        ("a", Kind.ANY),
    ],
)
def test_each_annotation_has_its_kind_of_field(parameter, kind):
    assert form(parameter)[0].kind is kind


def test_a_field_says_what_it_is_for_its_unit_its_default_and_whether_it_is_required():
    docstring = '"""Do.\n\n    Parameters\n    ----------\n    speed\n        How fast the dishes move [deg/s].\n"""'
    fast, must = form("speed: float = 60, *, must: int", docstring)
    assert (fast.label, must.label) == ("speed [deg/s]", "must *")
    assert fast.hint == "How fast the dishes move [deg/s].; a number; default: 60"
    assert must.hint == "an integer; required"


@pytest.mark.parametrize(
    ("parameter", "choices"),
    [
        ("a: Literal['x', 2] = 2", [("x", "x"), ("2", 2)]),
        ("a: Literal['x'] | None = None", [("x", "x"), ("none", None)]),
        ("a: Literal['x', 'y']", [("(choose)", UNSET), ("x", "x"), ("y", "y")]),
        ("a: Band = Band.LOW", [("(default: Band.LOW)", UNSET), ("LOW", 1), ("MID", 2)]),
        ("a: bool", [("(choose)", UNSET), ("true", True), ("false", False)]),
        ("a: bool | None = None", [("true", True), ("false", False), ("none", None)]),
    ],
)
def test_choices_are_the_values_and_nothing_is_chosen_where_there_is_no_default(parameter, choices):
    assert list(form(parameter)[0].choices) == choices


def test_the_default_is_chosen_at_first():
    parameters = ("a: Literal[0, False, 1] = False", "a: bool | None = None", "a: bool")
    assert [form(one)[0].first_choice for one in parameters] == [1, 2, 0]


@pytest.mark.parametrize(
    ("parameter", "typed", "sent"),
    [
        ("a: int", "7", {"a": 7}),
        ("a: int = 1", 1, {"a": 1}),  # what is seen is what is sent
        ("a: float = 60", 60.0, {"a": 60}),
        ("a: float = 60", "1e3", {"a": 1000.0}),
        ("a: int | None = 3", "", {"a": None}),
        ("a: int | None = None", "", {}),
        ("a: str | None = None", "", {}),
        ("a: str = 'x'", "", {"a": ""}),
        ("a: str", "12", {"a": "12"}),
        ("a: int | str = 1", "12", {"a": 12}),
        ("a: int | str = 1", "[1", {"a": "[1"}),
        ("a: Path", "007", {"a": "007"}),
        ("a: datetime", "20261125", {"a": "20261125"}),
        ("a: datetime", "0.5", {"a": 0.5}),
        ("a: Decimal", "1.50", {"a": "1.50"}),
        ("a: timedelta", "5", {"a": 5}),
        ("a: Literal['1', 'x'] | list[int]", "1", {"a": "1"}),
        ("a: list[int] = []", "[1, 2]", {"a": [1, 2]}),
        ("a: list[int] = []", "", {}),
        ("a: dict[str, int]", '{"x": 1}', {"a": {"x": 1}}),
        ("a", "true", {"a": True}),
        ("a", "word", {"a": "word"}),
        ("a=object()", "", {}),
        ("a: Band = Band.LOW", 0, {}),
        ("a: Band = Band.LOW", 2, {"a": 2}),
        ("a: bool | None = None", 2, {}),
        ("a: bool | None = True", 2, {"a": None}),
        ("a: Literal[False, 0, True] = True", 0, {"a": False}),
        ("a: Literal[False, 0, True] = True", 1, {"a": 0}),
        ("a: bool = True", True, {"a": True}),
        ("**more", '{"x": 1}', {"x": 1}),
    ],
)
def test_what_is_typed_is_read_by_the_type(parameter, typed, sent):
    (field,) = form(parameter)
    made = called(parameter, **{field.name: typed})
    assert (made.args, made.kwargs) == ([], sent)


@pytest.mark.parametrize(
    ("parameter", "typed", "shown"),
    [
        ("a: int = 1", "2.7", "2"),
        ("a: int = 1", "-2.7", "-2"),
        ("a: int", ".5", "0"),
        ("a: int = 1", "2.0", "2"),
        ("a: int | None = 1", " 1e3 ", "1000"),
        ("a: int = 1", "007", "7"),
        ("a: int = 1", "12345678901234567890", "12345678901234567890"),
        ("a: int = 1", "1e99999", "1e99999"),
        ("a: int = 1", "9" * 1000, "9" * 1000),
        ("a: int = 1", "two", "two"),
        ("a: int = 1", "nan", "nan"),
        ("a: int | None = 1", "", ""),
        ("a: float = 1", "2.7", "2.7"),
        ("a: str = ''", "2.7", "2.7"),
        ("a", "2.7", "2.7"),
    ],
)
def test_a_number_field_that_is_left_shows_what_is_sent(parameter, typed, shown):
    (field,) = form(parameter)
    text, note = left(field, typed)
    assert text == shown
    assert left(field, shown) == (shown, "")
    assert bool(note) is (field.kind is Kind.INTEGER and typed in ("2.7", "-2.7", ".5"))
    filled = fill([field], {"a": text})
    if not filled.complaints and text and field.kind is Kind.INTEGER:
        assert str(filled.arguments.kwargs["a"]) == shown


@pytest.mark.parametrize(
    ("parameter", "typed", "complaint"),
    [
        ("a: int", "", "required"),
        ("a: str", " ", "required"),
        ("a: Literal['x']", 0, "required"),
        ("a: int", "x", "expected an integer"),
        ("a: int", "1.5", "expected an integer"),
        ("a: int", "true", "expected an integer"),
        ("a: float", "nan", "expected a number"),
        ("a: float | None = None", "fast", "expected a number or nothing"),
        ("a: list[int]", "[1, 2", "expected a list, as [1, 2]; the text is not JSON: "),
        ("a: list[int]", "5", "expected a list, as [1, 2]"),
        ("a: list[int]", '["x"]', '[0]: expected integer, got string "x"'),
        ("a: date", "2026-13-01", "expected date of ISO 8601 (2026-11-25)"),
        ("a: timedelta", "5 s", "expected duration of ISO 8601 (PT1H30M) or seconds"),
        ("**more", "[1]", 'expected an object, as {"name": 1}'),
    ],
)
def test_what_cannot_be_is_said_at_its_field(parameter, typed, complaint):
    (field,) = form(parameter)
    filled = fill([field], {field.name: typed})
    assert filled.complaints[field.name].startswith(complaint)


def test_what_was_typed_goes_along_where_nothing_is_known_of_the_argument():
    made = called("a: ObsId, /, b, c: ObsId = '', d: str = ''", a="20260101_0001", b="5", c="1e5", d="007")
    assert made == ProcedureInput(
        [202601010001], {"b": 5, "c": 100000.0, "d": "007"}, Typed(["20260101_0001"], {"b": "5", "c": "1e5"})
    )
    assert called("a: int, b", a="5", b="word") == ProcedureInput([], {"a": 5, "b": "word"})


def test_arguments_that_go_by_position_go_there_with_all_before_them():
    assert called("a: int, b: int = 2, /, c: int = 3", a="1", c="4") == ProcedureInput([1], {"c": 4})
    assert called("a: int, b: int = 2, /", a="1", b="5") == ProcedureInput([1, 5], {})
    assert called("a: int, b: int = 2, *rest: int", a="1", rest="[8, 9]") == ProcedureInput([1, 2, 8, 9], {})
    assert called("a: int, *rest: int, k: int = 0", a="1", rest="", k="3") == ProcedureInput([], {"a": 1, "k": 3})


def test_a_gap_among_arguments_by_position_is_said():
    filled = fill(form("a=object(), b: int = 2, /"), {"a": "", "b": "3"})
    assert filled.complaints == {"a": "required, since a later argument is given by position"}


def test_a_further_argument_cannot_be_one_that_has_a_field():
    filled = fill(form("a: int, **more"), {"a": "1", "more": '{"a": 2}', "further arguments": '{"a": 2}'})
    assert "a has its own field; use that field" in filled.complaints.values()


def test_a_function_of_which_nothing_is_known_takes_lists_and_objects():
    fields = fields_of({"x-open": "it is decorated"})
    assert [field.place for field in fields] == [Place.REST, Place.OTHERS]
    filled = fill(fields, {"positional arguments": "[1]", "further arguments": '{"x": 2}'})
    assert filled.arguments == ProcedureInput([1], {"x": 2})


def test_no_function_has_no_fields():
    assert fields_of(None) == ()
    assert fill((), {}).arguments == ProcedureInput()


@given(st.text(max_size=30))
def test_whatever_is_typed_fits_the_script_or_is_complained_of(typed):
    signature = "a: int, b: float | None = 2, *, c: list = [], d: dict | None = None, e: str = 'x', f: int | str = 1"
    function = read_script(f"def init({signature}): pass\n").init
    fields = fields_of(function.schema)
    filled = fill(fields, dict.fromkeys((field.name for field in fields), typed))
    if not filled.complaints:
        assert not faults(function, filled.arguments.args, filled.arguments.kwargs, "$")
