"""Docstrings describe arguments, in whichever of the usual styles they are written."""

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.scripts.signature.docstrings import described

NUM = {"num": (None, "How many scans.")}
TYPED = {"num": ("int", "How many scans.")}
BOTH = {"num": (None, "How many scans."), "band": (None, "Which band.")}


def read(docstring, *names):
    return described(inspect.cleandoc(docstring), names or ("num", "band", "rest", "limits"))


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Observe.\n\nParameters\n----------\nnum\n    How many scans.\n", NUM),
        ("Observe.\n\nParameters\n----------\nnum : int\n    How many scans.\n", TYPED),
        ("Observe.\n\nParameters\n----------\nnum, band\n    Both.", {"num": (None, "Both."), "band": (None, "Both.")}),
        ("Observe.\n\nOther Parameters\n----------------\nnum : int\n    How many scans.", TYPED),
        ("Observe.\n\nArgs:\n    num: How many scans.\n", NUM),
        ("Observe.\n\nArgs:\n    num (int): How many scans.\n    band: Which band.\n", {**BOTH, **TYPED}),
        ("Observe.\n\nArgs:\n    num (int, optional): How many scans.\n\nReturns:\n    Nothing.\n", TYPED),
        ("Observe.\n\nArguments:\n    num (Literal['a', 'b']): How many scans.\n",
         {"num": ("Literal['a', 'b']", "How many scans.")}),
        ("Observe.\n\nArgs:\n  num: How many\n    scans.\n", {"num": (None, "How many\nscans.")}),
        ("Observe.\n\nArgs:\n    num: At 12:30: how many.\n", {"num": (None, "At 12:30: how many.")}),
        ("Observe.\n\nArgs:\n    num: How many scans.\n\nKeyword Args:\n    band: Which band.\n", BOTH),
        ("Observe.\n\nArgs:\n    num: How many scans.\n\nOther Parameters:\n    band: Which band.\n", BOTH),
        ("Observe.\n\nArgs:\n    *rest: Scans.\n    **limits: Limits.\n",
         {"rest": (None, "Scans."), "limits": (None, "Limits.")}),
        ("Observe.\n\nArgs:\n    \\*rest: Scans.\n    `num`: How many scans.\n", {"rest": (None, "Scans."), **NUM}),
        ("Observe.\n\n:param num: How many scans.\n:return:\n", NUM),
        ("\n    Observe.\n\n    :param num: How many scans.\n    :return:\n    ", NUM),
        ("Observe.\n\n:param num: How many scans.\n:type num: int\n:returns: nothing\n:rtype: None\n", TYPED),
        ("Observe.\n\n:param int num: How many scans.\n:raises ValueError: never\n", TYPED),
        ("Observe.\n\n:arg num: How many scans.\n:keyword band: Which band.\n", BOTH),
        ("Observe.\n\n:parameter num: How many scans.\n:key band: Which band.\n", BOTH),
        ("Observe.\n\n:param num: How many\n    scans.\n", {"num": (None, "How many\nscans.")}),
        ("Observe.\n\n:param \\*rest: Scans.\n:param \\**limits: Limits.\n",
         {"rest": (None, "Scans."), "limits": (None, "Limits.")}),
        ("Observe.\n\n@param num: How many scans.\n@return: nothing\n", NUM),
        ("Observe.\n\n@type num: int\n@param num: How many scans.\n", TYPED),
        ("Observe.\n\nArgs:\n    num: How many scans.\n\n:param band: Which band.\n", BOTH),
        ("Observe.\n\n:param num: How many scans.\n\nReturns:\n    Nothing.\n", NUM),
        ("Observe.\n\n:param num: How many scans.\n:param other: no such argument\n", NUM),
        (":param num: How many scans.", NUM),
        ("Observe.\n\n:param num:\n", {"num": (None, None)}),
    ],
)  # fmt: skip
def test_argument_is_described_in_each_style(docstring, expected):
    description, told = read(docstring)
    assert told == expected
    assert description == ("Observe." if "Observe." in docstring else None)


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Observe.", "Observe."),
        ("Observe.\n\nSlowly: as ever.\n", "Observe.\n\nSlowly: as ever."),
        ("Observe.\n\nReturns:\n    Nothing.\n", "Observe."),
        ("Observe.\n\nReturns\n-------\nint\n", "Observe."),
        ("Observe.\n\n:return: nothing\n", "Observe."),
        ("Observe.\n\nWith dishes: all of\nthem.\n", "Observe.\n\nWith dishes: all of\nthem."),
        ("Times are 12:30:\nand later", "Times are 12:30:\nand later"),
    ],
)
def test_description_is_what_stands_outside_of_sections_and_fields(docstring, expected):
    assert read(docstring) == (expected, {})


def test_no_docstring_describes_nothing():
    assert described(None, ["num"]) == (None, {})


PIECES = st.sampled_from(
    [
        "Args:",
        "Parameters",
        "----------",
        ":param num:",
        "@param num:",
        "num",
        "    num: x",
        "\n",
        "\n\n",
        ":",
        "-",
        "(",
        "*",
    ]
)


@given(st.text() | st.lists(PIECES).map("\n".join))
def test_any_docstring_is_read_and_describes_none_but_the_arguments(docstring):
    _, told = described(docstring, ["num"])
    assert set(told) <= {"num"}
