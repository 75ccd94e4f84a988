"""What is typed stays text where the script's annotation says text, and is a literal only where it does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from oet_kernel.formatting.literals import read_arguments, read_value
from oet_kernel.models import ProcedureInput, Typed
from oet_kernel.scripts.signature.schema import read_script
from oet_kernel.scripts.signature.typed import resolve
from oet_kernel.scripts.signature.validation import faults

PRELUDE = """
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Literal, NewType, Optional, Sequence
from lab import ObsId
class Band(Enum):
    LOW = 1
    MID = "2"
"""


def main_of(signature):
    return read_script(f"{PRELUDE}def main({signature}): pass\n").main


def sent(signature, *words):
    return resolve(main_of(signature), read_arguments(words))


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        *[("str", text, text) for text in (
            "20260101_0001", "12e45", "1e5", "0x10", "1,2", "1.50", "00", "007", "True", "true", "None", "null", "[1]",
            '{"a": 1}', "J0437-4715", "'x'", '"5"', "", "-5", "1e999", "inf", "2026-11-25",
        )],
        ("Path", "007", "007"),
        ("Path", "[1]", "[1]"),
        ("date", "20261125", "20261125"),
        ("datetime", "20261125", "20261125"),
        ("datetime", "0", 0),
        ("timedelta", "5", 5),
        ("timedelta", "PT5S", "PT5S"),
        ("Decimal", "1.50", "1.50"),
        ("Optional[str]", "5", "5"),
        ("Optional[str]", "None", None),
        ("Optional[str]", "true", "true"),
        ("str | None", "20260101_0001", "20260101_0001"),
        ("Optional[Path]", "None", None),
        ("Literal['1', 2]", "1", "1"),
        ("Literal['1', 2]", "2", 2),
        ("Literal['None']", "None", "None"),
        ("Band", "1", 1),
        ("Band", "2", "2"),
        ("Band", "LOW", "LOW"),
        ("int", "5", 5),
        ("float", "1e5", 1e5),
        ("bool", "true", True),
        ("list[str]", "['a', '5']", ["a", "5"]),
        ("dict", "{'a': 1}", {"a": 1}),
        ("tuple[int, int]", "1,2", [1, 2]),
        # what is ambiguous is read as ever
        ("str | int", "20260101_0001", 202601010001),
        ("str | int", "'5'", "5"),
        ("str | float", "1e5", 1e5),
        ("str | list[int]", "[1]", [1]),
        ("Sequence[str]", "['a']", ["a"]),
        # what does not fit is sent as it reads, to be refused
        ("int", "x", "x"),
        ("list[int]", "5", 5),
    ],
)  # fmt: skip
def test_annotation_decides(annotation, text, value):
    for words, signature in (((f"--x={text}",), f"x: {annotation}"), ((text,), f"x: {annotation}, /")):
        if not text.startswith(("-", "'-")):
            made = sent(signature, *words)
            assert [*made.args, *made.kwargs.values()] == [value]
            assert made.typed is UNSET


@pytest.mark.parametrize("signature", ["x", "x=1", "*x", "**kwargs", "x=None"])
@pytest.mark.parametrize("text", ["5", "20260101_0001", "true", "[1]", "word"])
def test_without_an_annotation_literals_are_read_as_ever(signature, text):
    words = [f"--x={text}"] if signature != "*x" else [text]
    made = sent(signature, *words)
    assert [*made.args, *made.kwargs.values()] == [read_value(text)]
    assert made.typed is UNSET


@pytest.mark.parametrize(
    ("signature", "words", "args", "kwargs"),
    [
        ("*x: str", ["1", "2"], ["1", "2"], {}),
        ("**x: str", ["--a=1", "--b=2"], [], {"a": "1", "b": "2"}),
        ("a, *x: str, b: int, **c: str", ["1", "2", "--b=3", "--c=4"], [1, "2"], {"b": 3, "c": "4"}),
        ("a: str = ''", ["--a"], [], {"a": True}),
    ],
)
def test_each_kind_of_parameter(signature, words, args, kwargs):
    assert sent(signature, *words) == ProcedureInput(args, kwargs)


def test_what_is_not_understood_is_left_to_the_kernel():
    assert sent("a: ObsId, b: str, c: ObsId = ''", "1", "2", "--c=3") == ProcedureInput(
        [1, "2"], {"c": 3}, Typed(["1", None], {"c": "3"})
    )
    given = read_arguments(["1", "--a=2"])
    assert resolve(read_script("from lab import main").main, given) == given


def test_what_has_no_place_is_left_to_be_refused():
    assert sent("", "1", "--a=2") == ProcedureInput([1], {"a": 2}, Typed(["1"], {"a": "2"}))


@given(st.text())
def test_any_text_arrives_where_text_is_meant(text):
    words = [f"--a={text}", "--b", f"x{text}"]
    made = sent("a: str, b: Path", *words)
    assert made == ProcedureInput([], {"a": text, "b": f"x{text}"})


@given(
    st.text(), st.sampled_from(["int", "date", "Band", "Optional[str]", "str | int", "list[int]", "Decimal", "bool"])
)
def test_what_can_be_read_either_way_is_not_refused(text, annotation):
    function = main_of(f"a: {annotation}")

    def fits(value):
        return not faults(function, [], {"a": value}, "$")

    made = sent(f"a: {annotation}", f"--a={text}")
    assert fits(made.kwargs["a"]) == (fits(text) or fits(read_value(text)))
