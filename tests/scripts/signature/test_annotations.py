"""Annotations become schemas that admit all that they admit, and are open where they are not understood."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from oet_kernel.scripts.signature.annotations import json_value, schema_of
from oet_kernel.scripts.signature.bindings import Names, parse
from oet_kernel.scripts.signature.validation import mismatch

PRELUDE = """
import collections.abc as abc
import datetime as dt
import enum, os, pathlib, typing
import typing as t
from datetime import datetime
from enum import Enum, IntEnum, StrEnum, auto
from pathlib import Path
from typing import Annotated, Any, Dict, Iterable, List, Literal, Mapping, Optional, Sequence, Tuple, TypedDict, Union
try:
    from typing import Final
except ImportError:
    from typing_extensions import Final

class Band(Enum):
    LOW = "1"
    MID = "2"
class Level(IntEnum):
    '''Levels.'''
    ONE = auto()
    TWO = auto()
    def words(self): return self.name
class Mode(str, Enum):
    FAST = "fast"
class Word(StrEnum):
    YES = auto()
class Pick(Enum):
    A = 1
    @classmethod
    def _missing_(cls, value): return cls.A
class Computed(Enum):
    A = len("x")
class Down(Enum):
    A = 5
    B = 2
    C = auto()
class Made(*[Enum]):
    A = 1
@dataclass
class Data:
    x: int
class Target(TypedDict):
    name: str
class Plain:
    pass
Degrees = Annotated[float, "angle in degrees"]
Names_: "typing.TypeAlias" = list[str]
Twice = int
Twice = str
Loop = list["Loop"]
if pathlib:
    Maybe = int
else:
    Maybe = str
def change():
    global Changed
    Changed = str
Changed = int
"""


def schema(annotation, prelude=PRELUDE):
    names = Names(parse(f"{prelude}\n"))
    made = schema_of(ast.parse(annotation, mode="eval").body, names)
    Draft202012Validator.check_schema(made)
    return made


INTEGER, NUMBER, STRING, ARRAY, OBJECT = ({"type": one} for one in ("integer", "number", "string", "array", "object"))
TIME = {"type": ["string", "number"], "format": "date-time"}
PATH = {"type": "string", "format": "path"}


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("int", INTEGER),
        ("bool", {"type": "boolean"}),
        ("float", NUMBER),
        ("str", STRING),
        ("None", {"type": "null"}),
        ("'int'", INTEGER),
        ("'list[\"int\"]'", {"type": "array", "items": INTEGER}),
        ("int | None", {"type": ["integer", "null"]}),
        ("None | int | str", {"type": ["integer", "string", "null"]}),
        ("int | str | int", {"type": ["integer", "string"]}),
        ("Optional[int]", {"type": ["integer", "null"]}),
        ("t.Optional[float]", {"type": ["number", "null"]}),
        ("typing.Union[int, None, str]", {"type": ["integer", "string", "null"]}),
        ("Union[list[int], str]", {"anyOf": [{"type": "array", "items": INTEGER}, STRING]}),
        ("list[int] | None", {"type": ["array", "null"], "items": INTEGER}),
        ("list", ARRAY),
        ("list[int]", {"type": "array", "items": INTEGER}),
        ("List[List[str]]", {"type": "array", "items": {"type": "array", "items": STRING}}),
        ("set[float]", {"type": "array", "items": NUMBER}),
        ("tuple[int, ...]", {"type": "array", "items": INTEGER}),
        ("tuple[int, Plain]", {"type": "array", "prefixItems": [INTEGER, {}], "minItems": 2, "maxItems": 2}),
        ("Tuple[int]", {"type": "array", "prefixItems": [INTEGER], "minItems": 1, "maxItems": 1}),
        ("tuple[()]", {"type": "array", "minItems": 0, "maxItems": 0}),
        ("tuple[int, *tuple[str, ...]]", ARRAY),
        ("dict", OBJECT),
        ("dict[str, int]", {"type": "object", "additionalProperties": INTEGER}),
        ("Mapping[int, Any]", {"type": "object", "x-keys": INTEGER}),
        ("dict[str, Any]", OBJECT),
        ("dt.date", {"type": "string", "format": "date"}),
        ("dt.time", {"type": "string", "format": "time"}),
        ("dt.timedelta", {"type": ["string", "number"], "format": "duration"}),
        ("bytes", {"type": "string", "format": "byte"}),
        ("Sequence[int]", {"type": "array", "items": INTEGER}),
        ("Sequence[str]", {"type": ["array", "string"], "items": STRING}),
        ("abc.Sequence", {"type": ["array", "string"]}),
        ("Path", PATH),
        ("pathlib.Path | None", {"type": ["string", "null"], "format": "path"}),
        ("os.PathLike[str]", PATH),
        ("datetime", TIME),
        ("dt.datetime", TIME),
        ("Literal['a', 2, True, None]", {"enum": ["a", 2, True, None]}),
        ("Literal[1, True]", {"enum": [1, True]}),
        ("Literal['a'] | None", {"enum": ["a", None]}),
        ("Literal[Literal['a'], 'b', 'a']", {"enum": ["a", "b"]}),
        ("Annotated[int, 'how many']", {"type": "integer", "description": "how many"}),
        ("Annotated[int, something(3)]", INTEGER),
        ("Final[int]", INTEGER),
        ("Band", {"enum": ["1", "2", "LOW", "MID"], "x-members": {"LOW": "1", "MID": "2"}}),
        ("Level", {"enum": [1, 2, "ONE", "TWO"], "x-members": {"ONE": 1, "TWO": 2}}),
        ("Mode", {"enum": ["fast", "FAST"], "x-members": {"FAST": "fast"}}),
        ("Word", {"enum": ["yes", "YES"], "x-members": {"YES": "yes"}}),
        ("Target", OBJECT),
        ("Degrees", {"type": "number", "description": "angle in degrees"}),
        ("Names_", {"type": "array", "items": STRING}),
    ],
)
def test_annotation_that_is_understood(annotation, expected):
    assert schema(annotation) == expected


@pytest.mark.parametrize(
    "annotation",
    [
        "Any", "object", "Plain", "Data", "complex", "unknown", "np.ndarray", "int()", "'not python('",
        "'; import os'", "list[int][0]", "Twice", "Maybe", "Changed", "Pick", "Computed", "Down", "Made",
        "Literal[b'x']", "Literal[Band.LOW]", "Literal[x]", "Optional[Plain]", "int | Plain", "Union[int, Any]",
        "Optional", "Union", "Literal", "Annotated", "typing.Callable[[int], str]", "type[int]", "1", "...",
        "x if y else z", "lambda: 3", "-1", "f'{int}'", "Annotated[Plain]", "list[int, str](3)", "Optional[int, str]",
    ],
)  # fmt: skip
def test_annotation_that_is_not_understood_admits_anything(annotation):
    assert schema(annotation) == {}


def test_alias_that_means_itself_comes_to_an_end():
    assert schema("Loop")["type"] == "array"


@pytest.mark.parametrize(
    "prelude",
    [
        "from numpy import *",
        "int = make()",
        "from numpy import int",
        "for int in (str, float): pass",
        "class int: pass",
        "def int(): pass",
        "if (int := str): pass",
        "try: pass\nexcept Exception as int: pass",
        "with open('x') as int: pass",
        "def f():\n    global int\n    int = str",
        "class A:\n    global int\n    int = str",
        "globals()['int'] = str",
        "exec('int = str')",
        "import sys\nsys.modules[__name__].int = str",
        "del int",
        "match 1:\n    case int: pass",
    ],
)
def test_name_that_may_mean_something_else_is_not_taken_for_the_builtin(prelude):
    assert schema("int", prelude) == {}


def test_same_import_in_two_places_means_the_same():
    both = "try:\n    from typing import Literal\nexcept ImportError:\n    from typing_extensions import Literal"
    assert schema("Literal[1]", both) == {"enum": [1]}
    assert schema("Literal[1]", both.replace("typing_extensions", "other")) == {}


def test_nesting_without_end_is_cut_and_open():
    deep = "list[" * 60 + "int" + "]" * 60
    assert mismatch(schema(deep), eval("[" * 60 + "'x'" + "]" * 60), "$") is None


@pytest.mark.parametrize(
    "text", ["1e999", "b'x'", "{1}", "'\\ud800'", "{1: 2}", "x", "f()", "10**5", "2**63", "9" * 50]
)
def test_what_has_no_json_form_is_no_default(text):
    assert json_value(ast.parse(text, mode="eval").body) == (False, None)


FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | FINITE | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
# an annotation, and the JSON values of what it admits
LEAVES = st.sampled_from(
    [
        ("int", st.integers()),
        ("float", FINITE | st.integers()),
        ("bool", st.booleans()),
        ("str", st.text()),
        ("None", st.none()),
        ("Any", JSON),
        ("Plain", JSON),
        ("Path", st.text()),
        ("Literal['a', 3, None]", st.sampled_from(["a", 3, None])),
        ("Band", st.sampled_from(["1", "2", "LOW", "MID"])),
        ("Sequence[str]", st.text() | st.lists(st.text())),
    ]
)
KINDS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda one: (f"list[{one[0]}]", st.lists(one[1], max_size=3))),
        inner.map(lambda one: (f"Iterable[{one[0]}]", st.lists(one[1], max_size=3))),
        inner.map(lambda one: (f"dict[str, {one[0]}]", st.dictionaries(st.text(), one[1], max_size=3))),
        inner.map(lambda one: (f"Optional[{one[0]}]", st.none() | one[1])),
        st.tuples(inner, inner).map(lambda two: (f"Union[{two[0][0]}, {two[1][0]}]", two[0][1] | two[1][1])),
        st.tuples(inner, inner).map(
            lambda two: (f"tuple[{two[0][0]}, {two[1][0]}]", st.tuples(two[0][1], two[1][1]).map(list))
        ),
    ),
    max_leaves=6,
)
NAMES = Names(parse(PRELUDE))


@given(st.data())
def test_no_value_that_an_annotation_admits_is_refused(data):
    annotation, values = data.draw(KINDS)
    made = schema_of(ast.parse(annotation, mode="eval").body, NAMES)
    Draft202012Validator.check_schema(made)
    value = data.draw(values)
    assert mismatch(made, value, "$") is None


@given(KINDS, JSON)
def test_what_json_schema_admits_is_admitted_and_what_it_refuses_is_refused(kind, value):
    made = schema_of(ast.parse(kind[0], mode="eval").body, NAMES)
    ours, theirs = mismatch(made, value, "$") is None, Draft202012Validator(made).is_valid(value)
    assert ours == theirs
