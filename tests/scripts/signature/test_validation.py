"""Arguments that do not fit are told by their path, with what was expected and what came."""

import pytest

from oet_kernel.scripts.signature.schema import read_script
from oet_kernel.scripts.signature.validation import MOST, faults, mismatch

AT = "$.script_args.init"
PRELUDE = """
from datetime import date
from enum import Enum
from typing import Literal, Optional
class Band(Enum):
    LOW = 1
    MID = 2
"""


def wrong(signature, *args, **kwargs):
    return faults(read_script(f"{PRELUDE}def init({signature}): pass\n").init, list(args), kwargs, AT)


@pytest.mark.parametrize(
    ("signature", "args", "kwargs", "expected"),
    [
        ("subarray_id: int", [], {"subarray_id": "x"}, [".kwargs.subarray_id: expected integer, got string \"x\""]),
        ("subarray_id: int", ["x"], {}, [".args[0]: expected integer, got string \"x\""]),
        ("a: int | None", [0.5], {}, [".args[0]: expected integer or null, got number 0.5"]),
        ("a: str", [None], {}, [".args[0]: expected string, got null"]),
        ("a: str", [True], {}, [".args[0]: expected string, got boolean true"]),
        ("a: int", [True], {}, [".args[0]: expected integer, got boolean true"]),
        ("a: float", [False], {}, [".args[0]: expected number, got boolean false"]),
        ("a: Literal[1]", [True], {}, [".args[0]: expected one of 1, got boolean true"]),
        ("a: date", ["2026-13-01"], {}, [
            '.args[0]: expected date of ISO 8601 (2026-11-25), got string "2026-13-01"'
        ]),
        ("a: date | None", [5], {}, [".args[0]: expected date of ISO 8601 (2026-11-25) or null, got integer 5"]),
        ("a: dict[int, str]", [{"x": "a"}], {}, [".args[0].x: expected integer as key"]),
        ("a: str", [{"x": 1}], {}, [".args[0]: expected string, got object"]),
        ("a: int", ["x" * 500], {}, [f".args[0]: expected integer, got string \"{'x' * 39}..."]),
        ("a: Literal['b', 3]", ["c"], {}, [".args[0]: expected one of \"b\", 3, got string \"c\""]),
        ("a: Band", ["HIGH"], {}, [".args[0]: expected one of 1, 2, \"LOW\", \"MID\", got string \"HIGH\""]),
        ("a: list[int]", [[1, "x"]], {}, [".args[0][1]: expected integer, got string \"x\""]),
        ("a: list[int] | str", [[1, "x"]], {}, [".args[0][1]: expected integer, got string \"x\""]),
        ("a: list[int] | dict", [1], {}, [".args[0]: expected array or object, got integer 1"]),
        ("a: dict[str, list[int]]", [{"b c": [1, None]}], {}, ['.args[0]["b c"][1]: expected integer, got null']),
        ("a: tuple[int, str]", [[1]], {}, [".args[0]: expected array of 2 items, got 1 items"]),
        ("a: tuple[str, int]", [["1", "x"]], {}, [".args[0][1]: expected integer, got string \"x\""]),
        ("*a: int", [1, "x"], {}, [".args[1]: expected integer, got string \"x\""]),
        ("**a: int", [], {"b": "x"}, [".kwargs.b: expected integer, got string \"x\""]),
        ("a, b=1", [], {}, [".kwargs.a: required"]),
        ("a, /", [], {}, [".args[0]: required (a)"]),
        ("*, a", [], {}, [".kwargs.a: required"]),
        ("a", [1, 2], {}, [".args[1]: unexpected, init takes 1 argument by position"]),
        ("", [1, 2], {}, [".args[0]: unexpected, init takes no arguments by position"]),
        ("a", [1], {"a": 2}, [".kwargs.a: given twice, by position too"]),
        ("a=1, *, b=2", [], {"c": 1}, [".kwargs.c: unexpected, init takes a, b"]),
        ("a=1, /", [], {"a": 1}, [".kwargs.a: unexpected, init takes a by position"]),
        ("", [], {"b": 1}, [".kwargs.b: unexpected, init takes no arguments by name"]),
        ("a=1, /", [], {"b": 1}, [".kwargs.b: unexpected, init takes no arguments by name"]),
        ("a: int, b", ["x"], {"c": 1}, [
            ".args[0]: expected integer, got string \"x\"", ".kwargs.c: unexpected, init takes a, b",
            ".kwargs.b: required",
        ]),
    ],
)  # fmt: skip
def test_fault_is_told_by_its_path(signature, args, kwargs, expected):
    assert wrong(signature, *args, **kwargs) == [f"{AT}{one}" for one in expected]


@pytest.mark.parametrize(
    ("signature", "args", "kwargs"),
    [
        ("a: float", [3], {}),
        ("a: int", [3.0], {}),
        ("a: int = None", [None], {}),
        ("a: 'Target'", [{"x": 1}], {}),
        ("a: set[int]", [[1, 1]], {}),
        ("a: Literal[1]", [1.0], {}),
        ("a: dict[int, str]", [{"5": "a"}], {}),
        ("a: date", ["2026-11-25"], {}),
        ("a: Band", ["MID"], {}),
        ("a: Band", [2], {}),
        ("a, /, **k", [1], {"a": 2}),
        ("*args, **kwargs", [1, "x", None], {"args": 1, "subarray_id": 2}),
        ("a: str = 'x', *args", [], {}),
        ("a: str", [3], {}),  # as clients of the original send a text of digits
        ("a: str", [], {"a": 0.5}),
    ],
)
def test_what_python_accepts_is_accepted(signature, args, kwargs):
    assert wrong(signature, *args, **kwargs) == []


def test_a_flood_of_faults_is_cut():
    assert len(wrong("", **{f"x{n}": n for n in range(1000)})) == MOST
    assert len(wrong("*a: int", *["x"] * 1000)) == MOST


def test_a_long_array_is_checked_at_its_beginning_only():
    schema = {"type": "array", "items": {"type": "integer"}}
    assert mismatch(schema, [1] * 100_000 + ["x"], "$") is None
    assert mismatch(schema, ["x"] + [1] * 100_000, "$") is not None
